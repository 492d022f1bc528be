"""Calibration of confidence, and the risk of answering only when sure.

Arguments are confidence [n] in [0, 1], right [n] in {0, 1} and weights [B, n] (how often each
answer was drawn); results are [B], NaN where nothing was drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.evaluation.metrics.table import ratio

Array = NDArray[np.float64]
Counts = NDArray[Any]
"""int32 where weights are whole numbers, which are summed much faster; else float64."""

_CELLS = 60_000  # counts held at once: running sums stay in a core's cache


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
    return binned(confidence, right, weights, bins)[0]


def adaptive_ece(confidence: Array, right: Array, weights: Array, bins: int = 15) -> Array:
    """Calibration error over bins of equal mass (Nguyen and O'Connor, 2015).

    Answers of equal confidence stay in one bin, the one that holds the middle of their mass.
    """
    return ranked(confidence, right, weights, partial(Ranks.adaptive_ece, bins=bins))[0]


def mce(confidence: Array, right: Array, weights: Array, bins: int = 15) -> Array:
    """The largest gap of an equal-width bin (Naeini et al., 2015), which may hold one answer."""
    return binned(confidence, right, weights, bins)[1]


def binned(confidence: Array, right: Array, weights: Array, bins: int = 15) -> tuple[Array, Array]:
    """:func:`ece` and :func:`mce`, from the same sums."""
    member = (_bin(confidence, bins)[:, None] == np.arange(bins)).astype(np.float64)
    sums = weights @ np.hstack([member * (confidence - right)[:, None], member])
    gaps, mass = np.abs(sums[:, :bins]), sums[:, bins:]
    everything = mass.sum(axis=1)
    worst: Array = np.max(np.nan_to_num(ratio(gaps, mass)), axis=1, initial=0.0)
    return ratio(gaps.sum(axis=1), everything), np.where(everything > 0, worst, np.nan)


def nll(confidence: Array, right: Array, weights: Array, least: float = 1e-7) -> Array:
    """The mean negative log-likelihood in nats; no probability counts as below ``least``."""
    held = np.clip(np.where(right == 1, confidence, 1 - confidence), least, 1.0)
    return ratio(weights @ -np.log(held), weights.sum(axis=1))


def auprc(confidence: Array, right: Array, weights: Array) -> Array:
    """Average precision of "right" as confidence falls, ties together; NaN where none is right.

    As scikit-learn's ``average_precision_score``; at chance it is the share of right answers.
    """
    return ranked(confidence, right, weights, Ranks.auprc)[0]


def brier(confidence: Array, right: Array, weights: Array) -> Array:
    """The mean squared difference of confidence and outcome (Brier, 1950)."""
    return ratio(weights @ (confidence - right) ** 2, weights.sum(axis=1))


def auroc(confidence: Array, right: Array, weights: Array) -> Array:
    """The chance that a right answer is held with more confidence than a wrong one; ties half.

    NaN unless both right and wrong answers were drawn.
    """
    return ranked(confidence, right, weights, Ranks.auroc)[0]


def aurc(confidence: Array, right: Array, weights: Array) -> Array:
    """The area under the risk-coverage curve (Geifman and El-Yaniv, 2017); lower is better."""
    return ranked(confidence, right, weights, Ranks.aurc)[0]


def ranked(
    confidence: Array, right: Array, weights: Array, *scores: Callable[[Ranks], Array]
) -> list[Array]:
    """Scores [B] that rest on the order of confidence, sorted and summed once for all of them."""
    order, starts = _by_confidence(confidence)
    held, hit = confidence[order][starts], _counts(right[order])
    step = max(1, _CELLS // max(1, len(order)))
    pieces: list[list[Array]] = []
    for top in range(0, len(weights), step):
        drawn = np.take(_counts(weights[top : top + step]), order, axis=1)
        ranks = Ranks(held, _runs(drawn, starts), _runs(drawn * hit, starts))
        pieces.append([score(ranks) for score in scores])
    return [np.concatenate(values) for values in zip(*pieces, strict=True)]


@dataclass(frozen=True)
class Ranks:
    """Answers in order of falling confidence, runs of ties together, for all that rests on it.

    ``confidence`` [k] of each run; ``mass`` and ``hits`` [B, k]: the answers drawn there, and the
    right ones. What is summed from the surest on is summed once for all scores, in whole numbers.
    """

    confidence: Array
    mass: Counts
    hits: Counts

    @cached_property
    def covered(self) -> Counts:
        """The answers [B, k] of each run and all surer ones."""
        return _summed(self.mass)

    @cached_property
    def right(self) -> Counts:
        """The right answers [B, k] of each run and all surer ones."""
        return _summed(self.hits)

    @cached_property
    def precision(self) -> Array:
        """The share [B, k] of right answers in each run and all surer ones; 0 where none is."""
        share: Array = self.right / np.where(self.covered > 0, self.covered, 1)
        return share

    def auroc(self) -> Array:
        """See :func:`auroc`."""
        hits, everything = _all(self.right), _all(self.covered)
        # Each answer times the right ones before it, ties half; those of right ones are hits^2 / 2.
        before = _dot(self.mass, self.right) - (_dot(self.mass, self.hits) + hits**2) / 2
        return ratio(before, hits * (everything - hits))

    def auprc(self) -> Array:
        """See :func:`auprc`."""
        return ratio(_dot(self.hits, self.precision), _all(self.right))

    def aurc(self) -> Array:
        """See :func:`aurc`."""
        everything = _all(self.covered)
        return ratio(everything - _dot(self.mass, self.precision), everything)

    def adaptive_ece(self, bins: int = 15) -> Array:
        """See :func:`adaptive_ece`."""
        everything = _all(self.covered)
        rows = zip(self.covered, self.mass, strict=True)
        ends = np.array([_equal_parts(*row, bins) for row in rows]).reshape(-1, bins - 1)
        gaps = _between(self.mass, self.confidence, ends) - _between(self.hits, 1.0, ends)
        return ratio(np.abs(gaps).sum(axis=1), everything)


def risk_coverage(confidence: Array, right: Array) -> tuple[Array, Array]:
    """Coverage and risk, both in [0, 1], as the threshold of confidence falls."""
    if not confidence.size:
        return np.zeros(0), np.zeros(0)
    order, starts = _by_confidence(confidence)
    each = np.ones((1, len(order)))
    hits = _runs(each * right[order], starts)
    ranks = Ranks(confidence[order][starts], _runs(each, starts), hits)
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


def _counts(weights: Array) -> Counts:
    whole = weights.astype(np.int32)
    return whole if np.array_equal(whole, weights) else weights


def _runs(columns: Counts, starts: NDArray[np.int64]) -> Counts:
    """Sums [B, k] over runs of ties of columns [B, n]."""
    if len(starts) == columns.shape[1]:
        return columns
    sums: Counts = np.add.reduceat(columns, starts, axis=1)
    return sums


def _summed(counts: Counts) -> Counts:
    """Running sums [B, k] in the type of what is summed; NumPy widens whole numbers otherwise."""
    sums: Counts = np.cumsum(counts, axis=1, dtype=counts.dtype)
    return sums


def _all(summed: Counts) -> Array:
    """The last [B] of running sums [B, k]: of everything."""
    last = summed[:, -1] if summed.shape[1] else np.zeros(len(summed))
    return last.astype(np.float64)


def _equal_parts(covered: Counts, mass: Counts, bins: int) -> NDArray[np.int64]:
    """Where [bins - 1] the middle of a run's mass first lies beyond 1, 2, ... parts of it all."""
    if not len(covered):
        return np.zeros(bins - 1, np.int64)
    part = np.arange(1, bins) * float(covered[-1])
    # The first run that ends beyond it; the next, if the middle of that one does not.
    first = np.searchsorted(covered, part / bins, side="right")
    run = np.minimum(first, len(covered) - 1)
    middle = 2.0 * covered[run] - mass[run]
    return np.minimum(first + (middle * bins <= 2 * part), len(covered))


def _dot(counts: Counts, values: Counts) -> Array:
    """The sums [B] of products, row by row; whole numbers may outgrow their own type."""
    sums: Array = np.vecdot(counts, values, dtype=np.float64)
    return sums


def _between(counts: Counts, values: Array | float, ends: NDArray[np.int64]) -> Array:
    """Sums [B, m + 1] of counts [B, k] x values up to each end [B, m] and after the last."""
    rows, width = counts.shape
    flat = np.zeros(rows * width + 1)  # a part that is empty may start behind the last of all
    np.multiply(counts, values, out=flat[:-1].reshape(rows, width))
    starts = np.hstack([np.zeros((rows, 1), np.int64), ends])
    places = starts + width * np.arange(rows)[:, None]
    sums: Array = np.add.reduceat(flat, places.ravel()).reshape(starts.shape)
    # Of an empty part reduceat gives the element where it starts.
    return np.where(starts < np.hstack([ends, np.full((rows, 1), width)]), sums, 0.0)
