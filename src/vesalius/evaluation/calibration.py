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


@dataclass(frozen=True, slots=True)
class Ranks:
    """Answers in order of rising confidence, runs of ties together, for all that rests on it.

    ``confidence`` [k] of each run; ``mass`` and ``hits`` [B, k]: the answers drawn there, and the
    right ones.
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

    def auroc(self) -> Array:
        """See :func:`auroc`."""
        no = self.mass - self.hits
        won = np.einsum("bk,bk->b", self.hits, np.cumsum(no, axis=1) - no / 2)
        return ratio(won, self.hits.sum(axis=1) * no.sum(axis=1))

    def auprc(self) -> Array:
        """See :func:`auprc`."""
        precise = np.einsum("bk,bk->b", self.hits, self.precision())
        return ratio(precise, self.hits.sum(axis=1))

    def aurc(self) -> Array:
        """See :func:`aurc`."""
        everything = self.mass.sum(axis=1)
        return ratio(everything - np.einsum("bk,bk->b", self.mass, self.precision()), everything)

    def adaptive_ece(self, bins: int = 15) -> Array:
        """See :func:`adaptive_ece`."""
        everything = self.mass.sum(axis=1)
        gap = np.cumsum(self.mass * self.confidence - self.hits, axis=1)
        middle = np.cumsum(self.mass, axis=1) - self.mass / 2
        gaps = _binned(gap, middle / np.maximum(everything, 1)[:, None], bins)
        return ratio(np.abs(gaps).sum(axis=1), everything)

    def precision(self) -> Array:
        """The share [B, k] of right answers in each run and all surer ones; 0 where none is."""
        above, right = (_from_above(one) for one in (self.mass, self.hits))
        return np.divide(right, above, out=np.zeros_like(above), where=above > 0)


def risk_coverage(confidence: Array, right: Array) -> tuple[Array, Array]:
    """Coverage and risk, both in [0, 1], as the threshold of confidence falls."""
    if not confidence.size:
        return np.zeros(0), np.zeros(0)
    ranks = Ranks.of(confidence, right, np.ones((1, len(confidence))))
    mass, precision = ranks.mass[0, ::-1], ranks.precision()[0, ::-1]
    return np.cumsum(mass) / mass.sum(), 1 - precision


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


def _runs(columns: Array, starts: NDArray[np.int64]) -> Array:
    """Sums [B, k] over runs of ties of columns [B, n]."""
    if len(starts) == columns.shape[1]:
        return columns
    sums: Array = np.add.reduceat(columns, starts, axis=1)
    return sums


def _from_above(columns: Array) -> Array:
    """Sums [B, k] of each column and those after it."""
    summed = np.cumsum(columns, axis=1)
    return summed[:, -1:] - summed + columns


def _binned(summed: Array, middle: Array, bins: int) -> Array:
    """Sums [B, bins] of what ``summed`` [B, k] has added up, by the places ``middle`` in [0, 1]."""
    edges = np.arange(1, bins)
    ends = np.stack([np.searchsorted(row, edges) for row in middle * bins])
    whole = np.concatenate([np.zeros((len(summed), 1)), summed], axis=1)
    at = np.take_along_axis(whole, ends, axis=1)
    return np.diff(at, axis=1, prepend=0.0, append=whole[:, -1:])
