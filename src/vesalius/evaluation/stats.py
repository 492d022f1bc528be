"""Intervals and tests that respect who belongs together.

The unit of resampling is the patient, else the image; never the question. Everything works on
sufficient statistics: a resample is a row of weights, so no model and no text is seen twice.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from math import comb, isnan, nan, sqrt
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import VesaliusError

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Name = TypeVar("Name", bound=Hashable)

_CELLS = 2_000_000  # weights held at once: 16 MB


def clusters(names: Sequence[str]) -> Codes:
    """Codes [n] from 0 of the groups that rows belong to."""
    if not names:
        return np.zeros(0, dtype=np.int64)
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1]


def resampled(groups: Codes, resamples: int, seed: int) -> Iterator[Array]:
    """Weights [b, n] in pieces: whole groups drawn with replacement, as many as there are."""
    rng = np.random.default_rng(seed)
    count = int(groups.max()) + 1 if groups.size else 0
    step = max(1, _CELLS // max(1, len(groups)))
    for start in range(0, resamples if count else 0, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        yield times[:, groups].astype(np.float64)


def bootstrap(
    statistic: Callable[[Array], Mapping[Name, Array]],
    groups: Codes,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[Name, Array]:
    """The statistic's scores over cluster-bootstrap resamples, [B] each (Efron, 1979)."""
    return _collected(statistic(weights) for weights in resampled(groups, resamples, seed))


