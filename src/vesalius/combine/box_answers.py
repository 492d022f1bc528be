"""Answers in words from a detector's boxes, so that it is asked what a model that writes is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from vesalius.cases.box_questions import read_box_question
from vesalius.cases.case import Answer, Box
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.combine.members import member_answers, table
from vesalius.errors import ModelError
from vesalius.models import Lesson, Model, Wraps, parts
from vesalius.models.guard import require_pictures
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.settings import Frozen

DETECTOR = "detector"


class BoxAnswersSettings(Frozen):
    """What the detector is asked, and for what."""

    labels: tuple[str, ...] | None = None
    """What its boxes are labelled; null: as the detector was fitted, which a saved or remote model
    does not say."""
    instruction: str = "Mark what you see."
    """What the detector is asked in the question's place: of a model that writes boxes, the
    ``data.instruction`` it was fitted with."""


@dataclass(frozen=True, slots=True)
class WordedBoxes:
    """A detector, and what its boxes may be asked for."""

    settings: BoxAnswersSettings
    members: Mapping[str, Model]
    labels: tuple[str, ...]

    needs_image: ClassVar[bool] = True

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue: a text by the boxes at the operating point, and all boxes.

        A question that boxes do not answer is abstained from, its text empty, and counted in
        ``notes`` (``not_about_boxes``). ModelError names a dialogue without a picture, before
        anything is looked at, or one that the member answers without boxes.
        """
        require_pictures(dialogues)
        answers = detections(self.members[DETECTOR], dialogues, self.settings.instruction, decoding)
        return [self._worded(*pair) for pair in zip(dialogues, answers, strict=True)]

    def _worded(self, dialogue: Dialogue, answer: Prediction) -> Prediction:
        question = read_box_question(dialogue.question.text, self.labels)
        visible = answer.at_operating_point().answer.boxes or ()
        picture, text = dialogue.picture, ""
        assert picture is not None
        if question is not None:
            text = question.answer(visible, picture.size)
        sure = None if question is None else _confidence(question.labels, visible, answer)
        return replace(
            answer.as_of(dialogue),
            answer=Answer(text=text, boxes=answer.answer.boxes or ()),
            confidence=sure,
            evidence=member_answers([DETECTOR], [answer]),
            abstained=question is None or answer.abstained,
            notes=None if question is not None else {"not_about_boxes": 1},
        )


@dataclass(frozen=True, slots=True)
class BoxAnswers:
    """Answers presence, count, side, place and size from the boxes of a member; learns nothing.

    Member: ``detector``, any model on ``task: detect``.
    """

    Settings: ClassVar[type[BoxAnswersSettings]] = BoxAnswersSettings
    needs_image: ClassVar[bool] = True
    most_pictures: ClassVar[int] = 1
    wraps: ClassVar[Wraps] = Wraps(names=(DETECTOR,), tasks={DETECTOR: "detect"})

    settings: BoxAnswersSettings

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Nothing is learnt: the rule needs no weights."""
        require_pictures([*lesson.train, *lesson.validation])

    def load(self, run: Run, *, members: Mapping[str, Model]) -> WordedBoxes:
        """The rule over the loaded detector; ModelError where its labels are not known."""
        labels = self.settings.labels or labels_of(members[DETECTOR])
        if not labels:
            hint = "name them: model.labels"
            raise ModelError("the detector does not say its labels", where=run.path, hint=hint)
        return WordedBoxes(self.settings, members, labels)


def detections(
    detector: Model, dialogues: Sequence[Dialogue], instruction: str, decoding: Decoding
) -> list[Prediction]:
    """What a detector marks in the picture that each dialogue is about, under the dialogue's id.

    ModelError names a dialogue that it answers without boxes.
    """
    asked = [_instead(dialogue, instruction) for dialogue in dialogues]
    answers = [one for (one,) in table(asked, {DETECTOR: detector.predict(asked, decoding)})]
    for one in answers:
        if one.answer.boxes is None and not one.abstained:
            hint = "wrap detectors, or models with model.answers: boxes"
            raise ModelError("the member detector answers without boxes", where=one.id, hint=hint)
    return answers


def labels_of(model: Model) -> tuple[str, ...]:
    """The labels that a fitted detector knows; none where it does not say them."""
    classes: Any = (getattr(one, "classes", None) for one in parts(model))
    return next((one.names for one in classes if one is not None), ())


def _instead(dialogue: Dialogue, instruction: str) -> Dialogue:
    """The pictures that a question is about alone, under an instruction in its place."""
    turn = dialogue.turns[-1]
    question = replace(turn.question, text=instruction, options=None, answers=())
    asked = replace(turn, question=question, pictures=dialogue.study)
    return replace(dialogue, turns=(asked,), examples=0)


def _confidence(
    labels: frozenset[str], visible: Sequence[Box], answer: Prediction
) -> Confidence | None:
    """That of the surest box of the labels; where none is shown, what is left of it."""
    if answer.confidence is None:
        return None
    scores = [box.score for box in answer.answer.boxes or () if box.label in labels]
    surest = max((score for score in scores if score is not None), default=0.0)
    is_shown = any(box.label in labels for box in visible)
    return Confidence(surest if is_shown else 1 - surest, answer.confidence.method)
