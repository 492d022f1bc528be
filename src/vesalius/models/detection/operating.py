"""What is chosen on validation: calibrated scores, and the score from which a box is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from vesalius.cases.case import Box
from vesalius.errors import RunError
from vesalius.models.platt import PlattScaling
from vesalius.settings import Frozen

Numbers = NDArray[np.float64]
IOU = 0.5


def matched(boxes: Sequence[Box], truth: Sequence[Box]) -> list[bool | None]:
    """Whether each box, the surest first, is a true one's first match at an IoU of .5.

    None where half of it lies in a region with many of its class: there nobody can tell.
    """
    free, right = [box for box in truth if not box.crowd], list[bool | None]()
    crowds = [box for box in truth if box.crowd]
    for box in boxes:
        same = [other for other in free if other.label == box.label]
        best = max(same, key=box.iou, default=None)
        if best is not None and box.iou(best) >= IOU:
            free.remove(best)
            right.append(True)
        else:
            within = any(box.label == c.label and box.share_in(c) >= IOU for c in crowds)
            right.append(None if within else False)
    return right


class Aim(Frozen):
    """What the score from which a box is shown is chosen for, on the validation split alone."""

    best: Literal["f1", "sensitivity", "false_alarms"] = "f1"
    """The highest F1 of boxes; or the highest score that still finds ``at`` of the true boxes; or
    the lowest one with at most ``at`` false boxes an image."""
    at: float | None = Field(default=None, gt=0.0)

    @model_validator(mode="after")
    def _has_a_number(self) -> Self:
        if (self.best == "f1") != (self.at is None):
            raise ValueError("at goes with sensitivity and false_alarms, and with these alone")
        if self.best == "sensitivity" and self.at is not None and self.at > 1:
            raise ValueError("a sensitivity is at most 1")
        return self

    def __str__(self) -> str:
        return self.best if self.at is None else f"{self.best} {self.at:g}"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The score from which a box is shown, and how it was chosen."""

    threshold: float
    aim: str
    value: float | None = None
    """What it reaches on validation: F1, sensitivity or false alarms an image."""

    @classmethod
    def chosen(
        cls, aim: Aim, scores: Numbers, right: NDArray[np.bool_], true_boxes: int, images: int
    ) -> OperatingPoint:
        """By the scores of all boxes in the validation images, and whether each was right.

        Equal scores stay together: it lies in the middle between the last score shown and the first
        that is not. Where no threshold reaches a wanted sensitivity, all boxes are shown; where all
        have too many false alarms, none is. False alarms need no true box.
        """
        if not len(scores) or not (true_boxes or aim.best == "false_alarms"):
            return cls(0.5, f"{aim}: no validation boxes")
        order = np.argsort(-scores, kind="stable")
        ranked, hits = scores[order], np.cumsum(right[order])
        last = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))
        shown, hits = last + 1, hits[last]
        values = {
            "f1": 2 * hits / (shown + true_boxes),
            "sensitivity": hits / max(1, true_boxes),
            "false_alarms": (shown - hits) / images,
        }[aim.best]
        if aim.best == "f1":
            at = int(np.argmax(values))
        elif aim.best == "sensitivity":
            enough = np.flatnonzero(values >= (aim.at or 0.0))
            at = int(enough[0]) if len(enough) else len(values) - 1
        else:
            at = int((values <= (aim.at or 0.0)).sum()) - 1
        words = f"{aim} on validation"
        if at < 0:
            return cls(float(np.nextafter(ranked[0], math.inf)), f"{words}: no box is shown", 0.0)
        below = ranked[shown[at]] if shown[at] < len(ranked) else 0.0
        threshold = float((ranked[last[at]] + below) / 2)
        value = float(values[at])
        if aim.best == "sensitivity" and value < (aim.at or 0.0):
            words += ": not reached, every box is shown"
        elif aim.best == "f1" and not value:
            words += ": no box was right"
        return cls(threshold, words, value)

    def table(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"threshold": self.threshold, "aim": self.aim, "value": self.value}

    @classmethod
    def read(cls, content: Any, where: object) -> OperatingPoint:
        """From :meth:`table`; RunError if it is none."""
        try:
            return cls(float(content["threshold"]), str(content["aim"]), content["value"])
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"not an operating point: {error}", where=where) from error


def chosen(predictions: Sequence[Any], aim: Aim) -> tuple[PlattScaling | None, OperatingPoint]:
    """PlattScaling and operating point by a validation split's raw answers."""
    scores, right, true_boxes = [], [], 0
    for prediction in predictions:
        truth = next((a.boxes for a in prediction.references if a.boxes is not None), ())
        boxes = prediction.answer.boxes
        true_boxes += sum(not box.crowd for box in truth)
        judged = zip(boxes, matched(boxes, truth), strict=True)
        for box, hit in judged:
            if hit is not None:
                scores.append(box.score)
                right.append(hit)
    values, hits = np.array(scores, np.float64), np.array(right, np.bool_)
    calibration = PlattScaling.fitted(values, hits)
    if calibration is not None:
        values = calibration(values)
    images = len(predictions)
    return calibration, OperatingPoint.chosen(aim, values, hits, true_boxes, images)
