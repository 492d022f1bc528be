"""What experts' grades say of systems and of metrics.

An answer has one grade an axis: the mean of its raters, or, where asked, an adjudicator's in its
place. Intervals are over whole groups (patient, else image).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from statistics import fmean

import numpy as np

from vesalius.cases.rating import Rating
from vesalius.evaluation.agreement import Agreement, with_interval
from vesalius.evaluation.measuring import Spec, measure
from vesalius.evaluation.prediction_sets import group_of
from vesalius.evaluation.rank_correlation import kendall, spearman
from vesalius.evaluation.rated_systems import System
from vesalius.evaluation.stats import Array, bootstrap, clusters, detectable, interval

Grades = Mapping[str, float]
"""One grade an answer, by its id."""
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class MeanGrade:
    """A mean over answers, or a mean difference over pairs of them, with its interval.

    ``detectable``: the smallest that so many would show four times in five.
    """

    n: int
    value: float
    low: float
    high: float
    detectable: float


@dataclass(frozen=True, slots=True)
class Following:
    """How far a metric follows the experts' grades of single answers, by ranks."""

    metric: str
    n: int
    kendall: Agreement
    spearman: Agreement


def grades_of(ratings: Sequence[Rating], axis: str, *, adjudicated: bool = False) -> Grades:
    """The raters' mean grade of each answer; with ``adjudicated`` the final one where there is."""
    given: dict[tuple[bool, str], list[int]] = defaultdict(list)
    for one in ratings:
        if axis in one.axes and (adjudicated or not one.adjudication):
            given[one.adjudication, one.prediction].append(one.axes[axis])
    # Sorted, so that final grades come after the raters' and replace them.
    return {name: fmean(grades) for (_, name), grades in sorted(given.items())}


def mean_grade(grades: Grades, groups: Mapping[str, str]) -> MeanGrade:
    """The mean of grades; the groups are those of answers by id."""
    values = np.array(list(grades.values()))
    codes = clusters([groups.get(name, name) for name in grades])
    if not len(values):
        return MeanGrade(0, nan, nan, nan, nan)
    drawn = bootstrap(lambda w: {"mean": w @ values / w.sum(axis=1)}, codes, RESAMPLES)["mean"]
    low, high = interval(drawn)
    return MeanGrade(len(values), float(values.mean()), low, high, detectable(drawn))


def mean_difference(first: Grades, second: Grades, groups: Mapping[str, str]) -> MeanGrade:
    """By how much the second's grades lie above the first's, over answers to the same questions."""
    shared = first.keys() & second.keys()
    return mean_grade({name: second[name] - first[name] for name in sorted(shared)}, groups)


def columns(system: System, metrics: Sequence[Spec]) -> dict[str, Array]:
    """Each metric's scores of single answers [n], in the order of the system's answers.

    A metric with no score of a single answer (a corpus score) has none.
    """
    return {
        name: column
        for measured in measure(list(system.answers.values()), metrics)
        for name, column in measured.table.items()
        if column.ndim == 1 and "." in name  # a score, and no count beside it
    }


def following(
    graded: Sequence[tuple[System, Grades]], scores: Sequence[Mapping[str, Array]]
) -> list[Following]:
    """How each metric's scores (:func:`columns` of each system) follow the experts' grades.

    Answers of several systems are taken together. A metric of fewer than three is left out.
    """
    truth = np.concatenate([[g.get(i, nan) for i in s.answers] for s, g in graded])
    rows = [one for system, _ in graded for one in system.answers.values()]
    groups = clusters([group_of(one) for one in rows])
    followed = []
    for name in scores[0]:
        column = np.concatenate([one[name] for one in scores])
        known = ~np.isnan(column) & ~np.isnan(truth)
        if known.sum() > 2:
            pairs = np.c_[column, truth][known]
            tau, rho = (
                with_interval(pairs, by, groups=groups[known], resamples=1000)
                for by in (kendall, spearman)
            )
            followed.append(Following(name, len(pairs), tau, rho))
    return followed
