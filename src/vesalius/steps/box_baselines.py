"""What a detector must beat: the mean box of training, a finding always, a finding never."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vesalius.cases.box_questions import read_box_question
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
    every picture, only ``never`` can be given. A question in words about boxes is answered in words
    by the same boxes, any other with an empty text.
    """
    marked = [r.boxes for p in predictions for r in p.references if r.boxes is not None]
    if not marked:
        return []
    labels = sorted({box.label for boxes in marked for box in boxes})
    never = [System(NEVER, [_answered(one, (), (1, 1), labels) for one in predictions])]
    known = [sizes.get(one.picture or "") for one in predictions]
    if training is None or None in known:
        return never
    pairs = [(one, size) for one, size in zip(predictions, known, strict=True) if size]
    label = training.label
    whole = [_answered(p, (Box(0, 0, *size, label, score=1.0),), size, labels) for p, size in pairs]
    mean = [_answered(p, (training.box(size),), size, labels) for p, size in pairs]
    return [System(MEAN, mean), System(ALWAYS, whole), *never]


def _answered(
    prediction: Prediction, boxes: tuple[Box, ...], size: Size, labels: Sequence[str]
) -> Prediction:
    """That answer to the same case, and nothing of what another model said beside its own."""
    text = None
    if any(reference.text is not None for reference in prediction.references):
        question = read_box_question(prediction.question, labels)
        text = "" if question is None else question.answer(boxes, lambda: size)
    return replace(
        prediction,
        answer=Answer(text=text, boxes=boxes),
        confidence=None,
        scores=None,
        evidence=(),
        abstained=False,
        finish=None,
        usage=None,
        notes=None,
        operating_point=None,
    )
