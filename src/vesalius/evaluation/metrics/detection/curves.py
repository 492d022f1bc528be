"""What boxes are worth at every score, and which classes are taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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

NOTHING = "no box"
"""Where a shown box has no reference, or a reference no shown box."""


@dataclass(frozen=True, slots=True)
class Curves:
    """By falling score, equal scores together: what boxes from that score on are worth, [points].

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


def curves(table: Table) -> Curves | None:
    """From :class:`Detection`'s table; None without a reference box or a box."""
    n, classes = len(table["truth"]), table["truth"].shape[1] // len(AREAS)
    marks = Marks.of(table["matches"].reshape(n, classes + 1, MOST, WIDTH))
    lesions = table["truth"].reshape(n, classes, len(AREAS))[:, :, 0].sum(axis=1)
    due = float(np.nansum(lesions))
    if not due or not len(marks.row):
        return None
    ends = np.append(marks.score[1:] < marks.score[:-1], True)
    right, count = np.cumsum(marks.right)[ends], np.flatnonzero(ends) + 1
    images = float(np.nansum(table["detection.images"]))
    return Curves(
        score=marks.score[ends],
        precision=right / count,
        recall=right / due,
        f1=2 * right / (count + due),
        false=(count - right) / images,
        weighted=_weighted(marks, lesions)[ends],
        alarms=_alarms(marks, table["present"])[ends],
    )


def _weighted(marks: Marks, lesions: Array) -> Array:
    """By mark, the mean share of an image's reference boxes that is marked until then."""
    share = np.zeros(len(marks.row))
    share[marks.right] = 1 / lesions[marks.row[marks.right]]
    images = np.count_nonzero(lesions > 0)
    return np.cumsum(share) / images if images else np.full(len(share), np.nan)


def _alarms(marks: Marks, present: Array) -> Array:
    """By mark, the share of images without findings that have one until then."""
    first = np.zeros(len(marks.row))
    first[np.unique(marks.row, return_index=True)[1]] = 1
    first[present[marks.row] != 0] = 0
    images = np.count_nonzero(present == 0)
    return np.cumsum(first) / images if images else np.full(len(first), np.nan)


def confusion(
    predictions: Sequence[Prediction], metric: Detection
) -> Mapping[tuple[str, str], int]:
    """How many boxes of a reference class (first) are shown as another (second), ``NOTHING`` too.

    Boxes shown at the operating point, the surest first, each to the nearest free reference of any
    class at an IoU of .5. What lies in a crowd region of any class counts nowhere.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for prediction in predictions:
        gold, boxes = wanted(prediction), answered(prediction)
        if gold is None or boxes is None:
            continue
        confident = [box for box in boxes if score(box) >= metric.point(prediction)]
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
