"""A case's questions as one dialogue: ordered, free of contradictions, summed up at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vesalius.cases.case import Answer, Case, Question
from vesalius.data.visual_dialogue.consistent import Dropped, answer_of, consistent
from vesalius.data.visual_dialogue.order import place_of
from vesalius.data.visual_dialogue.rewriting import Writer, rewrite
from vesalius.data.visual_dialogue.summary import Summary, summarise
from vesalius.data.visual_dialogue.words import wording
from vesalius.errors import DatasetError

SUMMARY = "summary"
"""The category, and where it is free the id, of the turn that asks for the summary."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The case with its questions in dialogue order, and what was left out and why.

    The last question asks for the summary, unless nothing could be worded. ``unsupported`` are
    sentences of a writer that did not follow from any pair.
    """

    case: Case
    dropped: tuple[Dropped, ...]
    summary: Summary
    unsupported: tuple[str, ...] = ()


def upgrade(case: Case, writer: Writer | None = None) -> Upgraded:
    """The case's dialogue: modality, plane, organ, presence, attribute, diagnosis, summary.

    Within a step the data set's order stays. Every question gets an id that is unique in the case.
    With a ``writer`` its rewording of the summary is used, as far as every sentence follows. A case
    that ends with a summary already stays as it is. DatasetError where a question shows a picture
    of its own: put in another order, questions would be about other pictures.
    """
    if any(question.shows for question in case.questions):
        what = "its questions show pictures of their own, so their order cannot be changed"
        raise DatasetError(what, where=case.source or case.id, hint="take the task dialogue")
    if any(question.category == SUMMARY for question in case.questions):
        return Upgraded(case, (), Summary(answer_of(case.questions[-1]), 0, 0))
    named = [
        replace(question, id=name)
        for name, question in zip(case.question_ids(), case.questions, strict=True)
    ]
    remaining, dropped = consistent(sorted(named, key=place_of))
    summary = summarise(remaining)
    unsupported: tuple[str, ...] = ()
    if writer is not None and summary.text:
        done = rewrite(summary.text, remaining, writer)
        summary, unsupported = replace(summary, text=done.text), done.unsupported
    questions = [*remaining, *([_closing(summary.text, remaining)] if summary.text else [])]
    return Upgraded(replace(case, questions=tuple(questions)), tuple(dropped), summary, unsupported)


def _closing(text: str, questions: Sequence[Question]) -> Question:
    taken = {question.id for question in questions}
    name = SUMMARY if SUMMARY not in taken else f"{SUMMARY}.{len(questions) + 1}"
    return Question(
        wording()["question"], id=name, answers=(Answer(text=text),), category=SUMMARY, kind="open"
    )
