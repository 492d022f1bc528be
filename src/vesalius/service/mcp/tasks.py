"""What each tool does, in a worker process: a step, and what of its result is told.

Ids, counts, scores and a model's answers are; words of data sets, findings' places and paths are
not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from vesalius.errors import Refusal
from vesalius.service.http.schemas import DISCLAIMER
from vesalius.service.mcp import picture_tasks, score_tasks
from vesalius.service.mcp.folders import Folders
from vesalius.service.mcp.guard import forbid
from vesalius.service.mcp.listing import listing
from vesalius.system.worker import report

Result = dict[str, Any]


def work(task: str, folders: Folders, arguments: Mapping[str, Any]) -> Result:
    """The result of a task, JSON-ready."""
    _guard(tuple(folders.roots.values()), folders.write)
    return TASKS[task](folders, **arguments) | {"notice": DISCLAIMER}


@lru_cache(maxsize=1)
def _guard(roots: tuple[Path, ...], write: bool) -> None:
    """Once a process: relative paths of recipes are from the first folder."""
    os.chdir(roots[0])
    forbid(roots, write=write)


def findings(folders: Folders, *, data: str, reader: str, text: bool) -> Result:
    """What is wrong with a data set, counted by code."""
    from vesalius.data.cards import card_or_none
    from vesalius.data.check import Summary, check
    from vesalius.data.findings import code_of
    from vesalius.data.inspection import inspect_cases
    from vesalius.data.open import open_dataset

    root = folders.place(data)
    if not root.is_dir():
        what = f"{data!r} is no folder"
        raise Refusal("invalid_request", what, hint="check takes a data set's folder")
    folders.require_links(root)
    summary = Summary()

    def inspect(cases: Any, cores: Any) -> Any:
        for number, one in enumerate(inspect_cases(cases, cores), 1):
            if number % 20 == 0:
                report(f"{number} cases of a split")
            yield one

    dataset = open_dataset(reader, root)
    for _ in check(dataset, card=card_or_none(reader), summary=summary, inspect=inspect, text=text):
        pass
    return {
        "cases": summary.cases,
        "questions": summary.questions,
        "pictures": summary.pictures,
        "searched_for_text": summary.text_done,
        "errors": summary.errors,
        "findings": [
            {"level": level, "code": code, "count": count, "mend": code_of(code).mend}
            | {"meaning": code_of(code).meaning}
            for (level, code), count in sorted(summary.counts.items())
        ],
    }


TASKS: dict[str, Callable[..., Result]] = {
    "list": listing,
    "check": findings,
    "ask": picture_tasks.answer,
    "detect": picture_tasks.boxes,
    "retrieve": picture_tasks.similar,
    "evaluate": score_tasks.scores,
    "compare": score_tasks.differences,
    "claim": score_tasks.verdicts,
}
