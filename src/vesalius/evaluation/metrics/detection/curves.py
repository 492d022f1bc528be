"""What boxes are worth at every score, and which classes are taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, Table
from vesalius.evaluation.metrics.detection import Detection
from vesalius.evaluation.metrics.detection.free_response import Marks
from vesalius.evaluation.metrics.detection.matching import (
    AREAS,
    MOST,
    THRESHOLDS,
    WIDTH,
    answered,
    overlap,
    score,
    wanted,
)
from vesalius.evaluation.metrics.detection.precision import segments
from vesalius.evaluation.metrics.table import ratio, total

Mask = NDArray[np.bool_]
NOTHING = "no box"
"""Where a shown box has no reference, or a reference no shown box."""


@dataclass(frozen=True, slots=True)
class Curves:
    """By falling score: what boxes from that score on are worth, [B, points]; scores are [points].

    All classes together, at an IoU of .5; ``false`` are false boxes an image. ``weighted`` is the
    mean over images with findings of the share of their boxes that is marked, ``alarms`` the share
    of images without any that have a box: their curve is wAFROC's. NaN where no image is of a kind.
    """

    score: Array
    precision: Array
    recall: Array
    f1: Array
    false: Array
    weighted: Array
    alarms: Array


def curves(
    table: Table, weights: Array | None = None, scores: Array | None = None
) -> Curves | None:
    """From :class:`Detection`'s table; None without a reference box or a box.

    ``weights`` [B, n] are how often each image was drawn, by default each once; ``scores`` those at
    which the curves are read, some of the boxes', by default all.
    """
    n, classes = len(table["truth"]), table["truth"].shape[1] // len(AREAS)
    marks = Marks.of(table["matches"].reshape(n, classes + 1, MOST, WIDTH))
    lesions = np.nan_to_num(table["truth"].reshape(n, classes, len(AREAS))[:, :, 0]).sum(axis=1)
    if not lesions.any() or not len(marks.row):
        return None
    weights = np.ones((1, n)) if weights is None else weights
    ends = np.append(marks.score[1:] < marks.score[:-1], True)  # equal scores together
    if scores is not None:
        ends &= np.isin(marks.score, scores)
    positive, negative = (lesions > 0).astype(float), (table["present"] == 0).astype(float)
    first = np.zeros(len(marks.row), bool)
    first[np.unique(marks.row, return_index=True)[1]] = True

    def until(kind: Mask, each: Array) -> Array:
        """The marks of a kind up to each end [B, points]; one of an image counts ``each`` [n]."""
        return np.cumsum(segments(marks.row, ends, ~kind, n) @ (weights * each).T, axis=0).T

    right, false = until(marks.right, np.ones(n)), until(~marks.right, np.ones(n))
    due, images = (weights @ lesions)[:, None], total(table["detection.images"], weights)[:, None]
    share = np.divide(positive, lesions, out=np.zeros(n), where=lesions > 0)
    return Curves(
        score=marks.score[ends],
        precision=ratio(right, right + false),
        recall=ratio(right, due),
        f1=ratio(2 * right, right + false + due),
        false=ratio(false, images),
        weighted=ratio(until(marks.right, share), (weights @ positive)[:, None]),
        alarms=ratio(until(first, negative), (weights @ negative)[:, None]),
    )


def confusion(
    predictions: Sequence[Prediction], metric: Detection
) -> list[Counter[tuple[str, str]]]:
    """By image, how many boxes of a reference class (first) are shown as another, or ``NOTHING``.

    Boxes shown at the operating point, the surest first, each to the nearest free reference of any
    class at an IoU of .5. What lies in a crowd region of any class counts nowhere.
    """
    return [_confused(prediction, metric.point(prediction)) for prediction in predictions]


def _confused(prediction: Prediction, point: float) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    gold, boxes = wanted(prediction), answered(prediction)
    if gold is None or boxes is None:
        return counts
    confident = [box for box in boxes if score(box) >= point]
    confident.sort(key=lambda box: -score(box))
    overlaps = overlap(confident, gold)
    free = [not box.crowd for box in gold]
    for i, box in enumerate(confident):
        near = [j for j in range(len(gold)) if overlaps[i, j] >= THRESHOLDS[0]]
        best = max((j for j in near if free[j]), key=overlaps[i].__getitem__, default=None)
        if best is not None:
            free[best] = False
            counts[gold[best].label, box.label] += 1
        elif not any(gold[j].crowd for j in near):
            counts[NOTHING, box.label] += 1
    counts.update((box.label, NOTHING) for box, left in zip(gold, free, strict=True) if left)
    return counts
