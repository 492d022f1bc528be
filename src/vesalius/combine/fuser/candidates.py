"""Members' answers as numbered candidates in a prompt of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError
from vesalius.recipe import Decoding

QUESTION = "{question}"
"""Stands in an instruction for what was asked."""
EMPTY, ABSTAINED = "(empty)", "(abstained)"
"""How a candidate without words stands in the prompt."""


def candidate(answer: Prediction) -> str:
    """A member's answer as it stands in the prompt; ModelError for one that is not in words."""
    if answer.abstained:
        return ABSTAINED
    if answer.answer.text is None:
        hint = "members of a fuser answer in words"
        raise ModelError("a member's answer has no text", where=answer.id, hint=hint)
    return " ".join(answer.text.split()) or EMPTY


def words_of(answer: Prediction) -> str:
    """What a member said; empty where it said nothing or abstained."""
    text = candidate(answer)
    return "" if text in (EMPTY, ABSTAINED) else text


def fused(dialogue: Dialogue, answers: Sequence[Prediction], instruction: str) -> Dialogue:
    """The dialogue that asks for one answer of several: instruction, then ``1. A 2. B 3. C``.

    It has the last question's references and context, and no pictures.
    """
    opening = instruction.replace(QUESTION, " ".join(dialogue.question.text.split()))
    numbered = (f"{number}. {candidate(one)}" for number, one in enumerate(answers, start=1))
    question = replace(dialogue.question, text=" ".join([opening, *numbered]), shows=())
    return replace(dialogue, turns=(Turn(question),), examples=0)


def wordless(answers: Sequence[Prediction]) -> dict[str, int]:
    """How many of a dialogue's candidates are empty, and how many abstained; none where none."""
    counts = Counter(candidate(one) for one in answers)
    numbers = {"empty_candidates": counts[EMPTY], "abstained_candidates": counts[ABSTAINED]}
    return {name: number for name, number in numbers.items() if number}


@dataclass(frozen=True, slots=True)
class Stored:
    """A member's answers by dialogue, given again without its model."""

    known: Mapping[str, Prediction]
    needs_image: ClassVar[bool] = False

    @classmethod
    def of(cls, answers: Sequence[Prediction]) -> Self:
        """The answers by their dialogue's id."""
        return cls({one.id: one for one in answers})

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """The answer to each dialogue; ModelError names the first that has none."""
        lacking = next((one.id for one in dialogues if one.id not in self.known), None)
        if lacking is not None:
            raise ModelError("the member's answer is not stored", where=lacking)
        return [self.known[one.id] for one in dialogues]
