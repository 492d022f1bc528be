"""From probabilities to concepts: a threshold a label, chosen on validation, and how many.

The score is the challenge's: F1 of an image, averaged over images; both empty is 1.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import RunError
from vesalius.models.tagging.space import MOST, Mask, Shares

GRID = np.arange(1, 40) / 40
"""Thresholds that are tried for all labels together."""
CANDIDATES = 24
"""Thresholds that are tried for one label: quantiles of its probabilities."""
ROUNDS = 2
Numbers = NDArray[np.float64]


def image_f1(chosen: Mask, truth: Mask) -> Numbers:
    """F1 of each image (n,) from chosen and true labels (n, L)."""
    return _f1((chosen & truth).sum(1), chosen.sum(1) + truth.sum(1))


def _f1(same: Any, both: Any) -> Numbers:
    values = np.divide(2.0 * same, both, out=np.ones(np.shape(both)), where=both > 0)
    return np.asarray(values, np.float64)


def one_threshold(shares: Shares, truth: Mask) -> float:
    """The one of the grid with the highest mean F1 for all labels (n, L); the middle of equals."""
    means = np.array([image_f1(shares >= threshold, truth).mean() for threshold in GRID])
    best = np.flatnonzero(means >= means.max() - 1e-12)
    return float(GRID[best[len(best) // 2]])


def label_thresholds(shares: Shares, truth: Mask, *, floor: float) -> Numbers:
    """A threshold for each label (L,), by coordinate ascent from the one for all.

    Label by label, the most frequent first, the candidate with the highest mean F1 is taken, and
    only if it is better than what was there. A label that no validation image has cannot be tuned:
    its threshold is at least ``floor``.
    """
    start = one_threshold(shares, truth)
    thresholds = np.full(shares.shape[1], start)
    positives = truth.sum(0)
    thresholds[positives == 0] = max(start, floor)
    chosen = shares >= thresholds
    same, both = (chosen & truth).sum(1), chosen.sum(1) + truth.sum(1)
    for _ in range(ROUNDS):
        for label in np.argsort(-positives, kind="stable")[: int((positives > 0).sum())]:
            column, true, before = shares[:, label], truth[:, label], chosen[:, label]
            rest_same, rest_both = same - (before & true), both - before
            tried = _candidates(column)
            picks = column[:, None] >= tried
            f1 = _f1(rest_same[:, None] + (picks & true[:, None]), rest_both[:, None] + picks)
            means, now = f1.mean(0), _f1(same, both).mean()
            best = int(np.argmax(means))
            if means[best] > now + 1e-12:
                thresholds[label], chosen[:, label] = tried[best], picks[:, best]
                same, both = rest_same + (picks[:, best] & true), rest_both + picks[:, best]
    return thresholds


def _candidates(column: Shares) -> Numbers:
    """Thresholds between the values of a label's probabilities (n,), and one above all."""
    values = np.unique(column).astype(np.float64)
    between = (values[1:] + values[:-1]) / 2
    some = between[np.linspace(0, len(between) - 1, min(CANDIDATES, len(between))).astype(int)]
    return np.append(some, np.nextafter(values[-1], math.inf))


@dataclass(frozen=True, slots=True)
class CountInterval:
    """How many concepts an image has: ``intercept + slope * (sum of its probabilities)``.

    ``radius`` is the split-conformal quantile of the absolute errors on held-out validation
    images: a new image's number lies within it with at least the probability that was wanted, if
    it is one of the same kind. Infinite where too few images were held out, or left for the line.
    Source: J. Lei et al., Distribution-free predictive inference for regression, JASA 2018.
    """

    intercept: float
    slope: float
    radius: float

    @classmethod
    def fitted(
        cls, totals: Numbers, numbers: Numbers, held_out: Mask, *, level: float
    ) -> CountInterval:
        """The line by least squares on the images not held out, the radius on those that are."""
        line = np.stack([np.ones(int((~held_out).sum())), totals[~held_out]], axis=1)
        intercept, slope = np.linalg.lstsq(line, numbers[~held_out], rcond=None)[0]
        errors = np.sort(np.abs(numbers - (intercept + slope * totals))[held_out])
        rank = math.ceil((len(errors) + 1) * level)
        known = len(line) > 1 and rank <= len(errors)  # else there is no line, or no promise
        radius = float(errors[rank - 1]) if known else math.inf
        return cls(float(intercept), float(slope), radius)

    def bounds(self, total: float) -> tuple[int, int]:
        """The least and the largest number of concepts, in [0, 100]."""
        number = self.intercept + self.slope * total
        if math.isinf(self.radius):
            return 0, MOST
        low = min(MOST, max(0, math.ceil(number - self.radius - 1e-9)))
        return low, min(MOST, max(low, math.floor(number + self.radius + 1e-9)))