def interval(samples: Array, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval; NaN where a tenth of the resamples has no value."""
    valid = samples[~np.isnan(samples)]
    if valid.size == 0 or valid.size < 0.9 * samples.size:
        return nan, nan
    tail = (1 - level) / 2
    low, high = np.quantile(valid, [tail, 1 - tail])
    return float(low), float(high)


def jackknife(
    statistic: Callable[[Array], Mapping[Name, Array]], groups: Codes
) -> dict[Name, Array]:
    """The statistic's scores with each group left out once, [G] each."""

    def left_out() -> Iterator[Array]:
        count = int(groups.max()) + 1 if groups.size else 0
        step = max(1, _CELLS // max(1, len(groups)))
        for start in range(0, count, step):
            codes = np.arange(start, min(start + step, count))
            yield (codes[:, None] != groups).astype(np.float64)

    return _collected(statistic(weights) for weights in left_out())


def bca(samples: Array, value: float, without: Array, level: float = 0.95) -> tuple[float, float]:
    """The bias-corrected and accelerated interval (Efron, 1987); NaN where it is not defined.

    ``without`` [G] are the values with each group left out. Not defined where nearly no resample
    lies on one side of ``value``, or a tenth has no value.
    """
    valid, left = samples[~np.isnan(samples)], without[~np.isnan(without)]
    if valid.size == 0 or valid.size < 0.9 * samples.size or left.size < 2:
        return nan, nan
    normal = NormalDist()
    below = float((valid < value).mean() + (valid == value).mean() / 2)
    if not 0 < below < 1:
        return nan, nan
    bias, gaps = normal.inv_cdf(below), left.mean() - left
    spread = float((gaps**2).sum()) ** 1.5
    acceleration = float((gaps**3).sum()) / (6 * spread) if spread else 0.0

    def share(tail: float) -> float:
        moved = bias + normal.inv_cdf(tail)
        return normal.cdf(bias + moved / (1 - acceleration * moved))

    low, high = np.quantile(valid, [share((1 - level) / 2), share((1 + level) / 2)])
    return float(low), float(high)


def exact(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval for one proportion (1934); NaN for n = 0."""
    from scipy.special import betaincinv

    if n == 0:
        return nan, nan
    tail = (1 - level) / 2
    low = float(betaincinv(successes, n - successes + 1, tail)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    return low, high


def exchanged(groups: Codes, times: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Which rows [b, n] change systems, whole groups at a time, in pieces."""
    rng = np.random.default_rng(seed)
    count = int(groups.max()) + 1 if groups.size else 0
    step = max(1, _CELLS // max(1, len(groups)))
    for start in range(0, times if count else 0, step):
        rows = min(step, times - start)
        yield rng.integers(0, 2, size=(rows, count), dtype=np.int8).astype(bool)[:, groups]


def randomisation(
    statistic: Callable[[Array], Mapping[Name, Array]],
    groups: Codes,
    times: int = 10_000,
    seed: int = 0,
) -> dict[Name, float]:
    """Paired approximate randomisation: two-sided p = (c + 1) / (n + 1) (Noreen, 1989).

    ``statistic`` scores both systems' rows stacked, [2n], first system first. Under the null
    hypothesis a group's answers might as well have been the other system's, so whole groups
    change sides. NaN where the score cannot be computed.
    """
    n = len(groups)
    first = np.concatenate([np.ones((1, n)), np.zeros((1, n))], axis=1)
    here, there = statistic(first), statistic(1 - first)
    observed = {name: float(np.abs(here[name] - there[name])[0]) for name in here}
    reached, valid = dict.fromkeys(observed, 0), dict.fromkeys(observed, 0)
    for swap in exchanged(groups, times, seed):
        ours = np.concatenate([~swap, swap], axis=1).astype(np.float64)
        a, b = statistic(ours), statistic(1 - ours)
        for name, gap in observed.items():
            gaps = np.abs(a[name] - b[name])
            reached[name] += int((gaps >= gap - 1e-12).sum())
            valid[name] += int((~np.isnan(gaps)).sum())
    return {
        k: nan if np.isnan(g) else (reached[k] + 1) / (valid[k] + 1) for k, g in observed.items()
    }


def detectable(gaps: Array, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest true difference that would be shown ``power`` of the time, from ``gaps`` [B].

    ``gaps`` are a paired difference's bootstrap values; their spread is its standard error s. A
    normal difference of (z(1/2 + level/2) + z(power)) s has an interval above 0 that often (Cohen,
    1988). NaN where no resample differs from another: nothing is known of the spread.
    """
    valid = gaps[~np.isnan(gaps)]
    spread = float(valid.std()) if valid.size else 0.0
    normal = NormalDist().inv_cdf
    return (normal(0.5 + level / 2) + normal(power)) * spread if spread > 1e-12 else nan


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided McNemar p-value; 1.0 with no discordant pair (McNemar, 1947)."""
    n, fewer = only_first + only_second, min(only_first, only_second)
    if n == 0:
        return 1.0
    tail = sum(comb(n, k) for k in range(fewer + 1))
    return float(min(1.0, 2 * tail / 2**n))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the given order; NaN stays NaN (Holm, 1979)."""
    order = sorted((p, i) for i, p in enumerate(p_values) if not isnan(p))
    adjusted, least = [nan] * len(p_values), 0.0
    for rank, (p, i) in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p))
        adjusted[i] = least
    return adjusted


def wilson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for one proportion; NaN for n = 0 (Wilson, 1927)."""
    if not 0 <= successes <= n:
        raise VesaliusError(f"{successes:g} successes in {n:g} trials")
    if n == 0:
        return nan, nan
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = successes / n
    centre = share + z**2 / (2 * n)
    spread = z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    # Rounding must not push a bound past the proportion that it bounds.
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def paired_wilson(difference: float, n: float, level: float) -> tuple[float, float]:
    """Of two shares of the same n trials that differ by the same everywhere.

    Wilson's interval of the share of trials that differ, with the sign of the difference; both
    signs where none does.
    """
    low, high = wilson(abs(difference) * n, n, level)
    if difference == 0:
        return -high, high
    return (low, high) if difference > 0 else (-high, -low)


def trials(classes: Array, groups: Codes) -> float:
    """Of a mean over k classes: k^2 / (1/g_1 + ... + 1/g_k), g_i the groups that have class i."""
    occurring = np.unique(classes[~np.isnan(classes)])
    counts = [len(np.unique(groups[classes == one])) for one in occurring]
    return len(counts) ** 2 / sum(1 / count for count in counts)


def _collected(pieces: Iterator[Mapping[Name, Array]]) -> dict[Name, Array]:
    parts: dict[Name, list[Array]] = {}
    for piece in pieces:
        for name, values in piece.items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}
