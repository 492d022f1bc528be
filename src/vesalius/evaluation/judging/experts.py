"""What a judge is worth, by experts who rated some of the same answers.

Its agreement with them, and the mean grade that they would have given, from their grades and all of
the judge's: these are brought onto the experts' scale by isotonic regression, each by one that was
fitted without its group, and enter a prediction-powered mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from vesalius.cases.rating import AXES, CORRECTNESS, SCALES, Rating
from vesalius.errors import RunError
from vesalius.evaluation.agreement import Agreement, krippendorff, with_interval
from vesalius.evaluation.prediction_powered import Array, powered_mean
from vesalius.evaluation.rank_correlation import kendall
from vesalius.evaluation.stats import Codes, clusters

FOLDS = 5
LEAST = 20
"""Answers that experts must have rated, and a judge, and in how many groups (half of them)."""


@dataclass(frozen=True, slots=True)
class Checked:
    """An axis of a judge, held against experts.

    ``agreement``: Krippendorff's ordinal alpha over pairs of judge and expert, NaN where they grade
    on different scales; ``kendall``: tau-b of judge and the experts' mean; ``among``: alpha of the
    experts alone, NaN for one. ``value`` with ``low`` and ``high``: the mean grade of experts by
    prediction-powered inference, relying on the judge by ``tuning``; ``alone``: by their own grades
    alone; ``judge``: the judge's plain mean.
    """

    axis: str
    expert_axis: str
    raters: int
    n: int
    judged: int
    agreement: Agreement
    kendall: Agreement
    among: Agreement
    judge: float
    value: float
    low: float
    high: float
    tuning: float
    alone: tuple[float, float, float]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON-ready data."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Checked:
        """The check in :meth:`to_json`'s data, in which NaN became null."""
        fields: dict[str, Any] = _with_nan(row)
        for name in ("agreement", "kendall", "among"):
            fields[name] = Agreement(**fields[name])
        return cls(**fields | {"alone": tuple(fields["alone"])})

    def sentence(self) -> str:
        """How far experts agree with the judge, and among themselves."""
        on = "" if self.axis == self.expert_axis else f" (experts: {self.expert_axis})"
        agreed = (
            f"{self.axis}{on}: agreement with {self.raters} expert{'s' * (self.raters > 1)} on "
            f"{self.n} of {self.judged} answers: {_interval(self.agreement)} (Krippendorff's "
            f"ordinal alpha), Kendall's tau-b {_interval(self.kendall)}"
        )
        if self.raters > 1:
            agreed += f"; experts among themselves: {_interval(self.among)}"
        return f"{agreed}."


def expert_axis(axis: str, ratings: Sequence[Rating]) -> str | None:
    """The experts' axis that a judge's is held against: the same, or accuracy for correctness."""
    rated = {name for one in ratings for name in one.axes}
    if axis in rated:
        return axis
    return AXES[0] if axis == CORRECTNESS and AXES[0] in rated else None


def checked(
    axis: str, judge: Mapping[str, float], groups: Mapping[str, str], ratings: Sequence[Rating]
) -> Checked:
    """A judge's grades by answer id, held against experts' ratings of some of the answers.

    RunError where experts rated no such axis, or fewer than LEAST of the answers.
    """
    theirs = expert_axis(axis, ratings)
    if theirs is None:
        raise RunError(f"the experts did not rate {axis}")
    grades: dict[str, dict[str, float]] = defaultdict(dict)
    for one in ratings:
        if theirs in one.axes and one.prediction in judge:
            grades[one.prediction][one.rater] = float(one.axes[theirs])
    ids = list(judge)
    codes = clusters([groups[name] for name in ids])
    truth = np.array([np.mean(list(grades[i].values())) if grades.get(i) else nan for i in ids])
    known = ~np.isnan(truth)
    _require_enough(axis, known, codes)
    raw = np.array([judge[name] for name in ids])
    guess = calibrated(raw, truth, codes)
    best, alone = powered_mean(truth, guess, codes), powered_mean(truth, guess, codes, tuning=0.0)
    raters = sorted({rater for by in grades.values() for rater in by})
    rated = [name for name in ids if grades.get(name)]
    table = np.array([[grades[name].get(rater, nan) for rater in raters] for name in rated])
    return Checked(
        axis,
        theirs,
        len(raters),
        int(known.sum()),
        len(ids),
        _agreement(raw[known], table, codes[known], same=SCALES[axis] == SCALES[theirs]),
        with_interval(np.c_[raw, truth][known], kendall, groups=codes[known]),
        _among(table, codes[known]),
        float(raw.mean()),
        best.value,
        best.low,
        best.high,
        best.tuning,
        (alone.value, alone.low, alone.high),
    )


def calibrated(raw: Array, truth: Array, groups: Codes) -> Array:
    """Grades [n] on the scale of ``truth`` [n] (NaN: unknown), rising with ``raw`` [n].

    By isotonic regression (Barlow and others, 1972). Where the truth is known, by one that was
    fitted without the row's group (FOLDS of them); elsewhere the mean of all folds' (cross-fitted
    as in Zrnic and Candès, 2024).
    """
    known = np.flatnonzero(~np.isnan(truth))
    names, places = np.unique(groups[known], return_inverse=True)
    folds = min(FOLDS, len(names))
    order = np.random.default_rng(0).permutation(len(names))
    fold = (order % folds)[places]
    guess, sums = np.empty(len(raw)), np.zeros(len(raw))
    for number in range(folds):
        taught, left = known[fold != number], known[fold == number]
        level = _rising(raw[taught], truth[taught], raw)
        guess[left], sums = level[left], sums + level
    rest = np.isnan(truth)
    guess[rest] = sums[rest] / folds
    return guess


def _with_nan(value: Any) -> Any:
    """JSON's data with NaN in the place of null."""
    if isinstance(value, Mapping):
        return {name: _with_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_nan(inner) for inner in value]
    return nan if value is None else value


def _interval(one: Agreement) -> str:
    """A coefficient with its interval, or that it is not measured."""
    if isnan(one.value):
        return "not measured"
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def _rising(x: Array, y: Array, at: Array) -> Array:
    """Isotonic regression of y on x, interpolated at other places and flat beyond its ends."""
    levels, places, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(places, y) / counts
    fitted = isotonic_regression(means, weights=counts).x
    rising: Array = np.interp(at, levels, fitted)
    return rising


def _agreement(raw: Array, table: Array, groups: Codes, *, same: bool) -> Agreement:
    """Of the judge with each expert, over all pairs of the two."""
    units, columns = np.nonzero(~np.isnan(table))
    if not same:
        return Agreement(nan, nan, nan, len(units), 2)
    pairs = np.c_[raw[units], table[units, columns]]
    return with_interval(pairs, ordinal, groups=groups[units])


def ordinal(ratings: Array) -> float:
    """Krippendorff's alpha with ordinal distances."""
    return krippendorff(ratings, "ordinal")


def _among(table: Array, groups: Codes) -> Agreement:
    if table.shape[1] < 2:
        return Agreement(nan, nan, nan, len(table), table.shape[1])
    return with_interval(table, ordinal, groups=groups)


def _require_enough(axis: str, known: NDArray[np.bool_], groups: Codes) -> None:
    count, sets = int(known.sum()), len(np.unique(groups[known]))
    if count < LEAST or sets < LEAST // 2:
        what = f"{axis}: experts rated {count} of the judged answers, in {sets} groups"
        hint = f"at least {LEAST} in {LEAST // 2} say what a judge is worth"
        raise RunError(what, hint=hint)
