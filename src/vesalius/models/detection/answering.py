"""A fitted detector: all boxes that it sees in a picture, with calibrated scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

from vesalius.cases.case import Answer, Box
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction, Usage
from vesalius.models.detection.box_classes import BoxClasses
from vesalius.models.detection.framing import Framing, Placement
from vesalius.models.guard import require_at_most, require_pictures
from vesalius.models.platt import PlattScaling
from vesalius.models.prefetch import ahead
from vesalius.recipe import Decoding

MOST = 100
"""Boxes of a class in a picture, the surest first: as many as COCO's evaluation counts."""
CANDIDATES = 300
"""Of a class, how many of the surest overlapping boxes are left out of."""
UNKNOWN = "boxes_of_classes_not_learnt"
"""What is counted of the references: no answer can be right where the name is another."""
METHOD = "detector, calibrated on validation"
RAW = "detector, not calibrated"
Detect = Callable[[Any, Tensor], tuple[Tensor, Tensor]]


@dataclass(slots=True)
class BoxAnswers:
    """A network with its way in and out.

    ``detect`` gives corners (B, N, 4) in pixels of the input and probabilities (B, N, C).
    ``overlap``: the IoU above which the less sure of two boxes of a class is left out; None for
    networks that find each thing once.
    """

    needs_image: ClassVar[bool] = True

    network: nn.Module
    detect: Detect
    framing: Framing
    classes: BoxClasses
    overlap: float | None = None
    calibration: PlattScaling | None = field(default=None)
    point: float | None = None
    """The score from which a box is shown; None before it is chosen."""

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue: its picture's boxes, at most 100 a class, surest first.

        ModelError names a dialogue without a picture, or with several, before anything is decoded.
        """
        require_pictures(dialogues)
        require_at_most(1, dialogues)
        predictions: list[Prediction] = []
        started = time.perf_counter()
        for some, pixels, places in ahead(self._batches(dialogues, decoding.batch)):
            corners, scores = self._run(pixels)
            rows = zip(corners, scores, places, strict=True)
            found = [self.boxes(*row) for row in rows]
            # Pictures are decoded ahead: what a batch took is the time since the one before it.
            ended = time.perf_counter()
            usage = Usage(seconds=(ended - started) / len(some))
            started = ended
            pairs = zip(some, found, strict=True)
            predictions += [self._prediction(*pair, usage) for pair in pairs]
        return predictions

    def boxes(self, corners: Tensor, scores: Tensor, place: Placement) -> list[Box]:
        """The boxes of one picture from corners (N, 4) and probabilities (N, C)."""
        most = MOST if self.overlap is None else CANDIDATES
        values, rows = scores.topk(min(most, len(scores)), dim=0)
        labels = torch.arange(scores.shape[1]).expand_as(rows)
        values, rows, labels = (one.T.reshape(-1) for one in (values, rows, labels))
        if self.overlap is not None:
            left = batched_nms(corners[rows], values, labels, self.overlap)
            values, rows, labels = values[left], rows[left], labels[left]
            by_class = ((labels == label).nonzero()[:MOST, 0] for label in range(scores.shape[1]))
            left = torch.cat(list(by_class))
            values, rows, labels = values[left], rows[left], labels[left]
        order = torch.argsort(values, descending=True, stable=True)
        own = place.back(corners[rows[order]]).tolist()
        probabilities = values[order].double().numpy()
        if self.calibration is not None:
            probabilities = self.calibration(probabilities)
        named = zip(own, labels[order].tolist(), probabilities.tolist(), strict=True)
        return [
            Box(x1, y1, x2 - x1, y2 - y1, self.classes.names[label], score=score)
            for (x1, y1, x2, y2), label, score in named
            if x2 > x1 and y2 > y1
        ]

    def _batches(
        self, dialogues: Sequence[Dialogue], batch: int
    ) -> Iterator[tuple[Sequence[Dialogue], Tensor, list[Placement]]]:
        for start in range(0, len(dialogues), batch):
            some = dialogues[start : start + batch]
            images = [picture.pixels() for picture in require_pictures(some)]
            places = [self.framing.place(image.size) for image in images]
            pixels = map(self.framing.pixels, images, places)
            yield some, torch.stack(list(pixels)), places

    def _run(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        training, device = self.network.training, next(self.network.parameters()).device
        self.network.eval()
        try:
            with torch.inference_mode():
                corners, scores = self.detect(self.network, pixels.to(device))
        finally:
            self.network.train(training)
        return corners.float().cpu(), scores.float().cpu()

    def _prediction(self, dialogue: Dialogue, boxes: list[Box], usage: Usage) -> Prediction:
        surest = max((box.score or 0.0 for box in boxes), default=0.0)
        method = RAW if self.calibration is None else METHOD
        unknown = self.classes.outside([dialogue])
        return Prediction.of(
            dialogue,
            Answer(boxes=tuple(boxes)),
            confidence=Confidence(surest, method),
            operating_point=self.point,
            usage=usage,
            notes={UNKNOWN: unknown} if unknown else None,
        )
