"""Batches that detectors train on: pictures changed, and their boxes with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from vesalius.cases.dialogue import Dialogue
from vesalius.models.detection.answering import BoxAnswers
from vesalius.models.detection.settings import Augmentation
from vesalius.models.guard import require_pictures
from vesalius.training.settings import Training


class Batches:
    """Makes batches of changed pictures, each by its number in the whole training.

    Batches are made ahead of the step that they are of, so numbers drawn from torch's generator
    would be others after a killed fit goes on: ``first`` is how many were trained on before.
    Subprocesses (``training.workers``) count by themselves, and change pictures otherwise then.
    """

    def __init__(self, model: BoxAnswers, changed: Augmentation, seed: int, first: int) -> None:
        self._model, self._changed, self._seed, self._number = model, changed, seed, first

    def __call__(self, some: Sequence[Dialogue]) -> dict[str, Any]:
        """``pixel_values`` (B, 3, S, S), ``labels`` and ``ids`` of the next batch."""
        draws = np.random.default_rng((self._seed, self._number)).random((len(some), 3))
        self._number += 1
        return collate(some, draws.tolist(), model=self._model, changed=self._changed)


def batches_before(step: int, rows: int, training: Training, processes: int = 1) -> int:
    """How many batches a process has trained on after so many optimizer steps."""
    each = math.ceil(math.ceil(rows / processes) / training.batch)
    epochs, left = divmod(step, math.ceil(each / training.accumulate))
    return epochs * each + left * training.accumulate


def collate(
    some: Sequence[Dialogue],
    draws: Sequence[Sequence[float]],
    *,
    model: BoxAnswers,
    changed: Augmentation,
) -> dict[str, Any]:
    """Pictures with their boxes, each changed by three numbers in [0, 1)."""
    pixels, labels, pictures = [], [], require_pictures(some)
    for dialogue, picture, (mirrored, scaled, lit) in zip(some, pictures, draws, strict=True):
        image = picture.pixels()
        scale = 1.0 + changed.scale * (2 * scaled - 1)
        place = model.framing.place(image.size, scale)
        flipped = mirrored < changed.flip and model.classes.may_flip(dialogue)
        place = replace(place, flipped=flipped)
        pixels.append(model.framing.pixels(image, place, 1.0 + changed.brightness * (2 * lit - 1)))
        classes, boxes = model.classes.target(dialogue, place, model.framing.side)
        labels.append({"class_labels": classes, "boxes": boxes})
    return {"pixel_values": torch.stack(pixels), "labels": labels, "ids": [d.id for d in some]}
