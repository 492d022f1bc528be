"""A review's sheet: the answers that raters see, the same ones on the page and in a package.

Answers of several systems to the same questions, each as an item that tells of neither; in which
order a rater sees them is the rater's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from heapq import nsmallest

from vesalius.errors import NotComparable, RunError
from vesalius.evaluation.judging.prompts import candidate
from vesalius.evaluation.rated_systems import System, item_id, systems
from vesalius.run import Run


@dataclass(frozen=True, slots=True)
class SheetItem:
    """An answer to rate: its id for raters, the review and id it is known by elsewhere.

    ``picture`` is its key in the data set; None where there is none.
    """

    id: str
    review: str
    prediction: str
    question: str
    answer: str
    picture: str | None


@dataclass(frozen=True, slots=True)
class ReviewSheet:
    """Items by id, in the order of their ids, which is random; the answers left out for want of
    words (empty ones, and boxes, which raters are not shown), and its name, a hash of all ids.
    """

    name: str
    items: dict[str, SheetItem]
    left_out: int


def review_sheet(runs: Sequence[Run], size: int, *, references: bool = False) -> ReviewSheet:
    """The answers in words of all systems to at most ``size`` questions.

    The questions are a random sample that is the same each time, and larger samples hold smaller
    ones. RunError where a run has no answers, or no question has an answer in words of every
    system; NotComparable where two systems mean other questions by an id.
    """
    answering = systems(runs, references=references)
    worded = [{n: r for n, r in one.answers.items() if candidate(r.answer)} for one in answering]
    left_out = sum(len(one.answers) for one in answering) - sum(map(len, worded))
    shared = set.intersection(*map(set, worded))
    if not shared:
        what = "no question has an answer in words of every run"
        without = f"{left_out} answers have no words" if left_out else "they have other cases"
        raise RunError(what, where=runs[0].path, hint=without)
    chosen = nsmallest(size, shared, key=lambda name: sha256(name.encode()).hexdigest())
    _require_same_questions(answering, chosen)
    items = {one.id: one for system in answering for one in _items(system, chosen)}
    digest = sha256("\n".join(sorted(items)).encode()).hexdigest()[:16]
    return ReviewSheet(f"package {digest}", {key: items[key] for key in sorted(items)}, left_out)


def _require_same_questions(answering: Sequence[System], chosen: Sequence[str]) -> None:
    for name in chosen:
        if len({one.answers[name].question for one in answering}) > 1:
            raise NotComparable("the runs have other questions for it", where=f"id {name!r}")


def _items(system: System, chosen: Sequence[str]) -> list[SheetItem]:
    rows = [system.answers[name] for name in chosen]
    return [
        SheetItem(
            item_id(system.review, one.id),
            system.review,
            one.id,
            one.question,
            candidate(one.answer),
            one.picture,
        )
        for one in rows
    ]
