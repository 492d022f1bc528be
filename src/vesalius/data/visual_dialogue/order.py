"""Which of six steps a question belongs to: modality, plane, organ, presence, attribute, diagnosis.

The table is ``steps.yaml``: the data sets' own question types first, then how a question is read,
then words in it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from vesalius.cases.case import Question
from vesalius.language.questions import bare, normal, parse_question
from vesalius.system.tables import packaged_table


def step_of(question: Question) -> str:
    """The step of a question, one of the table's ``order``."""
    table = _table()
    types = (question.category or "").lower().split(",")
    known = [table["categories"].get(name.strip()) for name in types]
    steps = [step for step in known if step is not None]
    if steps:
        return str(min(steps, key=table["order"].index))
    return _by_form(question.text) or _by_word(question.text)


def place_of(question: Question) -> int:
    """The number of the question's step, from 0."""
    return int(_table()["order"].index(step_of(question)))


def _by_form(text: str) -> str | None:
    read = parse_question(text)
    if read is None:
        return None
    if read.form != "is_this":
        step: str | None = _table()["forms"].get(read.form)
        return step
    named = bare(read.part("word"))
    return "presence" if named is None else named[0]


def _by_word(text: str) -> str:
    rules, otherwise = _table()["keywords"], _table()["otherwise"]
    return str(next((step for step, rule in rules if rule.search(normal(text))), otherwise))


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = packaged_table(__package__, "steps.yaml")
    table["keywords"] = [(step, re.compile(rf"\b(?:{rule})\b")) for step, rule in table["keywords"]]
    return table
