"""The figures of ``vesalius agree``: of raters, systems, errors and metrics, by axis.

Raters alone agree or not: an adjudicator, who saw their ratings, is none of them. What an
adjudicator said takes the place of the raters' mean where asked, and is counted either way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vesalius.cases.rating import Rating
from vesalius.errors import RunError
from vesalius.evaluation.agreement import Agreement
from vesalius.evaluation.expert_grades import (
    MeanGrade,
    columns,
    following,
    grades_of,
    mean_difference,
    mean_grade,
)
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.prediction_sets import group_of
from vesalius.evaluation.rank_correlation import least_kendall, least_spearman
from vesalius.evaluation.rated_errors import error_marks
from vesalius.evaluation.rated_systems import REFERENCES, System, reviews_in, systems
from vesalius.evaluation.raters import AxisTable, agreement_of, axis_tables, biases
from vesalius.evaluation.stats import Array
from vesalius.run import Run

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rated:
    """A system with the ratings of its answers; a review of which no run is named has none."""

    system: System
    ratings: tuple[Rating, ...]


def rated_systems(runs: Sequence[Run], ratings: Sequence[Rating]) -> list[Rated]:
    """The runs, and the references where they were rated; without runs a system for each review.

    RunError where none of the ratings is of a run's answers.
    """
    if not runs:
        reviews: dict[str, list[Rating]] = defaultdict(list)
        for one in ratings:
            reviews[one.review].append(one)
        return [Rated(System(r or "answers", r, {}), tuple(own)) for r, own in reviews.items()]
    rated = []
    for system in systems(runs, references=True):
        strict = len(runs) > 1 or system.name == REFERENCES
        theirs = tuple(system.ratings(ratings, strict=strict))
        if not theirs and system.name != REFERENCES:
            what = f"none of the {len(ratings)} ratings is of a review of this run's answers"
            raise RunError(what, where=system.name, hint=f"their reviews: {reviews_in(ratings)}")
        rated += [Rated(system, theirs)] * bool(theirs)
    return rated


def figures(
    rated: Sequence[Rated], metrics: Sequence[Spec], *, adjudicated: bool = False
) -> dict[str, Figures]:
    """The figures of each axis by what they are called, and those of errors."""
    everything = [one for part in rated for one in part.ratings]
    raters = [one for one in everything if not one.adjudication]
    answers = [row for part in rated for row in part.system.answers.values()]
    groups = {row.id: group_of(row) for row in answers}
    # A reference is right by every metric that compares with references.
    scored = [one for one in rated if one.system.answers and one.system.name != REFERENCES]
    scores = [columns(one.system, metrics) for one in scored]
    facts: dict[str, Figures] = {}
    for table in axis_tables(raters, answers):
        rows = _of_raters(table, raters) | _finals(everything, table.axis, used=adjudicated)
        rows |= _of_systems(rated, table.axis, groups, adjudicated=adjudicated)
        if scored:
            rows |= _of_metrics(scored, scores, table, adjudicated=adjudicated)
        facts[table.axis] = rows
    for mark in error_marks(raters, groups):
        row = {f"{mark.error}: marked": mark.marked, f"{mark.error}: of answers": mark.answers}
        agreed = {f"{mark.error}: agreement (AC1)": _row(mark.agreement)}
        facts.setdefault("errors", {}).update(row | agreed)
    return facts


def _of_raters(table: AxisTable, ratings: Sequence[Rating]) -> Figures:
    rows: Figures = {
        "answers": len(table.answers),
        "in groups": len(set(table.groups.tolist())),
        "raters": len(table.raters),
        "agreement (ordinal alpha)": _row(agreement_of(table)),
    }
    for one in biases(table, ratings):
        rows |= {f"{one.rater}: above the others by": _row(one.bias)}
        rows |= {f"{one.rater}: rated": one.rated}
        rows |= {f"{one.rater}: could not judge": one.could_not} if one.could_not else {}
    return rows


def _finals(ratings: Sequence[Rating], axis: str, *, used: bool) -> Figures:
    count = len({(r.review, r.prediction) for r in ratings if r.adjudication and axis in r.axes})
    name = "adjudicated (final grades are used)" if used else "adjudicated (not used)"
    return {name: count} if count else {}


def _of_systems(
    rated: Sequence[Rated], axis: str, groups: Mapping[str, str], *, adjudicated: bool
) -> Figures:
    """The mean grade of each system, and what lies between the first and each other one."""
    graded = [
        (one.system.name, grades_of(one.ratings, axis, adjudicated=adjudicated)) for one in rated
    ]
    graded = [(name, grades) for name, grades in graded if grades]
    rows: Figures = {}
    for name, grades in graded:
        mean = mean_grade(grades, groups)
        rows |= {f"{name}: mean grade": _row(mean), f"{name}: answers graded": mean.n}
    for name, grades in graded[1:]:
        gap = mean_difference(graded[0][1], grades, groups)
        if gap.n:
            pair = f"{name} minus {graded[0][0]}"
            rows |= {pair: _row(gap), f"{pair}: least shown 4 times in 5": gap.detectable}
    return rows


def _of_metrics(
    rated: Sequence[Rated],
    scores: Sequence[Mapping[str, Array]],
    table: AxisTable,
    *,
    adjudicated: bool,
) -> Figures:
    graded = [
        (one.system, grades_of(one.ratings, table.axis, adjudicated=adjudicated)) for one in rated
    ]
    rows = dict(_followed(graded, scores))
    known = {group_of(s.answers[i]) for s, grades in graded for i in grades if i in s.answers}
    return rows | {
        "least tau-b shown 4 times in 5": least_kendall(len(known)),
        "least rho shown 4 times in 5": least_spearman(len(known)),
    }


def _followed(graded: Any, scores: Any) -> Iterator[tuple[str, Figures]]:
    for score in following(graded, scores):
        yield f"{score.metric}: Kendall's tau-b", _row(score.kendall)
        yield f"{score.metric}: Spearman's rho", _row(score.spearman)


def _row(one: Agreement | MeanGrade) -> Figures:
    return {"value": one.value, "low": one.low, "high": one.high}
