"""Boxes: COCO average precision, precision and recall at one confidence, and image-level presence.

A row holds the matches of one image's boxes; average precision is made of all rows' matches, so
that it too can be resampled by patient without matching anything twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vesalius.cases.case import Box
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import mean, ratio, total
from vesalius.settings import Frozen

THRESHOLDS = np.arange(50, 100, 5) / 100  # IoU .50:.05:.95
_RECALLS = np.linspace(0.0, 1.0, 101)
_MOST = 100  # boxes of one class in an image that count, the surest first
_BITS = 1 << np.arange(len(THRESHOLDS))  # the matches of a box at every threshold, as one number
_ABSENT = -1.0


class Detection(Frozen):
    """COCO mAP (IoU .50:.05:.95, 101 recall points) and AR in [0, 1].

    Of each class the 100 surest boxes of an image count. Beside it precision, recall and F1 of
    boxes at a stated confidence and IoU .5, and sensitivity and specificity of "any finding" per
    image at that confidence. An image without findings is a negative with no boxes; a box without
    a score counts as sure, an abstention as no box. Source: Lin et al., 2014.
    """

    confidence: float = Field(default=0.5, ge=0.0, le=1.0)
    """The confidence from which a box is shown; choose it on the validation split."""

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="detection",
            implementation="vesalius, equal to COCO's evaluation (faster-coco-eval)",
            version="2",
            parameters={
                "confidence": self.confidence,
                "iou_at_confidence": 0.5,
                "boxes_per_class": _MOST,
            },
            normalisation="labels compared exactly; pixels of the picture as decoded",
            averaging="AP over classes with reference boxes and ten IoU thresholds",
            proportions=dict.fromkeys((*_PRESENCE, "detection.precision", "detection.recall"), ""),
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Matches [n, K x 100 x 2], reference boxes by class [n, K], counts at the confidence."""
        wanted = [_wanted(p) for p in predictions]
        classes = sorted({box.label for boxes in wanted for box in boxes or ()})
        n = len(predictions)
        matches = np.full((n, len(classes) * _MOST * 2), np.nan)
        truth = np.full((n, len(classes)), np.nan)
        counts = np.full((n, 5), np.nan)
        for i, (prediction, gold) in enumerate(zip(predictions, wanted, strict=True)):
            predicted = _predicted(prediction)
            if gold is None or predicted is None:
                continue
            matches[i] = _matches(predicted, gold, classes)
            truth[i] = [sum(box.label == label for box in gold) for label in classes]
            counts[i] = self._counts(predicted, gold)
        present, detected = counts[:, 3], counts[:, 4]
        return {
            "detection.images": np.where(np.isnan(present), np.nan, 1.0),
            "detection.sensitivity": np.where(present == 1, detected, np.nan),
            "detection.specificity": np.where(present == 0, 1 - detected, np.nan),
            # Where no box is shown there is no precision, where none is due no recall.
            "detection.precision": ratio(counts[:, 0], counts[:, 0] + counts[:, 1]),
            "detection.recall": ratio(counts[:, 0], counts[:, 0] + counts[:, 2]),
            "matches": matches,
            "truth": truth,
            "counts": counts[:, :3],
        }

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """mAP, AP50, AP75, AR at 1, 10 and 100 boxes, and the scores at the confidence."""
        drawn = mean(table["detection.images"], weights)  # NaN where no image was drawn
        right, extra, missed = (total(table["counts"], weights) * drawn[:, None]).T
        sides = {k: mean(table[k], weights) for k in _PRESENCE}
        return {
            **_curves(table, weights),
            "detection.precision": ratio(right, right + extra),
            "detection.recall": ratio(right, right + missed),
            "detection.f1": ratio(2 * right, 2 * right + extra + missed),
            **sides,
        }

    def _counts(self, predicted: Sequence[Box], gold: Sequence[Box]) -> list[float]:
        """Boxes right, extra and missed; whether a finding is there; whether one was shown."""
        confident = [box for box in predicted if _score(box) >= self.confidence]
        labels = {box.label for box in gold} | {box.label for box in confident}
        right = sum(
            _matched(
                [b for b in _ordered(confident) if b.label == label],
                [b for b in gold if b.label == label],
                THRESHOLDS[:1],
            ).sum()
            for label in labels
        )
        present, detected = float(bool(gold)), float(bool(confident))
        return [right, len(confident) - right, len(gold) - right, present, detected]


_PRESENCE = ("detection.sensitivity", "detection.specificity")


@dataclass(frozen=True, slots=True)
class _ClassBoxes:
    """All boxes of one class in falling order of score: their rows, ranks and matches."""

    row: NDArray[np.int64]
    rank: NDArray[np.int64]
    match: Array  # [boxes, thresholds]


