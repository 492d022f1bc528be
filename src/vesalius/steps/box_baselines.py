"""What a detector must beat: the mean box of training, a finding always, a finding never."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction
from vesalius.errors import ImageError
from vesalius.evaluation.table import System
from vesalius.recipe import Data
from vesalius.steps.prepare import cases

Size = tuple[int, int]
MEAN, ALWAYS, NEVER = "mean box", "always", "never"


@dataclass(frozen=True, slots=True)
class TrainingBoxes:
    """The commonest class of the training boxes, and the mean of its boxes.

    ``mean`` is left, top, width and height as shares of the picture.
    """

    label: str
    mean: tuple[float, float, float, float]

    @classmethod
    def of(cls, data: Data) -> TrainingBoxes | None:
        """Of the training split's pictures that can be read; None where none has a box."""
        shares: list[tuple[str, float, float, float, float]] = []
        for case in cases(data, data.splits.train):
            boxes = [box for box in case.boxes or () if not box.crowd]
            if not boxes or not case.pictures:
                continue
            try:
                wide, high = case.pictures[0].size()
            except ImageError:
                continue
            shares += [
                (b.label, b.x / wide, b.y / high, b.width / wide, b.height / high) for b in boxes
            ]
        if not shares:
            return None
        label = Counter(one[0] for one in shares).most_common(1)[0][0]
        mean = np.mean([one[1:] for one in shares if one[0] == label], axis=0)
        return cls(label, tuple(mean.tolist()))

    def box(self, size: Size) -> Box:
        """The mean box in a picture of this size, sure."""
        left, top, wide, high = self.mean
        across, down = size
        return Box(left * across, top * down, wide * across, high * down, self.label, score=1.0)


def box_baselines(
    predictions: Sequence[Prediction], sizes: Mapping[str, Size], training: TrainingBoxes | None
) -> list[System]:
    """The three as systems that answer the same cases; nothing where no reference has boxes.

    ``always`` shows the whole picture, ``never`` no box. Without training boxes, or the size of
    every picture, only ``never`` can be given.
    """
    if not any(r.boxes is not None for p in predictions for r in p.references):
        return []
    never = [System(NEVER, [_answered(one, ()) for one in predictions])]
    known = [sizes.get(one.picture or "") for one in predictions]
    if training is None or None in known:
        return never
    pairs = [(one, size) for one, size in zip(predictions, known, strict=True) if size]
    whole = [_answered(p, (Box(0, 0, *size, training.label, score=1.0),)) for p, size in pairs]
    mean = [_answered(p, (training.box(size),)) for p, size in pairs]
    return [System(MEAN, mean), System(ALWAYS, whole), *never]


def _answered(prediction: Prediction, boxes: tuple[Box, ...]) -> Prediction:
    """That answer to the same case, and nothing of what another model said beside its own."""
    return replace(
        prediction,
        answer=Answer(boxes=boxes),
        confidence=None,
        scores=None,
        evidence=(),
        abstained=False,
        finish=None,
        usage=None,
        notes=None,
        operating_point=None,
    )
