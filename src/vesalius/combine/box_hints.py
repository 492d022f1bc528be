"""A detector's boxes as a hint in the question: does a model that writes rely on it?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import field_validator

from vesalius.cases.case import Answer, Box
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import MemberAnswer, Prediction
from vesalius.combine.box_answers import DETECTOR, detections
from vesalius.models import Lesson, Model, Wraps
from vesalius.models.guard import require_pictures
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.settings import Frozen

READER = "reader"
Hints = Literal["predicted", "true", "random"]


class BoxHintsSettings(Frozen):
    """Whose boxes the reader is told."""

    hints: Hints = "predicted"
    """``predicted``: the detector's at its operating point; ``true``: those of the references;
    ``random``: as many as predicted, of their sizes, anywhere in the picture. A reader that looks
    answers alike under all three."""
    instruction: str = "Mark what you see."
    """What the detector is asked in the question's place."""

    @field_validator("hints", mode="before")
    @classmethod
    def _word(cls, hints: Any) -> Any:
        """YAML reads ``hints: true`` as a truth value."""
        return "true" if hints is True else hints


@dataclass(frozen=True, slots=True)
class HintedAnswers:
    """A reader that is told, before the question, where a detector marks what."""

    settings: BoxHintsSettings
    members: Mapping[str, Model]

    needs_image: ClassVar[bool] = True

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue: the reader's, the boxes that it was told as evidence.

        ``notes`` counts the boxes (``hinted_boxes``), and where ``true`` ones are not in the
        references, so that nothing was told, ``no_hint``. ModelError as of the members.
        """
        require_pictures(dialogues)
        answers = detections(self.members[DETECTOR], dialogues, self.settings.instruction, decoding)
        hints = [self._boxes(*pair) for pair in zip(dialogues, answers, strict=True)]
        asked = [_hinted(*pair) for pair in zip(dialogues, hints, strict=True)]
        written = self.members[READER].predict(asked, decoding)
        return [_as_of(*one) for one in zip(dialogues, hints, written, strict=True)]

    def _boxes(self, dialogue: Dialogue, answer: Prediction) -> tuple[Box, ...] | None:
        if self.settings.hints == "true":
            references = (one.boxes for one in dialogue.question.answers)
            return next((boxes for boxes in references if boxes is not None), None)
        boxes = answer.at_operating_point().answer.boxes or ()
        if self.settings.hints == "random":
            return _moved(boxes, _size(dialogue), dialogue.id)
        return boxes


@dataclass(frozen=True, slots=True)
class BoxHints:
    """Tells a reader what a detector marks; learns nothing.

    Members: ``detector``, any model on ``task: detect``; ``reader``, any model that reads words.
    """

    Settings: ClassVar[type[BoxHintsSettings]] = BoxHintsSettings
    needs_image: ClassVar[bool] = True
    most_pictures: ClassVar[int] = 1
    wraps: ClassVar[Wraps] = Wraps(names=(DETECTOR, READER), tasks={DETECTOR: "detect"})

    settings: BoxHintsSettings

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Nothing is learnt: the reader is told in words."""
        require_pictures([*lesson.train, *lesson.validation])

    def load(self, run: Run, *, members: Mapping[str, Model]) -> HintedAnswers:
        """The loaded members, one telling the other."""
        return HintedAnswers(self.settings, members)


def hint(boxes: Sequence[Box], size: tuple[int, int]) -> str:
    """Boxes in words, in whole per cent of width and height from the picture's upper left."""
    width, height = size
    places = [
        f"{box.label.replace('_', ' ')} from {box.x / width:.0%} to"
        f" {(box.x + box.width) / width:.0%} of the width and {box.y / height:.0%} to"
        f" {(box.y + box.height) / height:.0%} of the height"
        for box in boxes
    ]
    return f"Marked in this image: {'; '.join(places) or 'nothing'}."


def _hinted(dialogue: Dialogue, boxes: Sequence[Box] | None) -> Dialogue:
    if boxes is None:
        return dialogue
    turn = dialogue.turns[-1]
    words = f"{hint(boxes, _size(dialogue))} {turn.question.text}"
    turn = replace(turn, question=replace(turn.question, text=words))
    return replace(dialogue, turns=(*dialogue.turns[:-1], turn))


def _as_of(dialogue: Dialogue, boxes: Sequence[Box] | None, written: Prediction) -> Prediction:
    counted = {"no_hint": 1} if boxes is None else {"hinted_boxes": len(boxes)}
    evidence = () if boxes is None else (MemberAnswer(DETECTOR, Answer(boxes=tuple(boxes))),)
    return replace(
        written.as_of(dialogue),
        evidence=(*written.evidence, *evidence),
        notes={**(written.notes or {}), **counted},
    )


def _size(dialogue: Dialogue) -> tuple[int, int]:
    picture = dialogue.picture
    assert picture is not None
    return picture.size()


def _moved(boxes: Sequence[Box], size: tuple[int, int], seed: str) -> tuple[Box, ...]:
    """The boxes, each anywhere in the picture; the same ones for the same ``seed``."""
    draws = np.random.default_rng(int(hashlib.sha256(seed.encode()).hexdigest()[:16], 16))
    width, height = size
    return tuple(
        replace(
            box,
            x=float(draws.uniform(0, max(0.0, width - box.width))),
            y=float(draws.uniform(0, max(0.0, height - box.height))),
            polygon=None,
        )
        for box in boxes
    )
