"""Rank correlations of two columns [n, 2]; NaN where one of them is constant and has no order."""

from __future__ import annotations

from math import nan, sqrt, tanh
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

Array = NDArray[np.float64]
VARIANCE = 1.06
"""Of Fisher's z of Spearman's rho, times n - 3 (Fieller, Hartley and Pearson, 1957)."""
TAU_VARIANCE = 0.437
"""Of Fisher's z of Kendall's tau, times n - 4 (the same)."""


def kendall(pairs: Array) -> float:
    """Kendall's tau-b (1945)."""
    return nan if _constant(pairs) else float(kendalltau(pairs[:, 0], pairs[:, 1]).statistic)


def spearman(pairs: Array) -> float:
    """Spearman's rho (1904), ties at their mean rank."""
    return nan if _constant(pairs) else float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)


def least_spearman(n: int, *, level: float = 0.95, power: float = 0.8) -> float:
    """The rho that so many independent pairs would show with that power; NaN for fewer than four.

    By Fisher's z, two-sided.
    """
    return nan if n < 4 else tanh(_reach(level, power) * sqrt(VARIANCE / (n - 3)))


def least_kendall(n: int, *, level: float = 0.95, power: float = 0.8) -> float:
    """The tau that so many independent pairs would show with that power; NaN for fewer than five.

    By Fisher's z, two-sided.
    """
    return nan if n < 5 else tanh(_reach(level, power) * sqrt(TAU_VARIANCE / (n - 4)))


def _reach(level: float, power: float) -> float:
    """How many standard errors from 0 a value is shown with that power."""
    normal = NormalDist()
    return normal.inv_cdf(0.5 + level / 2) + normal.inv_cdf(power)


def _constant(pairs: Array) -> bool:
    return bool((pairs == pairs[0]).all(axis=0).any())
