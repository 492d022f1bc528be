"""Tools that read a run's answers: evaluate, compare and claim.

A run is worked on through links to its files, so that what a step writes beside them is gone with
the call, unless the server may write.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vesalius.run import Run
from vesalius.service.mcp.folders import Folders
from vesalius.system.worker import report

VERBS = ("better_than", "not_worse_than", "equal_to")
SCORE = ("metric", "slice", "value", "low", "high", "n", "groups", "interval")
DIFFERENCE = (
    "metric", "slice", "first", "second", "difference", "low", "high", "p", "p_holm", "n", "groups",
)  # fmt: skip


def scores(
    folders: Folders,
    *,
    run: str,
    predictions: str | None,
    metrics: list[str],
    resamples: int | None,
) -> dict[str, Any]:
    """A run's scores, or those of a file of answers."""
    from vesalius.evaluation.caveats import of_answers
    from vesalius.evaluation.coverage import remarks
    from vesalius.steps.evaluate import evaluate

    report("scoring")
    options: Any = {"metrics": metrics, "resamples": resamples}
    caveats: list[str] = []
    if (file := folders.place(run)).is_file():
        evaluation = evaluate(file, predictions, **options)
    else:
        with _opened(folders, run) as opened:
            evaluation = evaluate(opened, predictions, **options)
            n = evaluation.facts.get("predictions", 0)
            caveats = of_answers(opened.status(), n, evaluation.predictions_sha256)
            caveats += remarks(evaluation.coverage)
    rows = evaluation.to_json()["scores"]
    return {
        "scores": [_picked(row, SCORE) for row in rows if row["value"] is not None],
        "not_measured": sorted({row["metric"] for row in rows if row["value"] is None}),
        "caveats": caveats,
        "resamples": evaluation.resamples,
        "level": evaluation.level,
    }


def differences(
    folders: Folders,
    *,
    first: str,
    second: str,
    metrics: list[str],
    resamples: int | None,
) -> dict[str, Any]:
    """Second minus first, paired by question."""
    from vesalius.steps.evaluate import compare

    sides = [_predicted(folders, name) for name in (first, second)]
    report("comparing")
    comparison = compare(sides[0], sides[1], metrics=metrics, resamples=resamples)
    rows = comparison.to_json()["differences"]
    return {"differences": [_picked(row, DIFFERENCE) for row in rows]}


def verdicts(folders: Folders, *, run: str) -> dict[str, Any]:
    """What became of a run's claims."""
    from vesalius.steps.claim import check_claims

    report("checking claims")
    with _opened(folders, run) as opened:
        rows = [verdict.to_json() for verdict in check_claims(opened)]
    return {"claims": [_verdict(folders, row) for row in rows]}


@contextmanager
def _opened(folders: Folders, name: str) -> Iterator[Run]:
    """The run, or where nothing may be written a folder of links to all that is in it."""
    run = folders.run(name)
    if folders.write:
        yield run
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, run.path.name)
        folder.mkdir()
        for entry in run.path.iterdir():
            (folder / entry.name).symlink_to(entry)
        yield Run.open(folder)


def _predicted(folders: Folders, name: str) -> Path | Run:
    """A file of answers, or a run."""
    path = folders.place(name)
    return path if path.is_file() else folders.run(name)


def _picked(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _verdict(folders: Folders, row: Mapping[str, Any]) -> dict[str, Any]:
    claim, difference = row["claim"], row["difference"]
    against = next(claim[verb] for verb in VERBS if claim[verb])
    return {
        "outcome": row["outcome"],
        "metric": claim["metric"],
        "verb": next(verb for verb in VERBS if claim[verb]),
        "against": folders.mask(str(Path(against).resolve())),
        "stated": row["stated"],
        "post_hoc": row["post_hoc"],
        "difference": None if difference is None else _picked(difference, DIFFERENCE),
        "reason": folders.mask(row["reason"]),
    }
