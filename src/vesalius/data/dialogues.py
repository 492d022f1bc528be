"""Cases as dialogues: one a question, one a caption, one visual dialogue, or one a detection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from vesalius.cases.case import Answer, Case, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.data.visual_dialogue.upgrade import upgrade
from vesalius.errors import UnknownName

Task = Literal["vqa", "caption", "dialogue", "visual_dialogue", "detect"]


def to_dialogues(
    case: Case,
    task: Task,
    instruction: str = "Describe this image.",
    context: Sequence[str] = (),
    categories: Collection[str] | None = None,
) -> Iterator[Dialogue]:
    """The dialogues that ``task`` makes of ``case``, their last turn open; ids are unique.

    ``vqa``: one a question. ``caption``: the instruction, the caption as reference. ``dialogue``:
    all questions as turns, earlier ones replied with their gold answers, pictures in the first.
    ``visual_dialogue``: these ordered, free of contradictions, and closed by a summary.
    ``detect``: the instruction, the boxes as reference. ``context`` chooses fields of the case's
    context; ``categories`` keeps questions of these. What nobody annotated has no reference: it can
    be asked for, as a challenge does, but not learned from. Raises UnknownName for another task.
    """
    make = _TASKS.get(task)
    if make is None:
        raise UnknownName("task", task, _TASKS)
    if task == "visual_dialogue":
        case = _upgraded(case, categories)
        questions = list(zip(case.question_ids(), case.questions, strict=True))
    elif task in ("vqa", "dialogue"):
        questions = [
            (name, question)
            for name, question in zip(case.question_ids(), case.questions, strict=True)
            if categories is None or question.category in categories
        ]
    else:
        questions = [(task, Question(text=instruction, answers=_references(case, task)))]
    fields = {name: case.context[name] for name in context if name in case.context}
    yield from make(case, questions, fields)


Named = list[tuple[str, Question]]
Context = Mapping[str, str]


def _upgraded(case: Case, categories: Collection[str] | None) -> Case:
    wanted = [q for q in case.questions if categories is None or q.category in categories]
    return upgrade(replace(case, questions=tuple(wanted))).case


def _references(case: Case, task: Task) -> tuple[Answer, ...]:
    if task == "caption":
        return (Answer(text=case.caption),) if case.caption else ()
    return () if case.boxes is None else (Answer(boxes=case.boxes),)


def _apart(case: Case, questions: Named, context: Context) -> Iterator[Dialogue]:
    for name, question in questions:
        yield _dialogue(case, name, (Turn(question, case.pictures),), context)


def _together(case: Case, questions: Named, context: Context) -> Iterator[Dialogue]:
    answered = [replace(question, id=name) for name, question in questions if question.answers]
    if not answered:
        return
    turns = [Turn(question, reply=question.answers[0]) for question in answered]
    turns[0] = replace(turns[0], pictures=case.pictures)
    turns[-1] = replace(turns[-1], reply=None)
    yield _dialogue(case, "dialogue", tuple(turns), context)


def _dialogue(case: Case, name: str, turns: tuple[Turn, ...], context: Context) -> Dialogue:
    return Dialogue(
        id=f"{case.id}/{name}",
        turns=turns,
        group=case.group,
        case=case.id,
        modality=case.modality,
        context=context,
    )


_TASKS: dict[str, Callable[[Case, Named, Context], Iterator[Dialogue]]] = {
    "vqa": _apart,
    "caption": _apart,
    "dialogue": _together,
    "visual_dialogue": _together,
    "detect": _apart,
}
