"""One image's boxes against its reference boxes, by COCO's rules, as numbers of a row.

A box is right, wrong, or ignored: it lies in a crowd region, or its size and its match's are not of
those that count. Source: Lin et al., 2014, and the evaluation code of COCO.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.case import Box
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array

THRESHOLDS = np.arange(50, 100, 5) / 100
"""IoU .50:.05:.95."""
MOST = 100
"""Boxes of one class in an image that count, the surest first."""
AREAS = {
    "": (0.0, np.inf),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, np.inf),
}
"""Ranges of a box's area in square pixels; both ends belong to a range, as in COCO."""
WIDTH = 1 + len(AREAS)
ABSENT = -1.0
OTHER = ""
"""The class of boxes of a class that no reference has: false wherever they are."""

_COUNT = len(THRESHOLDS)
_BITS = 1 << np.arange(2 * _COUNT)
_TINY = 1e-10


@dataclass(frozen=True, slots=True)
class Boxes:
    """All boxes of one class, the surest first: image, rank in it, score, right and ignored."""

    row: NDArray[np.int64]
    rank: NDArray[np.int64]
    score: Array
    right: NDArray[np.bool_]
    """[boxes, thresholds], as ``ignored``."""
    ignored: NDArray[np.bool_]

    @classmethod
    def of(cls, matches: Array, area: int = 0) -> Boxes:
        """From a class's cells [n, MOST, WIDTH]; ``area`` by its place in ``AREAS``."""
        row, rank = np.nonzero(matches[:, :, 1] >= 0)
        cells = matches[row, rank]
        order = np.argsort(-cells[:, 0], kind="mergesort")
        flags = (cells[order, 1 + area].astype(np.int64)[:, None] & _BITS) > 0
        return cls(row[order], rank[order], cells[order, 0], flags[:, :_COUNT], flags[:, _COUNT:])


def wanted(prediction: Prediction) -> tuple[Box, ...] | None:
    """The reference boxes, crowds among them; None where none are annotated."""
    return next((r.boxes for r in prediction.references if r.boxes is not None), None)


def answered(prediction: Prediction) -> tuple[Box, ...] | None:
    """The boxes of an answer; none in an abstention without any."""
    boxes = prediction.answer.boxes
    return () if boxes is None and prediction.abstained else boxes


def score(box: Box) -> float:
    """Its score; a box without one counts as sure."""
    return 1.0 if box.score is None else box.score


def surest(boxes: Sequence[Box], label: str) -> list[Box]:
    """The boxes of a class that count, the surest first."""
    mine = [box for box in boxes if box.label == label]
    return sorted(mine, key=lambda box: -score(box))[:MOST]


def cells(predicted: Sequence[Box], gold: Sequence[Box], classes: Sequence[str]) -> Array:
    """One row [classes, MOST, WIDTH]: scores, and by area matches as bits; the rest is absent."""
    row = np.full((len(classes), MOST, WIDTH), ABSENT)
    for code, label in enumerate(classes):
        mine, due = surest(predicted, label), [box for box in gold if box.label == label]
        row[code, : len(mine), 0] = [score(box) for box in mine]
        overlaps = overlap(mine, due)
        for place, bounds in enumerate(AREAS.values(), start=1):
            flags = np.concatenate(matched(mine, due, overlaps, bounds), axis=1)
            row[code, : len(mine), place] = flags @ _BITS
    return row


def inside(box: Box, bounds: tuple[float, float]) -> bool:
    """Whether its area is in a range."""
    return bounds[0] <= box.width * box.height <= bounds[1]


def overlap(predicted: Sequence[Box], gold: Sequence[Box]) -> Array:
    """IoU [predicted, gold]; with a crowd, the share of the predicted box that lies in it."""
    rows = [[a.share_in(b) if b.crowd else a.iou(b) for b in gold] for a in predicted]
    return np.array(rows, dtype=np.float64).reshape(len(predicted), len(gold))


def matched(
    predicted: Sequence[Box],
    gold: Sequence[Box],
    overlaps: Array,
    bounds: tuple[float, float] = AREAS[""],
    thresholds: Array = THRESHOLDS,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Greedy matching, surest box first: right and ignored, [boxes, thresholds].

    A box takes the best free reference that counts, else one that does not: then it is ignored. Of
    a crowd any number of boxes is.
    """
    crowd = np.array([box.crowd for box in gold], dtype=bool)
    counts = np.array([inside(box, bounds) for box in gold], dtype=bool) & ~crowd
    outside = np.array([not inside(box, bounds) for box in predicted], dtype=bool)
    right = np.zeros((len(predicted), len(thresholds)), dtype=bool)
    ignored = np.repeat(outside[:, None], len(thresholds), axis=1)
    if not len(gold):
        return right, ignored
    near = overlaps.max(axis=1)
    for t, threshold in enumerate(np.minimum(thresholds, 1 - _TINY)):
        free = np.ones(len(gold), dtype=bool)
        for i in np.flatnonzero(near >= threshold).tolist():
            among = (free | crowd) & (overlaps[i] >= threshold)
            among = among & counts if (among & counts).any() else among
            if not among.any():
                continue
            best = int(np.where(among, overlaps[i], -1.0).argmax())
            free[best] = False
            right[i, t], ignored[i, t] = counts[best], not counts[best]
    return right, ignored


def classes_known(predicted: Sequence[Box], classes: Sequence[str]) -> list[Box]:
    """The boxes, those of classes that no reference has under one name: the table's last class."""
    return [box if box.label in classes else replace(box, label=OTHER) for box in predicted]


def reference_boxes(gold: Sequence[Box], classes: Sequence[str]) -> list[int]:
    """How many reference boxes an image has, by class and range of area; crowds are none."""
    due = [box for box in gold if not box.crowd]
    return [
        sum(box.label == label and inside(box, bounds) for box in due)
        for label in classes
        for bounds in AREAS.values()
    ]


def judged(boxes: Sequence[Box], gold: Sequence[Box], label: str) -> list[tuple[float, bool]]:
    """Score and right or not, at IoU .5, of an image's boxes of a class; ignored ones left out."""
    mine, due = surest(boxes, label), [box for box in gold if box.label == label]
    right, ignored = matched(mine, due, overlap(mine, due), thresholds=THRESHOLDS[:1])
    rows = zip(mine, right[:, 0].tolist(), ignored[:, 0].tolist(), strict=True)
    return [(score(box), hit) for box, hit, skipped in rows if not skipped]
