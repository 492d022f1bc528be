"""Scores as chances: Platt scaling, of a detector's boxes and of answers alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
EDGE = 1e-6
LEAST = 20
"""Fewer right or wrong ones calibrate nothing."""


@dataclass(frozen=True, slots=True)
class PlattScaling:
    """Scores p as ``sigmoid(slope * logit(p) + offset)``: order and ties stay as they are.

    Source: J. Platt, Probabilistic outputs for support vector machines, 1999.
    """

    slope: float = 1.0
    offset: float = 0.0

    @classmethod
    def fitted(cls, scores: Numbers, right: NDArray[np.bool_]) -> PlattScaling | None:
        """By the likelihood of what was right or not; None where there are too few of either."""
        if min(right.sum(), (~right).sum()) < LEAST:
            return None
        from scipy.optimize import minimize

        logits = _logit(scores)

        def cost(at: Numbers) -> float:
            margin = np.where(right, 1, -1) * (math.exp(at[0]) * logits + at[1])
            return float(np.logaddexp(0, -margin).mean())

        # The slope by its logarithm: it stays above 0, and with it the order of the scores.
        best = minimize(cost, np.zeros(2), method="Nelder-Mead").x
        return cls(float(math.exp(best[0])), float(best[1]))

    def __call__(self, scores: Numbers) -> Numbers:
        """Calibrated scores, in (0, 1)."""
        logits = self.slope * _logit(scores) + self.offset
        return np.asarray(1 / (1 + np.exp(-logits)), np.float64)


def _logit(scores: Numbers) -> Numbers:
    clipped = np.clip(scores, EDGE, 1 - EDGE)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float64)
