"""Cases as dialogues: one a question, one a caption, one visual dialogue, or one a detection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from vesalius.cases.case import Answer, Case, Question
from vesalius.cases.dialogue import Dialogue, Turn
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
        kept = list(zip(question_ids(case), case.questions, strict=True))
    elif task in ("vqa", "dialogue"):
        kept = [
            (name, question)
            for name, question in zip(question_ids(case), case.questions, strict=True)
            if categories is None or question.category in categories
        ]
    else:
        kept = [(task, Question(text=instruction, answers=_references(case, task)))]
    shown = {name: case.context[name] for name in context if name in case.context}
    yield from make(case, kept, shown)


def asked_at(dialogue: Dialogue, at: int, replies: Sequence[Answer] | None = None) -> Dialogue:
    """The dialogue that asks turn ``at`` (from 0) again, open, under the id ``case/question``.

    ``replies`` to the turns before it make the history; None leaves them out, and the turn is
    asked alone about the pictures shown so far. The id does not depend on the history.
    """
    turn = dialogue.turns[at]
    if replies is None:
        shown = tuple(p for earlier in dialogue.turns[: at + 1] for p in earlier.pictures)
        turns: tuple[Turn, ...] = (Turn(turn.question, shown),)
    else:
        earlier = zip(dialogue.turns[:at], replies, strict=True)
        turns = (*(replace(t, reply=reply) for t, reply in earlier), replace(turn, reply=None))
    return replace(dialogue, id=turn_id(dialogue, at), turns=turns)


def turn_id(dialogue: Dialogue, at: int) -> str:
    """The id of turn ``at``'s answer under any history; that of the same question asked alone."""
    return f"{dialogue.case}/{dialogue.turns[at].question.id or at + 1}"


def question_ids(case: Case) -> list[str]:
    """An id for every question, unique in the case: its own, or else its number from 1."""
    own = Counter(question.id for question in case.questions)
    names = []
    for number, question in enumerate(case.questions, start=1):
        lone = question.id and own[question.id] == 1
        names.append(question.id if lone else f"{question.id or 'q'}.{number}".removeprefix("q."))
    if len(set(names)) < len(names):
        return [f"{number}.{name}" for number, name in enumerate(names, start=1)]
    return names


Named = list[tuple[str, Question]]
Shown = Mapping[str, str]


def _upgraded(case: Case, categories: Collection[str] | None) -> Case:
    from vesalius.data.upgrade.upgrade import upgrade

    wanted = [q for q in case.questions if categories is None or q.category in categories]
    return upgrade(replace(case, questions=tuple(wanted))).case


def _references(case: Case, task: Task) -> tuple[Answer, ...]:
    if task == "caption":
        return (Answer(text=case.caption),) if case.caption else ()
    return () if case.boxes is None else (Answer(boxes=case.boxes),)


def _apart(case: Case, questions: Named, context: Shown) -> Iterator[Dialogue]:
    for name, question in questions:
        yield _dialogue(case, name, (Turn(question, case.pictures),), context)


def _together(case: Case, questions: Named, context: Shown) -> Iterator[Dialogue]:
    answered = [replace(question, id=name) for name, question in questions if question.answers]
    if not answered:
        return
    turns = [Turn(question, reply=question.answers[0]) for question in answered]
    turns[0] = replace(turns[0], pictures=case.pictures)
    turns[-1] = replace(turns[-1], reply=None)
    yield _dialogue(case, "dialogue", tuple(turns), context)


def _dialogue(case: Case, name: str, turns: tuple[Turn, ...], context: Shown) -> Dialogue:
    return Dialogue(
        id=f"{case.id}/{name}",
        turns=turns,
        group=case.group,
        case=case.id,
        modality=case.modality,
        context=context,
    )


_TASKS: dict[str, Callable[[Case, Named, Shown], Iterator[Dialogue]]] = {
    "vqa": _apart,
    "caption": _apart,
    "dialogue": _together,
    "visual_dialogue": _together,
    "detect": _apart,
}
