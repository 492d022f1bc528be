"""Free-response scores: where marks are, how sure they are, and what they cost.

FROC holds the share of reference boxes that are marked against false boxes per image, over all
images, negatives among them; CPM is its mean over seven rates (Setio et al., 2017). wAFROC holds
each image's share of marked boxes against the surest false box of images without findings
(Chakraborty and Zhai, 2016). A box is right as in COCO at an IoU of .5; a second one on the same
reference is false. All of it works on ``matches`` [n, K, MOST, WIDTH] of all classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.evaluation.calibration import auroc
from vesalius.evaluation.metrics import Array
from vesalius.evaluation.metrics.detection.matching import Boxes
from vesalius.evaluation.metrics.detection.precision import segments
from vesalius.evaluation.metrics.table import ratio

RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""False boxes per image at which FROC is read for CPM."""
NEVER = -np.inf
"""The rating of what was not marked."""


@dataclass(frozen=True, slots=True)
class Marks:
    """All boxes of all classes that count, the surest first: image, score, right or false."""

    row: NDArray[np.int64]
    score: Array
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, matches: Array) -> Marks:
        """From all classes' cells."""
        parts = [Boxes.of(matches[:, code]) for code in range(matches.shape[1])]
        row = np.concatenate([np.zeros(0, np.int64), *(p.row[~p.ignored[:, 0]] for p in parts)])
        score = np.concatenate([np.zeros(0), *(p.score[~p.ignored[:, 0]] for p in parts)])
        right = np.concatenate([np.zeros(0, bool), *(p.right[~p.ignored[:, 0], 0] for p in parts)])
        order = np.argsort(-score, kind="stable")
        return cls(row[order], score[order], right[order])

    def highest(self, images: int, *, false: bool) -> Array:
        """The score of each image's surest box [n], or of its surest false one."""
        rating = np.full(images, NEVER)
        use = ~self.right if false else np.ones(len(self.row), bool)
        np.maximum.at(rating, self.row[use], self.score[use])
        return rating


def sensitivities(marks: Marks, lesions: Array, images: Array, weights: Array) -> Array:
    """The highest share of reference boxes with at most each of ``RATES`` false boxes an image.

    [B, rates]; ``lesions`` and ``images`` [B] are those drawn. Boxes of one score are shown
    together, so that the order of ties changes nothing.
    """
    result = np.full((len(weights), len(RATES)), np.nan)
    known = (lesions > 0) & (images > 0)
    result[known] = 0.0
    if not len(marks.row) or not known.any():
        return result
    ends = np.append(marks.score[1:] < marks.score[:-1], True)
    # A tie with no right box in it never raises the sensitivity: it only adds to the false ones.
    group = np.concatenate([[0], np.cumsum(ends)[:-1]])
    ends &= np.isin(group, group[marks.right])
    if not ends.any():
        return result
    drawn = np.ascontiguousarray(weights[known].T)
    n = weights.shape[1]
    false = np.cumsum(segments(marks.row, ends, marks.right, n) @ drawn, axis=0)
    right = np.cumsum(segments(marks.row, ends, ~marks.right, n) @ drawn, axis=0)
    for place, rate in enumerate(RATES):
        most = rate * images[known]
        within = (false <= most + 1e-9).sum(axis=0)
        best = np.take_along_axis(right, np.maximum(within - 1, 0)[None], axis=0)[0]
        result[known, place] = np.where(within > 0, best, 0.0) / lesions[known]
    return result


def wafroc(marks: Marks, lesions: Array, present: Array, weights: Array) -> Array:
    """The area under the weighted alternative FROC curve [B]; NaN without negatives or positives.

    The chance that a reference box of an image with findings is marked surer than the surest false
    box of an image without, ties half, every image with findings weighing the same, however many
    boxes it has. ``lesions`` [n] are an image's reference boxes, ``present`` whether it has
    findings at all (a crowd is one). What is not marked rates lowest.
    """
    negative, positive = np.flatnonzero(present == 0), np.flatnonzero(lesions > 0)
    right = marks.row[marks.right]
    missed = lesions - np.bincount(right, minlength=len(lesions))
    rating = np.concatenate(
        [
            marks.highest(len(lesions), false=True)[negative],
            marks.score[marks.right],
            np.full(len(positive), NEVER),
        ]
    )
    share = np.concatenate(
        [
            np.ones(len(negative)),
            1 / lesions[right],
            missed[positive] / lesions[positive],
        ]
    )
    outcome = np.concatenate([np.zeros(len(negative)), np.ones(len(right) + len(positive))])
    drawn = weights[:, np.concatenate([negative, right, positive])] * share
    return auroc(rating, outcome, drawn)


def image_auroc(marks: Marks, present: Array, weights: Array) -> Array:
    """The chance that an image with findings has a surer box than one without, ties half [B]."""
    known = ~np.isnan(present)
    rating = marks.highest(len(present), false=False)
    return auroc(rating[known], present[known], weights[:, known])


def calibration_error(gaps: Array, weights: Array, shown: Array) -> Array:
    """Expected calibration error of the boxes shown [B] (Küppers et al., 2020).

    ``gaps`` [n, bins] are sums of score minus right, ``shown`` [n] how many boxes they come from.
    """
    known = np.nan_to_num(shown)
    return ratio(np.abs(weights @ np.nan_to_num(gaps)).sum(axis=1), weights @ known)