def _wanted(prediction: Prediction) -> tuple[Box, ...] | None:
    return next((r.boxes for r in prediction.references if r.boxes is not None), None)


def _predicted(prediction: Prediction) -> tuple[Box, ...] | None:
    """The boxes of an answer; none in an abstention without any."""
    boxes = prediction.answer.boxes
    return () if boxes is None and prediction.abstained else boxes


def _score(box: Box) -> float:
    return 1.0 if box.score is None else box.score


def _ordered(boxes: Sequence[Box]) -> list[Box]:
    return sorted(boxes, key=lambda box: -_score(box))


def _matches(predicted: Sequence[Box], gold: Sequence[Box], classes: Sequence[str]) -> Array:
    """One row: of each class the surest boxes' score and matches as bits; the rest is absent."""
    row = np.full((len(classes), _MOST, 2), _ABSENT)
    ordered = _ordered(predicted)
    for code, label in enumerate(classes):
        mine = [box for box in ordered if box.label == label][:_MOST]
        flags = _matched(mine, [box for box in gold if box.label == label], THRESHOLDS)
        row[code, : len(mine), 0] = [_score(box) for box in mine]
        row[code, : len(mine), 1] = flags @ _BITS
    return row.ravel()


def _matched(predicted: Sequence[Box], gold: Sequence[Box], thresholds: Array) -> Array:
    """Greedy matching, surest box first, to the best free reference: [boxes, thresholds]."""
    flags = np.zeros((len(predicted), len(thresholds)))
    overlaps = np.array([[a.iou(b) for b in gold] for a in predicted]).reshape(
        len(predicted), len(gold)
    )
    for t, threshold in enumerate(thresholds):
        free = np.ones(len(gold), dtype=bool)
        for i in range(len(predicted)):
            open_overlaps = np.where(free, overlaps[i], -1.0)
            if open_overlaps.size and open_overlaps.max() >= threshold:
                free[open_overlaps.argmax()] = False
                flags[i, t] = 1.0
    return flags


def _curves(table: Table, weights: Array) -> dict[str, Array]:
    truth = table["truth"]
    matches = table["matches"].reshape(*truth.shape, _MOST, 2)
    precise: list[Array] = []  # a class each, [B, thresholds]
    recalled: dict[int, list[Array]] = {1: [], 10: [], 100: []}
    for code in range(truth.shape[1]):
        boxes = _of_class(matches[:, code])
        positives = total(truth[:, code], weights)
        precise.append(_average_precision(boxes, positives, weights))
        for most, recalls in recalled.items():
            within = boxes.match * (boxes.rank < most)[:, None]
            hits = weights[:, boxes.row] @ within
            recalls.append(ratio(hits, np.broadcast_to(positives[:, None], hits.shape)))
    by_threshold = _mean(precise, weights)
    return {
        "detection.map": by_threshold.mean(axis=1),
        "detection.ap50": by_threshold[:, 0],
        "detection.ap75": by_threshold[:, 5],
        **{f"detection.ar{k}": _mean(v, weights).mean(axis=1) for k, v in recalled.items()},
    }


def _of_class(matches: Array) -> _ClassBoxes:
    row, rank = np.nonzero(matches[:, :, 1] >= 0)
    score, bits = matches[row, rank].T
    order = np.argsort(-score, kind="mergesort")
    flags = (bits[order].astype(np.int64)[:, None] & _BITS) > 0
    return _ClassBoxes(row[order], rank[order], flags.astype(np.float64))


def _average_precision(boxes: _ClassBoxes, positives: Array, weights: Array) -> Array:
    """Interpolated precision at 101 recalls, averaged: [B, thresholds]; NaN without positives."""
    result = np.full((len(weights), len(THRESHOLDS)), np.nan)
    for b in np.flatnonzero(positives > 0).tolist():
        drawn = weights[b, boxes.row][:, None]
        right = np.cumsum(drawn * boxes.match, axis=0)
        count = np.cumsum(drawn, axis=0)
        precision = right / np.maximum(count, np.spacing(1))
        highest = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        recall = right / positives[b]
        for t in range(len(THRESHOLDS)):
            places = np.searchsorted(recall[:, t], _RECALLS, side="left")
            reached = places[places < len(recall)]
            result[b, t] = highest[reached, t].sum() / len(_RECALLS)
    return result


def _mean(classes: Sequence[Array], weights: Array) -> Array:
    """The mean over the classes that have reference boxes among the drawn images."""
    if not classes:
        return np.full((len(weights), len(THRESHOLDS)), np.nan)
    stacked = np.stack(classes)
    known = (~np.isnan(stacked)).sum(axis=0).astype(np.float64)
    return ratio(np.nan_to_num(stacked).sum(axis=0), known)
