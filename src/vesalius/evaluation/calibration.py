"""Calibration of confidence, and the risk of answering only when sure.

Arguments are confidence [n] in [0, 1], right [n] in {0, 1} and weights [B, n] (how often each
answer was drawn); results are [B], NaN where nothing was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
    return Ranks.of(confidence, right, weights).adaptive_ece(bins)


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
    return Ranks.of(confidence, right, weights).auprc()


def brier(confidence: Array, right: Array, weights: Array) -> Array:
    """The mean squared difference of confidence and outcome (Brier, 1950)."""
    return ratio(weights @ (confidence - right) ** 2, weights.sum(axis=1))


def auroc(confidence: Array, right: Array, weights: Array) -> Array:
    """The chance that a right answer is held with more confidence than a wrong one; ties half.

    NaN unless both right and wrong answers were drawn.
    """
    return Ranks.of(confidence, right, weights).auroc()


def aurc(confidence: Array, right: Array, weights: Array) -> Array:
    """The area under the risk-coverage curve (Geifman and El-Yaniv, 2017); lower is better."""
    return Ranks.of(confidence, right, weights).aurc()


@dataclass(frozen=True)
class Ranks:
    """Answers in order of falling confidence, runs of ties together, for all that rests on it.

    ``confidence`` [k] of each run; ``mass`` and ``hits`` [B, k]: the answers drawn there, and the
    right ones. What is summed from the surest on is summed once for all scores.
    """

    confidence: Array
    mass: Array
    hits: Array

    @classmethod
    def of(cls, confidence: Array, right: Array, weights: Array) -> Ranks:
        """The runs of the answers, sorted once."""
        order, starts = _by_confidence(confidence)
        drawn = weights[:, order]
        mass, hits = (_runs(one, starts) for one in (drawn, drawn * right[order]))
        return cls(confidence[order][starts], mass, hits)

    @cached_property
    def covered(self) -> Array:
        """The answers [B, k] of each run and all surer ones."""
        return np.cumsum(self.mass, axis=1)

    @cached_property
    def right(self) -> Array:
        """The right answers [B, k] of each run and all surer ones."""
        return np.cumsum(self.hits, axis=1)

    @cached_property
    def precision(self) -> Array:
        """The share [B, k] of right answers in each run and all surer ones; 0 where none is."""
        none = np.zeros_like(self.covered)
        return np.divide(self.right, self.covered, out=none, where=self.covered > 0)

    def auroc(self) -> Array:
        """See :func:`auroc`."""
        hits, everything = _all(self.right), _all(self.covered)
        before = np.einsum("bk,bk->b", self.mass - self.hits, self.right - self.hits / 2)
        return ratio(before, hits * (everything - hits))

    def auprc(self) -> Array:
        """See :func:`auprc`."""
        return ratio(np.einsum("bk,bk->b", self.hits, self.precision), _all(self.right))

    def aurc(self) -> Array:
        """See :func:`aurc`."""
        everything = _all(self.covered)
        return ratio(everything - np.einsum("bk,bk->b", self.mass, self.precision), everything)

    def adaptive_ece(self, bins: int = 15) -> Array:
        """See :func:`adaptive_ece`."""
        everything = _all(self.covered)
        scale = ratio(np.full(len(everything), float(bins)), everything)[:, None]
        middle = (self.covered - self.mass / 2) * scale
        ends = np.stack([np.searchsorted(row, np.arange(1, bins), side="right") for row in middle])
        held = np.cumsum(self.mass * self.confidence, axis=1)
        gaps = _between(held, ends) - _between(self.right, ends)
        return ratio(np.abs(gaps).sum(axis=1), everything)


def risk_coverage(confidence: Array, right: Array) -> tuple[Array, Array]:
    """Coverage and risk, both in [0, 1], as the threshold of confidence falls."""
    if not confidence.size:
        return np.zeros(0), np.zeros(0)
    ranks = Ranks.of(confidence, right, np.ones((1, len(confidence))))
    return ranks.covered[0] / ranks.covered[0, -1], 1 - ranks.precision[0]


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
    """The order by confidence, falling, and where each run of ties starts."""
    order = np.argsort(-confidence, kind="stable")
    _, starts = np.unique(-confidence[order], return_index=True)
    return order, starts


def _runs(columns: Array, starts: NDArray[np.int64]) -> Array:
    """Sums [B, k] over runs of ties of columns [B, n]."""
    if len(starts) == columns.shape[1]:
        return columns
    sums: Array = np.add.reduceat(columns, starts, axis=1)
    return sums


def _all(summed: Array) -> Array:
    """The last [B] of running sums [B, k]: of everything."""
    return summed[:, -1] if summed.shape[1] else np.zeros(len(summed))


def _between(summed: Array, ends: NDArray[np.int64]) -> Array:
    """What running sums gain [B, m + 1] up to each of the ends [B, m] and after the last."""
    whole = np.concatenate([np.zeros((len(summed), 1)), summed], axis=1)
    at = np.take_along_axis(whole, ends, axis=1)
    return np.diff(at, axis=1, prepend=0.0, append=whole[:, -1:])
