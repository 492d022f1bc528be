"""Calibration of confidence, and the risk of answering only when sure.

Arguments are confidence [n] in [0, 1], right [n] in {0, 1} and weights [B, n] (how often each
answer was drawn); results are [B], NaN where nothing was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.evaluation.metrics.table import ratio

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of the reliability diagram: (low, high], n, mean confidence and share right."""

    low: float
    high: float
    n: int
    confidence: float
    right: float


def ece(confidence: Array, right: Array, weights: Array, bins: int = 15) -> Array:
    """Expected calibration error over equal-width bins (Guo et al., 2017)."""
    member = (_bin(confidence, bins)[:, None] == np.arange(bins)).astype(np.float64)
    gaps = np.abs(weights @ (member * (confidence - right)[:, None]))
    return ratio(gaps.sum(axis=1), weights.sum(axis=1))


def adaptive_ece(confidence: Array, right: Array, weights: Array, bins: int = 15) -> Array:
    """Calibration error over bins of equal mass (Nguyen and O'Connor, 2015).

    Answers of equal confidence stay in one bin, the one that holds the middle of their mass.
    """
    order, starts = _by_confidence(confidence)
    if not order.size:
        return np.full(len(weights), np.nan)
    mass = np.add.reduceat(weights[:, order], starts, axis=1)
    gap = np.add.reduceat(weights[:, order] * (confidence - right)[order], starts, axis=1)
    everything = mass.sum(axis=1, keepdims=True)
    middle = (np.cumsum(mass, axis=1) - mass / 2) / np.maximum(everything, 1)
    place = np.minimum((middle * bins).astype(np.int64), bins - 1)
    rows = np.arange(len(weights))[:, None] * bins
    sums = np.bincount((rows + place).ravel(), gap.ravel(), minlength=len(weights) * bins)
    gaps = np.abs(sums.reshape(-1, bins)).sum(axis=1)
    return ratio(gaps, everything[:, 0])


def mce(confidence: Array, right: Array, weights: Array, bins: int = 15) -> Array:
    """The largest gap of an equal-width bin (Naeini et al., 2015), which may hold one answer."""
    member = (_bin(confidence, bins)[:, None] == np.arange(bins)).astype(np.float64)
    gaps = np.abs(ratio(weights @ (member * (confidence - right)[:, None]), weights @ member))
    worst: Array = np.max(np.nan_to_num(gaps), axis=1, initial=0.0)
    return np.where(weights.sum(axis=1) > 0, worst, np.nan)


def nll(confidence: Array, right: Array, weights: Array, least: float = 1e-7) -> Array:
    """The mean negative log-likelihood in nats; no probability counts as below ``least``."""
    held = np.clip(np.where(right == 1, confidence, 1 - confidence), least, 1.0)
    return ratio(weights @ -np.log(held), weights.sum(axis=1))


def auprc(confidence: Array, right: Array, weights: Array) -> Array:
    """Average precision of "right" as confidence falls, ties together; NaN where none is right.

    As scikit-learn's ``average_precision_score``; at chance it is the share of right answers.
    """
    if not confidence.size:
        return np.full(len(weights), np.nan)
    order, starts = _by_confidence(-confidence)
    drawn, outcome = weights[:, order], right[order]
    hits = np.add.reduceat(drawn * outcome, starts, axis=1)
    mass = np.add.reduceat(drawn, starts, axis=1)
    precision = np.nan_to_num(ratio(np.cumsum(hits, axis=1), np.cumsum(mass, axis=1)))
    return ratio((hits * precision).sum(axis=1), hits.sum(axis=1))


def brier(confidence: Array, right: Array, weights: Array) -> Array:
    """The mean squared difference of confidence and outcome (Brier, 1950)."""
    return ratio(weights @ (confidence - right) ** 2, weights.sum(axis=1))


def auroc(confidence: Array, right: Array, weights: Array) -> Array:
    """The chance that a right answer is held with more confidence than a wrong one; ties half.

    NaN unless both right and wrong answers were drawn.
    """
    order, starts = _by_confidence(confidence)
    if not order.size:
        return np.full(len(weights), np.nan)
    drawn, outcome = weights[:, order], right[order]
    yes = np.add.reduceat(drawn * outcome, starts, axis=1)
    no = np.add.reduceat(drawn * (1 - outcome), starts, axis=1)
    won = (yes * (np.cumsum(no, axis=1) - no / 2)).sum(axis=1)
    return ratio(won, yes.sum(axis=1) * no.sum(axis=1))


def aurc(confidence: Array, right: Array, weights: Array) -> Array:
    """The area under the risk-coverage curve (Geifman and El-Yaniv, 2017); lower is better."""
    if not confidence.size:
        return np.full(len(weights), np.nan)
    mass, risk = _risks(confidence, right, weights)
    return ratio((mass * np.nan_to_num(risk)).sum(axis=1), mass.sum(axis=1))


def risk_coverage(confidence: Array, right: Array) -> tuple[Array, Array]:
    """Coverage and risk, both in [0, 1], as the threshold of confidence falls."""
    if not confidence.size:
        return np.zeros(0), np.zeros(0)
    mass, risk = _risks(confidence, right, np.ones((1, len(confidence))))
    return np.cumsum(mass[0]) / mass[0].sum(), risk[0]


def reliability(confidence: Array, right: Array, bins: int = 15) -> list[Bin]:
    """The bins of the reliability diagram that hold any answer."""
    place = _bin(confidence, bins)
    return [
        Bin(
            low=b / bins,
            high=(b + 1) / bins,
            n=int((place == b).sum()),
            confidence=float(confidence[place == b].mean()),
            right=float(right[place == b].mean()),
        )
        for b in np.unique(place).tolist()
    ]


def _bin(confidence: Array, bins: int) -> NDArray[np.int64]:
    """The bin (low, high] of each confidence; 0 belongs to the first."""
    place: NDArray[np.int64] = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(int)
    return place


def _by_confidence(confidence: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order by confidence, rising, and where each run of ties starts."""
    order = np.argsort(confidence, kind="stable")
    _, starts = np.unique(confidence[order], return_index=True)
    return order, starts


def _risks(confidence: Array, right: Array, weights: Array) -> tuple[Array, Array]:
    """Mass of each run of ties and the risk once it is answered, most confident first."""
    order, starts = _by_confidence(-confidence)
    mass = np.add.reduceat(weights[:, order], starts, axis=1)
    wrong = np.add.reduceat(weights[:, order] * (1 - right)[order], starts, axis=1)
    return mass, ratio(np.cumsum(wrong, axis=1), np.cumsum(mass, axis=1))