@dataclass(frozen=True, slots=True)
class ConceptRule:
    """A threshold a label, at most ``most`` concepts, and how many there should be."""

    thresholds: Numbers
    most: int = MOST
    count: CountInterval | None = None

    def choose(self, shares: Shares) -> list[int]:
        """The places of an image's concepts by falling probability (L,); none of them twice.

        Where the thresholds give fewer than the interval's lower bound the likeliest others are
        added, where they give more than the upper one the least likely go.
        """
        order = np.argsort(-shares, kind="stable")
        chosen = [int(place) for place in order if shares[place] >= self.thresholds[place]]
        low, high = (0, self.most) if self.count is None else self.count.bounds(float(shares.sum()))
        if len(chosen) < low:
            others = [int(place) for place in order if place not in set(chosen)]
            added = chosen + others[: low - len(chosen)]
            chosen = sorted(added, key=lambda place: (-shares[place], place))
        return chosen[: min(high, self.most)]

    def table(self) -> dict[str, Any]:
        """As JSON has it; an infinite radius is null."""
        count = self.count
        line = None
        if count is not None:
            radius = None if math.isinf(count.radius) else count.radius
            line = {"intercept": count.intercept, "slope": count.slope, "radius": radius}
        return {"thresholds": self.thresholds.tolist(), "most": self.most, "count": line}

    @classmethod
    def read(cls, content: Any, labels: int, where: object) -> ConceptRule:
        """From :meth:`table`; RunError if it is none, or of another number of labels."""
        try:
            thresholds = np.array(content["thresholds"], np.float64)
            line = content["count"]
            count = None
            if line is not None:
                radius = math.inf if line["radius"] is None else float(line["radius"])
                count = CountInterval(float(line["intercept"]), float(line["slope"]), radius)
            rule = cls(thresholds, int(content["most"]), count)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"not a rule for concepts: {error}", where=where) from error
        if thresholds.shape != (labels,):
            raise RunError(f"thresholds for {len(thresholds)} of {labels} concepts", where=where)
        return rule


def fit_rule(
    shares: Shares, truth: Mask, groups: Sequence[str], *, floor: float, level: float | None,
    most: int = MOST, each: bool = True,
) -> ConceptRule:  # fmt: skip
    """The rule chosen on validation: probabilities and truth (n, L), the images' patients.

    ``each``: a threshold a label, else one for all. ``level``: of the interval of the number of
    concepts; None: thresholds alone decide. About half of the patients are held out for it.
    """
    if each:
        thresholds = label_thresholds(shares, truth, floor=floor)
    else:
        thresholds = np.full(shares.shape[1], one_threshold(shares, truth))
    if level is None:
        return ConceptRule(thresholds, most)
    # By a hash: patients' names may follow time or place, and halves must not.
    digests = [hashlib.sha256(group.encode()).digest() for group in groups]
    held_out = np.array([digest[0] % 2 == 1 for digest in digests], np.bool_)
    totals, numbers = shares.sum(1).astype(np.float64), truth.sum(1).astype(np.float64)
    return ConceptRule(
        thresholds, most, CountInterval.fitted(totals, numbers, held_out, level=level)
    )
