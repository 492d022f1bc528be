"""Members' answers as numbered candidates in a prompt of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.prediction import MemberAnswer, Prediction
from vesalius.errors import ModelError
from vesalius.recipe import Decoding

QUESTION = "{question}"
"""Stands in an instruction for what was asked."""
EMPTY, ABSTAINED = "(empty)", "(abstained)"
"""How a candidate without words stands in the prompt."""

Columns = Mapping[str, Sequence[Prediction]]
"""Member -> its answers, one for each dialogue, in their order."""


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


def require_aligned(dialogues: Sequence[Dialogue], columns: Columns) -> None:
    """ModelError, naming the first, where a member answers other dialogues than were asked."""
    wanted = [dialogue.id for dialogue in dialogues]
    for member, answers in columns.items():
        ids = [one.id for one in answers]
        if ids == wanted:
            continue
        place = next((at for at, (a, b) in enumerate(zip(wanted, ids, strict=False)) if a != b), -1)
        if place < 0:
            what = f"the member {member} gives {len(ids)} answers to {len(wanted)} questions"
            place = min(len(ids), len(wanted) - 1)
        else:
            what = f"the member {member} answers {ids[place]} instead"
        raise ModelError(what, where=wanted[place], hint="members must answer the same dialogues")


def rows(dialogues: Sequence[Dialogue], columns: Columns) -> list[list[Prediction]]:
    """The members' answers by dialogue; ModelError where they disagree on ids."""
    require_aligned(dialogues, columns)
    return [[answers[at] for answers in columns.values()] for at in range(len(dialogues))]


def wordless(answers: Sequence[Prediction]) -> dict[str, int]:
    """How many of a dialogue's candidates are empty, and how many abstained; none where none."""
    counts = Counter(candidate(one) for one in answers)
    numbers = {"empty_candidates": counts[EMPTY], "abstained_candidates": counts[ABSTAINED]}
    return {name: number for name, number in numbers.items() if number}


def evidence(members: Sequence[str], answers: Sequence[Prediction]) -> tuple[MemberAnswer, ...]:
    """Who said what, in the members' order."""
    return tuple(
        MemberAnswer(member, one.answer, one.confidence, abstained=one.abstained)
        for member, one in zip(members, answers, strict=True)
    )


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
