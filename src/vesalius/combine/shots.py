"""Shots: neighbours as examples before a question, the test picture last and always there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Neighbour, Prediction

Form = Literal["pictures", "words", "question"]
"""How shots stand in a prompt: as turns with their pictures, as turns without, or, for models that
read every picture before the first question, as words in front of that question."""

CHARACTERS = 4
"""Of a token, where a model cannot count its own: what English text has in common tokenizers."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A neighbour with what is shown of it.

    ``question`` is empty where nobody asked (a caption); ``picture`` is None where none is kept.
    """

    neighbour: Neighbour
    question: str
    answer: str
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
        shown = (replace(one.neighbour, text=one.answer) for one in self.shots)
        notes = {key: count for key, count in counts.items() if count or key == "shots"}
        return replace(
            answer.as_of(self.asked),
            evidence=(*others, *shown),
            notes={**(answer.notes or {}), **notes},
        )


def nearest_pair(
    question: str,
    pairs: Sequence[tuple[str, str]],
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
) -> tuple[str, str]:
    """Of a neighbour's (question, answer) pairs the one that was asked most alike.

    ``embed`` gives unit vectors (n, d) of sentences. A caption, which answers any instruction, is
    as like as can be; of equals the first is taken.
    """
    if len(pairs) == 1:
        return pairs[0]
    caption = next((pair for pair in pairs if pair[0] in {"", question}), None)
    if caption is not None:
        return caption
    vectors = embed([question, *(text for text, _ in pairs)])
    return pairs[int(np.argmax(vectors[1:] @ vectors[0]))]


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


def fitting(
    dialogue: Dialogue, shots: Sequence[Shot], form: Form, fits: Callable[[Dialogue], bool]
) -> tuple[Dialogue, tuple[Shot, ...]]:
    """The prompt with as many shots as fit, and these: the least similar are dropped first.

    Neither the question nor its picture is ever dropped: a dialogue that does not fit by itself is
    for the model to refuse.
    """
    left = tuple(shots)
    while left:
        prompt = few_shot_prompt(dialogue, left, form)
        if fits(prompt):
            return prompt, left
        left = left[:-1]
    return dialogue, ()


def estimated_tokens(dialogue: Dialogue, picture_tokens: int) -> int:
    """About how many tokens a dialogue has, for a model that cannot count them."""
    texts = [dialogue.system or "", *dialogue.context.values()]
    for turn in dialogue.turns:
        texts += [turn.question.text, (turn.reply and turn.reply.text) or ""]
    characters = sum(map(len, texts))
    return -(-characters // CHARACTERS) + picture_tokens * len(dialogue.pictures)


def _turn(shot: Shot, dialogue: Dialogue, form: Form) -> Turn:
    shown = () if form == "words" or shot.picture is None else (shot.picture,)
    question = Question(shot.question or dialogue.question.text)
    return Turn(question, shown, Answer(text=shot.answer))


def _in_words(dialogue: Dialogue, shots: Sequence[Shot]) -> Dialogue:
    first = dialogue.turns[0]
    lines = [
        f"Question: {shot.question or dialogue.question.text} Answer: {shot.answer}"
        for shot in reversed(shots)
    ]
    words = " ".join(["Of similar images:", *lines, "Of this image:", first.question.text])
    turn = replace(first, question=replace(first.question, text=words))
    return replace(dialogue, turns=(turn, *dialogue.turns[1:]))
