"""How far raters agree, beyond what chance would give.

``ratings`` has shape [units, raters]: numbers, NaN where a rater did not rate a unit. Every
coefficient is 1 for perfect agreement; NaN where it is undefined (nothing rated twice, or no
variation to agree on).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import signature
from itertools import combinations
from math import isnan, nan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import VesaliusError
from vesalius.evaluation.stats import Codes, interval

Array = NDArray[np.float64]
Weighting = Literal["none", "linear", "quadratic", "ordinal"]
Scale = Literal["nominal", "ordinal", "interval", "ratio"]
Form = Literal["1,1", "A,1", "C,1", "1,k", "A,k", "C,k"]
Coefficient = Callable[..., float]
"""Of ratings [units, raters] alone, whatever else it may take."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A coefficient with its percentile interval over resampled units, or groups of them."""

    value: float
    low: float
    high: float
    units: int
    raters: int


def with_interval(
    ratings: Array,
    coefficient: Coefficient,
    *,
    groups: Codes | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Agreement:
    """A coefficient of ``ratings`` and its interval, whole units drawn with replacement.

    With ``groups`` [units], codes from 0 of who belongs together, whole groups are drawn.
    In every resample the categories of a coefficient that takes them are those of all units,
    unless it was given others.
    """
    checked = _checked(ratings)
    rng = np.random.default_rng(seed)
    members = _members(groups, len(checked))
    n = len(members)
    parameter = signature(coefficient).parameters.get("categories")
    if parameter is not None and parameter.default is None:
        coefficient = partial(coefficient, categories=_categories(checked))
    drawn = [
        coefficient(checked[np.concatenate([members[i] for i in rng.integers(0, n, n)])])
        for _ in range(resamples if n > 1 else 0)
    ]
    low, high = interval(np.array(drawn, dtype=np.float64), level)
    return Agreement(coefficient(checked), low, high, len(checked), checked.shape[1])


def _members(groups: Codes | None, units: int) -> list[Codes]:
    """The places of each group's units; without groups each unit is one."""
    if groups is None:
        return [np.array([place]) for place in range(units)]
    return [np.flatnonzero(groups == code) for code in np.unique(groups)]


def raw(ratings: Array) -> float:
    """The share of agreeing pairs of raters, averaged over units rated at least twice."""
    counts = _counts(ratings)[0]
    rated = counts.sum(axis=1)
    twice = rated >= 2
    if not twice.any():
        return nan
    pairable, n = counts[twice], rated[twice]
    return float(((pairable * (pairable - 1)).sum(axis=1) / (n * (n - 1))).mean())


def cohen(ratings: Array, weighting: Weighting = "none", categories: Array | None = None) -> float:
    """Cohen's kappa of two raters (Cohen, 1960; 1968 for weights); more raters: mean over pairs.

    ``categories`` are the values that could be given, by default those that were.
    """
    checked = _checked(ratings)
    values = _categories(checked) if categories is None else categories
    pairs = [
        _cohen_pair(checked[:, [a, b]], values, weighting)
        for a, b in combinations(range(checked.shape[1]), 2)
    ]
    known = [kappa for kappa in pairs if kappa == kappa]  # noqa: PLR0124  # NaN
    return float(np.mean(known)) if known else nan


def fleiss(ratings: Array) -> float:
    """Fleiss' kappa (1971) over units that every rater rated."""
    checked = _checked(ratings)
    counts = _counts(checked[~np.isnan(checked).any(axis=1)])[0]
    if not len(counts):
        return nan
    n = counts.sum(axis=1)[0]
    observed = ((counts * (counts - 1)).sum(axis=1) / (n * (n - 1))).mean()
    expected = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return _beyond(float(observed), expected)


def krippendorff(ratings: Array, scale: Scale = "nominal") -> float:
    """Krippendorff's alpha (2011) with nominal, ordinal, interval or ratio distances; any gaps.

    A ratio scale has no values below 0: VesaliusError.
    """
    counts, values = _counts(ratings)
    rated = counts.sum(axis=1)
    counts, rated = counts[rated >= 2], rated[rated >= 2]
    if not len(counts):
        return nan
    scaled = counts / (rated - 1)[:, None]
    together = scaled.T @ counts - np.diag(scaled.sum(axis=0))
    totals = together.sum(axis=0)
    distance = _distances(values, totals, scale)
    n = totals.sum()
    expected = (np.outer(totals, totals) * distance).sum() / (n - 1)
    if expected == 0:
        return nan
    return float(1 - (together * distance).sum() / expected)


def gwet(ratings: Array, weighting: Weighting = "none", categories: Array | None = None) -> float:
    """Gwet's AC1, or AC2 with weights (2008; 2014): steady where one category is rare.

    ``categories`` are the values that could be given, by default those that were.
    """
    counts, values = _counts(ratings, categories)
    weights = _weights(values, weighting)
    observed = _observed(counts, weights)
    if len(values) < 2 or isnan(observed):
        return nan
    counts = counts[counts.sum(axis=1) >= 1]
    share = (counts / counts.sum(axis=1)[:, None]).mean(axis=0)
    q = len(values)
    expected = weights.sum() / (q * (q - 1)) * (share * (1 - share)).sum()
    return _beyond(observed, float(expected))


def brennan_prediger(
    ratings: Array, weighting: Weighting = "none", categories: Array | None = None
) -> float:
    """Brennan and Prediger's kappa (1981), any raters and gaps: each category is as likely.

    ``categories`` are the values that could be given, by default those that were.
    """
    counts, values = _counts(ratings, categories)
    weights = _weights(values, weighting)
    observed = _observed(counts, weights)
    return nan if len(values) < 2 else _beyond(observed, float(weights.mean()))


def icc(ratings: Array, form: Form = "A,1") -> float:
    """The intraclass correlation (Shrout and Fleiss, 1979; McGraw and Wong, 1996).

    ``1``: one-way random; ``A``: two-way, absolute agreement; ``C``: two-way, consistency; ``,1``
    for one rating, ``,k`` for the mean of all raters. Only units that every rater rated count.
    """
    checked = _checked(ratings)
    full = checked[~np.isnan(checked).any(axis=1)]
    n, k = full.shape
    if n < 2:
        return nan
    units, raters, mean = full.mean(axis=1), full.mean(axis=0), full.mean()
    between = k * ((units - mean) ** 2).sum() / (n - 1)
    columns = n * ((raters - mean) ** 2).sum() / (k - 1)
    within = ((full - units[:, None]) ** 2).sum() / (n * (k - 1))
    residual = full - units[:, None] - raters[None, :] + mean
    error = (residual**2).sum() / ((n - 1) * (k - 1))
    parts = {
        "1,1": (between - within, between + (k - 1) * within),
        "A,1": (between - error, between + (k - 1) * error + k * (columns - error) / n),
        "C,1": (between - error, between + (k - 1) * error),
        "1,k": (between - within, between),
        "A,k": (between - error, between + (columns - error) / n),
        "C,k": (between - error, between),
    }
    above, below = parts[form]
    return float(above / below) if below else nan


def _checked(ratings: Array) -> Array:
    checked = np.asarray(ratings, dtype=np.float64)
    if checked.ndim != 2 or checked.shape[1] < 2:
        raise VesaliusError(f"ratings need the shape [units, two or more raters]: {checked.shape}")
    return checked


def _categories(ratings: Array) -> Array:
    values: Array = np.unique(ratings[~np.isnan(ratings)])
    return values


def _counts(ratings: Array, categories: Array | None = None) -> tuple[Array, Array]:
    """How many raters gave each value to each unit, and the values."""
    checked = _checked(ratings)
    values = _categories(checked) if categories is None else categories
    return (checked[:, :, None] == values).sum(axis=1).astype(np.float64), values


def _observed(counts: Array, weights: Array) -> float:
    """Weighted agreement of pairs of raters, a mean over units rated twice or more; else NaN."""
    rated = counts.sum(axis=1)
    twice, n = counts[rated >= 2], rated[rated >= 2]
    if not len(twice):
        return nan
    return float(((twice * (twice @ weights - 1)).sum(axis=1) / (n * (n - 1))).mean())


def _cohen_pair(pair: Array, values: Array, weighting: Weighting) -> float:
    both = pair[~np.isnan(pair).any(axis=1)]
    if not len(both):
        return nan
    first, second = ((both[:, [i]] == values).astype(np.float64) for i in (0, 1))
    weights = _weights(values, weighting)
    observed = float((first.T @ second / len(both) * weights).sum())
    expected = float((np.outer(first.mean(axis=0), second.mean(axis=0)) * weights).sum())
    return _beyond(observed, expected)


def _weights(values: Array, weighting: Weighting) -> Array:
    """Agreement weights [k, k]: 1 on the diagonal; partial credit for nearby values.

    ``ordinal`` counts the pairs of categories that a disagreement spans: C(|i - j| + 1, 2) of
    C(k, 2) (Gwet, 2014).
    """
    if weighting == "ordinal":
        apart = np.abs(np.subtract.outer(np.arange(len(values)), np.arange(len(values))))
        pairs: Array = apart * (apart + 1.0)
        ordinal: Array = 1 - pairs / max(1.0, float(pairs.max(initial=0.0)))
        return ordinal
    gap = np.abs(values[:, None] - values[None, :])
    widest = gap.max() if gap.size and gap.max() > 0 else 1.0
    if weighting == "none":
        same: Array = (gap == 0).astype(np.float64)
        return same
    share: Array = gap / widest
    return 1 - share if weighting == "linear" else 1 - share**2


def _distances(values: Array, totals: Array, scale: Scale) -> Array:
    """Squared distances [k, k] between values; ordinal ones count the ratings in between."""
    if scale == "nominal":
        other: Array = (values[:, None] != values[None, :]).astype(np.float64)
        return other
    if scale == "ratio":
        if (values < 0).any():
            raise VesaliusError("a ratio scale has no values below 0", hint="use interval")
        sums = np.maximum(values[:, None] + values[None, :], np.finfo(float).tiny)
        ratios: Array = ((values[:, None] - values[None, :]) / sums) ** 2
        return ratios
    place = values if scale == "interval" else np.cumsum(totals) - totals / 2
    squared: Array = (place[:, None] - place[None, :]) ** 2
    return squared


def _beyond(observed: float, expected: float) -> float:
    """Agreement beyond chance; NaN where chance alone agrees always."""
    return nan if expected >= 1 else (observed - expected) / (1 - expected)
