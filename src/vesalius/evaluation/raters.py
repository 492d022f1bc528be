"""Raters beside each other: how far they agree, who is strict, and what is to be adjudicated.

Ratings are of answers; intervals come from whole groups (patient, else image) where the answers are
known, else from single answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import nan
from typing import Any

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.cases.rating import SCALES, Rating
from vesalius.errors import RunError
from vesalius.evaluation.agreement import Agreement, krippendorff, with_interval
from vesalius.evaluation.prediction_sets import group_of
from vesalius.evaluation.stats import Array, Codes, clusters


@dataclass(frozen=True, slots=True)
class AxisTable:
    """One axis: grades [answers, raters], NaN where a rater gave none, and whose they are."""

    axis: str
    answers: tuple[str, ...]
    raters: tuple[str, ...]
    grades: Array
    groups: Codes


@dataclass(frozen=True, slots=True)
class RaterBias:
    """How much higher a rater grades than the others do the same answers, with its interval."""

    rater: str
    bias: Agreement
    rated: int
    could_not: int


def axis_tables(ratings: Sequence[Rating], predictions: Sequence[Prediction]) -> list[AxisTable]:
    """A table for every axis that was graded.

    RunError where answers are given and none of the ratings is of one, or nobody graded anything.
    """
    groups = {one.id: group_of(one) for one in predictions}
    of_these = [one for one in ratings if not groups or one.prediction in groups]
    if not of_these:
        what = f"none of the {len(ratings)} ratings is of an answer of this run"
        raise RunError(what, hint="are they of another run?")
    tables = [_table(axis, of_these, groups) for axis in SCALES]
    known = [table for table in tables if table.answers]
    if not known:
        raise RunError(f"none of the {len(of_these)} ratings has a grade")
    return known


def _table(axis: str, ratings: Sequence[Rating], groups: Mapping[str, str]) -> AxisTable:
    graded = [one for one in ratings if axis in one.axes]
    answers = tuple(dict.fromkeys((one.review, one.prediction) for one in graded))
    raters = tuple(sorted({one.rater for one in graded}))
    grades = np.full((len(answers), len(raters)), nan)
    rows, columns = ({name: at for at, name in enumerate(names)} for names in (answers, raters))
    for one in graded:
        grades[rows[one.review, one.prediction], columns[one.rater]] = one.axes[axis]
    names = [name for _, name in answers]
    return AxisTable(
        axis, tuple(names), raters, grades, clusters([groups.get(n, n) for n in names])
    )


def agreement_of(table: AxisTable) -> Agreement:
    """Krippendorff's ordinal alpha of an axis; NaN with one rater."""
    if len(table.raters) < 2:
        return Agreement(nan, nan, nan, len(table.answers), len(table.raters))
    return with_interval(table.grades, lambda g: krippendorff(g, "ordinal"), groups=table.groups)


def biases(table: AxisTable, ratings: Sequence[Rating]) -> list[RaterBias]:
    """Each rater's mean distance from the others' mean on the same answers, the kindest first."""
    could_not = {
        rater: sum(not one.axes for one in mine)
        for rater, mine in groupby(sorted(ratings, key=lambda r: r.rater), key=lambda r: r.rater)
    }
    rows = []
    for at, rater in enumerate(table.raters):
        own = table.grades[:, at]
        others = _row_means(np.delete(table.grades, at, axis=1))
        pairs = np.c_[own, others]
        bias = Agreement(nan, nan, nan, 0, 2)
        both = ~np.isnan(pairs).any(axis=1)
        if both.any():
            bias = with_interval(pairs[both], _mean_gap, groups=table.groups[both])
        rated = int((~np.isnan(own)).sum())
        rows.append(RaterBias(rater, bias, rated, could_not.get(rater, 0)))
    return sorted(rows, key=lambda one: -np.nan_to_num(one.bias.value, nan=-np.inf))


def adjudication_list(ratings: Sequence[Rating], gap: int = 2) -> list[dict[str, Any]]:
    """The answers whose grades on an axis lie ``gap`` or more apart, the widest of an axis first.

    A row for each axis of an answer (``id``, its ``review``, ``axis``, ``apart``, and the
    ``grades`` by rater). Those with a final word are not listed.
    """
    final = {(one.review, one.prediction) for one in ratings if one.adjudication}
    given: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    for one in ratings:
        if (one.review, one.prediction) not in final:
            for axis, grade in one.axes.items():
                given[axis, one.review, one.prediction][one.rater] = grade
    rows = [
        {"id": name, "review": review, "axis": axis, "apart": apart, "grades": grades}
        for (axis, review, name), grades in given.items()
        if (apart := max(grades.values()) - min(grades.values())) >= gap
    ]
    axes = list(SCALES)
    return sorted(rows, key=lambda row: (axes.index(row["axis"]), -row["apart"], row["id"]))


def _mean_gap(pairs: Array) -> float:
    return float((pairs[:, 0] - pairs[:, 1]).mean())


def _row_means(grades: Array) -> Array:
    """The mean of each row's grades; NaN where there is none."""
    known = ~np.isnan(grades)
    counts = known.sum(axis=1)
    means: Array = np.where(known, grades, 0.0).sum(axis=1) / np.where(counts, counts, nan)
    return means
