"""Shots: neighbours as examples before a question, the test picture last and always there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Neighbour, Prediction
from vesalius.combine.prompting import CitedCase

Form = Literal["pictures", "words", "question"]
"""How shots stand in a prompt: as turns with their pictures, as turns without, or, for models that
read every picture before the first question, as words in front of that question."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A neighbour as an example; ``picture`` is None where it is shown without."""

    case: CitedCase
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class FewShotPrompt:
    """A dialogue to be answered, the prompt that is made of it, and what was shown in it."""

    asked: Dialogue
    dialogue: Dialogue
    shots: tuple[Shot, ...]
    near: int
    """Neighbours that passed the threshold."""
    wanted: int

    def prediction(self, answer: Prediction) -> Prediction:
        """The member's answer to the prompt as the answer to the dialogue, with what was shown."""
        counts = {
            "shots": len(self.shots),
            "zero_shot": int(not self.shots),
            "fewer_than_k": int(self.near < self.wanted),
            "dropped_shots": self.near - len(self.shots),
        }
        others = (one for one in answer.evidence if not isinstance(one, Neighbour))
        shown = (replace(one.case.neighbour, text=one.case.answer) for one in self.shots)
        notes = {key: count for key, count in counts.items() if count or key == "shots"}
        return replace(
            answer.as_of(self.asked),
            evidence=(*others, *shown),
            notes={**(answer.notes or {}), **notes},
        )


def few_shot_prompt(dialogue: Dialogue, shots: Sequence[Shot], form: Form) -> Dialogue:
    """The dialogue with shots before it, the least similar first; ``shots`` begin with the most.

    Its own turns stay as they are and come last, so that the picture asked about is the last one;
    only in the form ``question`` the first of them says more.
    """
    if not shots:
        return dialogue
    if form == "question":
        return _in_words(dialogue, shots)
    turns = tuple(_turn(shot, dialogue, form) for shot in reversed(shots))
    return replace(
        dialogue,
        turns=(*turns, *dialogue.turns),
        examples=dialogue.examples + len(turns),
    )


def _turn(shot: Shot, dialogue: Dialogue, form: Form) -> Turn:
    shown = () if form == "words" or shot.picture is None else (shot.picture,)
    question = Question(shot.case.question or dialogue.question.text)
    return Turn(question, shown, Answer(text=shot.case.answer))


def _in_words(dialogue: Dialogue, shots: Sequence[Shot]) -> Dialogue:
    first = dialogue.turns[0]
    lines = [
        f"Question: {shot.case.question or dialogue.question.text} Answer: {shot.case.answer}"
        for shot in reversed(shots)
    ]
    words = " ".join(["Of similar images:", *lines, "Of this image:", first.question.text])
    turn = replace(first, question=replace(first.question, text=words))
    return replace(dialogue, turns=(turn, *dialogue.turns[1:]))
