"""The classes of a detector: names of the training boxes, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vesalius.cases.case import Box
from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError
from vesalius.models.detection.framing import Placement

_SIDES = {"left": "right", "Left": "Right", "LEFT": "RIGHT"}
_OTHER = _SIDES | {right: left for left, right in _SIDES.items()}
_SIDE = re.compile(rf"(?<![^\W_])(?:{'|'.join(_OTHER)})(?![^\W_])")
Target = tuple[Tensor, Tensor]
"""Classes (n,) and boxes (n, 4): centre, width and height in shares of the input."""


def boxes_of(dialogue: Dialogue) -> tuple[Box, ...] | None:
    """The boxes of the first reference that has any annotated, be it none; None: not annotated."""
    answers = dialogue.question.answers
    return next((answer.boxes for answer in answers if answer.boxes is not None), None)


def annotated(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """Those whose boxes are annotated; one without any is a negative, and stays."""
    return [dialogue for dialogue in dialogues if boxes_of(dialogue) is not None]


def other_side(name: str) -> str:
    """A class as its mirror image is called: left and right change places, as whole words."""
    return _SIDE.sub(lambda word: _OTHER[word[0]], name)


@dataclass(frozen=True, slots=True)
class BoxClasses:
    """Names in alphabetical order; numbers are places in it and never leave the detector."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, train: Sequence[Dialogue]) -> BoxClasses:
        """Of the training boxes; ModelError if there is none."""
        boxes = [box for dialogue in train for box in boxes_of(dialogue) or ()]
        names = sorted({box.label for box in boxes if not box.crowd})
        if not names:
            hint = "data.task: detect, and a data set with boxes"
            raise ModelError("no training dialogue has a box as its reference", hint=hint)
        return cls(tuple(names))

    def outside(self, dialogues: Sequence[Dialogue]) -> int:
        """How many reference boxes are of classes that training has not; crowds are none."""
        boxes = [box for dialogue in dialogues for box in boxes_of(dialogue) or ()]
        return sum(box.label not in self.names for box in boxes if not box.crowd)

    def may_flip(self, dialogue: Dialogue) -> bool:
        """Whether its mirror image has boxes of known classes: a "left lung" wants a right one."""
        boxes = boxes_of(dialogue) or ()
        return all(other_side(box.label) in self.names for box in boxes if not box.crowd)

    def target(self, dialogue: Dialogue, place: Placement, side: int) -> Target:
        """What a network is to find of a dialogue's picture, cut at the input's edges.

        A region with many is no box; what the input shows less than a pixel of is left out.
        """
        known = [box for box in boxes_of(dialogue) or () if not box.crowd]
        corners = place.corners(known).clamp(0, side)
        sizes = corners[:, 2:] - corners[:, :2]
        seen = (sizes >= 1).all(1)
        names = [other_side(box.label) if place.flipped else box.label for box in known]
        labels = torch.tensor([self.names.index(name) for name in names], dtype=torch.long)
        middle = (corners[:, 2:] + corners[:, :2]) / 2
        return labels[seen], torch.cat((middle, sizes), dim=1)[seen] / side
