"""What members answer to the same dialogues, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import MemberAnswer, Prediction
from vesalius.errors import ModelError

Columns = Mapping[str, Iterable[Prediction]]
"""Member -> its answers, one for each dialogue, in their order."""


def in_step(
    dialogues: Sequence[Dialogue], columns: Columns
) -> Iterator[tuple[Dialogue, list[Prediction]]]:
    """Each dialogue with what every member answers to it, as the answers come.

    A member that failed gives what it has of later dialogues, and then says itself why. Where none
    says so, ModelError names the first dialogue that a member does not answer, at the end.
    """
    refusal: ModelError | None = None
    for dialogue, row in zip_longest(dialogues, zip_longest(*columns.values())):
        answers: list[Prediction | None] = list(row or [None] * len(columns))
        where = dialogues[-1].id if dialogue is None else dialogue.id
        for member, one in zip(columns, answers, strict=True):
            if (one and one.id) != (dialogue and dialogue.id):
                what = f"answers {one.id} instead" if one else "gives no answer"
                hint = "members must answer the same dialogues; were its answers made for others?"
                refusal = refusal or ModelError(
                    f"the member {member} {what}", where=where, hint=hint
                )
                break
        else:
            yield dialogue, [one for one in answers if one is not None]
    if refusal is not None:
        raise refusal


def table(dialogues: Sequence[Dialogue], columns: Columns) -> list[list[Prediction]]:
    """The members' answers by dialogue; ModelError as of :func:`in_step`."""
    return [answers for _, answers in in_step(dialogues, columns)]


def member_answers(
    members: Iterable[str], answers: Sequence[Prediction]
) -> tuple[MemberAnswer, ...]:
    """Who answered what, in the members' order: of a detector what it shows."""
    return tuple(
        MemberAnswer(
            member, one.at_operating_point().answer, one.confidence, abstained=one.abstained
        )
        for member, one in zip(members, answers, strict=True)
    )


def named_concepts(member: str, prediction: Prediction) -> tuple[str, ...]:
    """The concepts of a member's answer; ModelError if it is in words, none if it abstained."""
    if prediction.answer.concepts is None and not prediction.abstained:
        hint = "wrap taggers, or models with model.answers: concepts"
        what = f"the member {member} answers without concepts"
        raise ModelError(what, where=prediction.id, hint=hint)
    return prediction.answer.concepts or ()
