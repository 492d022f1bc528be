"""Cases as dialogues: one a question, one a caption, one visual dialogue, or one a detection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal

from vesalius.cases.case import Answer, Case, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.errors import UnknownName

Task = Literal["vqa", "caption", "dialogue", "detect"]


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
    ``detect``: the instruction, the boxes as reference. ``context`` chooses fields of the case's
    context; ``categories`` keeps questions of these. A case without what the task needs gives
    nothing. Raises UnknownName for another task.
    """
    make = _TASKS.get(task)
    if make is None:
        raise UnknownName("task", task, _TASKS)
    if task in ("vqa", "dialogue"):
        kept = [
            (name, question)
            for name, question in zip(question_ids(case), case.questions, strict=True)
            if categories is None or question.category in categories
        ]
    else:
        kept = [(task, Question(text=instruction, answers=_references(case, task)))]
    shown = {name: case.context[name] for name in context if name in case.context}
    yield from make(case, kept, shown)


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


def _references(case: Case, task: Task) -> tuple[Answer, ...]:
    if task == "caption":
        return (Answer(text=case.caption),) if case.caption else ()
    return () if case.boxes is None else (Answer(boxes=case.boxes),)


def _apart(case: Case, questions: Named, context: Shown) -> Iterator[Dialogue]:
    for name, question in questions:
        yield _dialogue(case, name, (Turn(question, case.pictures),), context)


def _given(case: Case, questions: Named, context: Shown) -> Iterator[Dialogue]:
    # A case that nobody captioned, or annotated with boxes, is no example of the task.
    return _apart(case, [(n, q) for n, q in questions if q.answers], context)


def _together(case: Case, questions: Named, context: Shown) -> Iterator[Dialogue]:
    answered = [(name, question) for name, question in questions if question.answers]
    if not answered:
        return
    turns = [Turn(question, reply=question.answers[0]) for _, question in answered]
    turns[0] = Turn(answered[0][1], case.pictures, turns[0].reply)
    turns[-1] = Turn(answered[-1][1], turns[-1].pictures, None)
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
    "caption": _given,
    "dialogue": _together,
    "detect": _given,
}
