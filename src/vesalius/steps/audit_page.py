"""The audit as one self-contained HTML page: the verdict first, then each check with its cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vesalius.cases.case import Case
from vesalius.data.audit import Key
from vesalius.data.content import whole_digest
from vesalius.data.datasets import Dataset
from vesalius.data.survey.figures import ROWS, Pair
from vesalius.data.survey.survey import cases_of
from vesalius.data.survey.verdict import STATES, Result, Verdict
from vesalius.evaluation.gallery import Thumbnail, thumbnail
from vesalius.evaluation.page_template import template
from vesalius.steps.report import reading
from vesalius.system.files import write_atomic


@dataclass(frozen=True, slots=True)
class Panel:
    """A case of a pair: its name, and its picture if there is one to show."""

    name: str
    picture: Thumbnail | None


@dataclass(frozen=True, slots=True)
class Section:
    """A check as the page shows it."""

    result: Result
    pairs: Sequence[tuple[Sequence[Panel], str]]
    more: int
    """Pairs that are left out."""


def write_page(verdict: Verdict, dataset: Dataset, out: Path, *, pictures: bool = True) -> None:
    """Write the page to ``out``; the cases that it shows are read again, once.

    ``pictures``: whether thumbnails are embedded. Without them the page still names cases and
    quotes questions, so it belongs to those who may have the data.
    """
    shown = {one.name: one.pairs[:ROWS] for one in verdict.results}
    keys = {key for pairs in shown.values() for pair in pairs for key in pair.cases}
    panels = {key: _panel(key, case, pictures) for key, case in cases_of(dataset, keys)}
    sections = [
        Section(one, _pairs(shown[one.name], panels), len(one.pairs) - len(shown[one.name]))
        for state in STATES
        for one in verdict.of(state)
    ]
    page = template("audit.html").render(
        version=verdict.version,
        verdict=verdict,
        digest=whole_digest(verdict.splits),
        sections=sections,
        states={state: verdict.of(state) for state in STATES},
    )
    write_atomic(out, page)


def _pairs(pairs: Sequence[Pair], panels: Mapping[Key, Panel]) -> list[tuple[Sequence[Panel], str]]:
    return [([panels[key] for key in pair.cases], pair.note) for pair in pairs]


def _panel(key: Key, case: Case, pictures: bool) -> Panel:
    first = case.pictures[0] if case.pictures and pictures else None
    small = None if first is None else thumbnail(first.key, reading({first.key: first}))
    return Panel(f"{key.split}/{key.id}", small)
