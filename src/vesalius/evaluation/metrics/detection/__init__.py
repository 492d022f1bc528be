"""Boxes: COCO's figures, the operating point, free response (FROC), presence, calibration.

A row holds the matches of one image's boxes; what is made of all rows' matches can therefore be
resampled by patient without matching anything twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from vesalius.cases.case import Box
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.detection import free_response
from vesalius.evaluation.metrics.detection.matching import (
    AREAS,
    MOST,
    OTHER,
    WIDTH,
    answered,
    cells,
    classes_known,
    judged,
    reference_boxes,
    score,
    wanted,
)
from vesalius.evaluation.metrics.detection.precision import coco
from vesalius.evaluation.metrics.table import mean, ratio, total
from vesalius.settings import Frozen

DEFAULT_POINT = 0.5
"""The score from which a box is shown where neither metric nor prediction has another."""
_BINS = 15
_PRESENCE = ("detection.sensitivity", "detection.specificity")
_NEEDS = {
    "detection.specificity": "no negatives",
    "detection.auroc": "no negatives",
    "detection.wafroc": "no negatives",
    "detection.false_alarms": "no negatives",
}
_COUNTS = ("right", "extra", "missed", "present", "detected")


class Detection(Frozen):
    """COCO mAP (IoU .50:.05:.95, 101 recall points) and AR in [0, 1], by size of box, too.

    Of each class the 100 surest boxes of an image count; crowd regions and the boxes in them do
    not. Beside it, of the boxes shown at the operating point and at IoU .5: precision, recall, F1,
    false boxes per image, false alarms per image without findings, calibration error; and per image
    sensitivity and specificity of "any finding". Over all points: FROC's sensitivities with CPM,
    wAFROC, and AUROC of the surest box. An image without findings is a negative with no boxes; a
    box without a score counts as sure, an abstention as no box. Where no image is a negative, what
    needs one is not measured. Source: Lin et al., 2014; Chakraborty and Zhai, 2016.
    """

    confidence: float | None = Field(default=None, ge=0.0, le=1.0)
    """The score from which a box is shown, chosen on validation. Null: each prediction's own
    operating point, and .5 where it has none."""

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        own = f"each prediction's operating point, else {DEFAULT_POINT}"
        return ScoringProtocol(
            name="detection",
            implementation="vesalius, equal to COCO's evaluation (faster-coco-eval)",
            version="3",
            parameters={
                "confidence": own if self.confidence is None else self.confidence,
                "iou_at_confidence": 0.5,
                "boxes_per_class": MOST,
                "false_boxes_per_image": "over all images, negatives among them",
            },
            normalisation="labels compared exactly; pixels of the picture as decoded",
            averaging="AP over classes with reference boxes and ten IoU thresholds",
            proportions=dict.fromkeys((*_PRESENCE, "detection.precision", "detection.recall"), ""),
            better=dict.fromkeys(
                ("detection.false_boxes", "detection.false_alarms", "detection.ece"), "lower"
            ),
            needs=_NEEDS,
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Matches [n, K x 100 x 5], reference boxes [n, K x 4], and what is shown at the point."""
        due = [wanted(p) for p in predictions]
        classes = sorted({box.label for boxes in due for box in boxes or ()})
        n = len(predictions)
        matches = np.full((n, len(classes) + 1, MOST, WIDTH), np.nan)
        truth = np.full((n, len(classes) * len(AREAS)), np.nan)
        counts, gaps = np.full((n, len(_COUNTS)), np.nan), np.full((n, _BINS), np.nan)
        for i, (prediction, gold) in enumerate(zip(predictions, due, strict=True)):
            predicted = answered(prediction)
            if gold is None or predicted is None:
                continue
            named = classes_known(predicted, classes)
            matches[i] = cells(named, gold, [*classes, OTHER])
            truth[i] = reference_boxes(gold, classes)
            counts[i], gaps[i] = self._at_point(prediction, predicted, gold)
        right, extra, missed, present, detected = counts.T
        return {
            "detection.images": np.where(np.isnan(present), np.nan, 1.0),
            "detection.sensitivity": np.where(present == 1, detected, np.nan),
            "detection.specificity": np.where(present == 0, 1 - detected, np.nan),
            # Where no box is shown there is no precision, where none is due no recall.
            "detection.precision": ratio(right, right + extra),
            "detection.recall": ratio(right, right + missed),
            "detection.false_boxes": extra,
            "detection.false_alarms": np.where(present == 0, extra, np.nan),
            "matches": matches.reshape(n, (len(classes) + 1) * MOST * WIDTH),
            "truth": truth,
            "counts": counts[:, :3],
            "present": present,
            "gaps": gaps,
        }

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """COCO's twelve, the scores at the operating point, and those over all points."""
        drawn = mean(table["detection.images"], weights)  # NaN where no image was drawn
        right, extra, missed = (total(table["counts"], weights) * drawn[:, None]).T
        n, classes = len(table["truth"]), table["truth"].shape[1] // len(AREAS)
        matches = table["matches"].reshape(n, classes + 1, MOST, WIDTH)
        truth = table["truth"].reshape(n, classes, len(AREAS))
        columns = (*_PRESENCE, "detection.false_boxes", "detection.false_alarms")
        shown = table["counts"][:, :2].sum(axis=1)
        return {
            **{f"detection.{k}": v for k, v in coco(matches, truth, weights)},
            "detection.precision": ratio(right, right + extra),
            "detection.recall": ratio(right, right + missed),
            "detection.f1": ratio(2 * right, 2 * right + extra + missed),
            **{k: mean(table[k], weights) for k in columns},
            "detection.ece": free_response.calibration_error(table["gaps"], weights, shown),
            **_free(table, matches, truth, weights),
        }

    def point(self, prediction: Prediction) -> float:
        """The score from which a box of this prediction is shown."""
        if self.confidence is not None:
            return self.confidence
        return DEFAULT_POINT if prediction.operating_point is None else prediction.operating_point

    def _at_point(
        self, prediction: Prediction, predicted: Sequence[Box], gold: Sequence[Box]
    ) -> tuple[list[float], Array]:
        """``_COUNTS`` of an image, and score minus right of its shown boxes by bin of score."""
        shown = [box for box in predicted if score(box) >= self.point(prediction)]
        pairs = [pair for label in {b.label for b in shown} for pair in judged(shown, gold, label)]
        right = float(sum(hit for _, hit in pairs))
        due = sum(not box.crowd for box in gold)
        gaps = np.zeros(_BINS)
        for sure, hit in pairs:
            gaps[min(_BINS - 1, max(0, int(np.ceil(sure * _BINS)) - 1))] += sure - hit
        present = float(bool(gold))
        return [right, len(pairs) - right, due - right, present, float(bool(shown))], gaps


def _free(table: Table, matches: Array, truth: Array, weights: Array) -> dict[str, Array]:
    """The scores over all operating points, of all classes together."""
    marks = free_response.Marks.of(matches)
    images = weights @ np.nan_to_num(table["detection.images"])
    lesions = truth[:, :, 0].sum(axis=1)
    found = free_response.sensitivities(marks, total(lesions, weights), images, weights)
    by_rate = zip(free_response.RATES, found.T, strict=True)
    return {
        **{f"detection.froc_{rate:g}": values for rate, values in by_rate},
        "detection.cpm": found.mean(axis=1),
        "detection.wafroc": free_response.wafroc(marks, lesions, table["present"], weights),
        "detection.auroc": free_response.image_auroc(marks, table["present"], weights),
    }
