"""Cases as dialogues: one a question, one a caption, one visual dialogue, or one a detection."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from vesalius.cases.case import Answer, Case, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.tasks import Content, task_of
from vesalius.data.visual_dialogue.upgrade import upgrade
from vesalius.errors import DatasetError


def to_dialogues(
    case: Case,
    task: str,
    instruction: str = "Describe this image.",
    context: Sequence[str] = (),
    categories: Collection[str] | None = None,
) -> Iterator[Dialogue]:
    """The dialogues that ``task`` makes of ``case``, their last turn open; ids are unique.

    ``vqa``: one a question, about the pictures shown until then. ``caption``: the instruction, the
    caption as reference. ``dialogue``: all questions as turns, earlier ones replied with their gold
    answers, each picture in the turn that shows it: the first, unless a question says otherwise.
    ``visual_dialogue``: these ordered, free of contradictions, and closed by a summary.
    ``detect``: the instruction, the boxes as reference. ``concepts``: the same with the concepts.
    A system turn comes with the questions of its conversation. ``context`` chooses fields of the
    case's context; ``categories`` keeps questions of these. What nobody annotated has no reference:
    it can be asked for, as a challenge does, but not learned from. Raises UnknownName for another
    task, DatasetError where one dialogue would have different system turns.
    """
    row = task_of(task)
    if row.asks == "instruction":
        question = Question(text=instruction, answers=_references(case, row.references))
        questions = [(task, question, case.pictures)]
    else:
        if row.consistent:
            case, categories = _consistent(case, categories), None
        if row.questions is not None:
            case = replace(case, questions=tuple(row.questions(case)))
        shown = case.pictures_by_question()
        named = zip(case.question_ids(), case.questions, shown, strict=True)
        questions = [one for one in named if categories is None or one[1].category in categories]
    make = _together if row.has_turns else _apart
    fields = {name: case.context[name] for name in context if name in case.context}
    yield from make(case, questions, fields)


Named = list[tuple[str, Question, tuple[Picture, ...]]]
"""Questions by name, with the pictures that are shown until each is asked."""
Context = Mapping[str, str]


def _consistent(case: Case, categories: Collection[str] | None) -> Case:
    wanted = [q for q in case.questions if categories is None or q.category in categories]
    return upgrade(replace(case, questions=tuple(wanted))).case


def _references(case: Case, content: Content) -> tuple[Answer, ...]:
    """What the case holds of that content; an empty caption is none."""
    if content == "text":
        return (Answer(text=case.caption),) if case.caption else ()
    held = {content: getattr(case, content)}
    return () if held[content] is None else (Answer(**held),)


def _apart(case: Case, questions: Named, context: Context) -> Iterator[Dialogue]:
    for name, question, pictures in questions:
        yield _dialogue(case, name, (Turn(question, pictures),), context)


def _together(case: Case, questions: Named, context: Context) -> Iterator[Dialogue]:
    turns: list[Turn] = []
    before = 0
    for name, question, pictures in questions:
        if question.answers:
            named = replace(question, id=name)
            turns.append(Turn(named, pictures[before:], question.answers[0]))
            before = len(pictures)
    if not turns:
        return
    systems = {turn.question.system for turn in turns if turn.question.system}
    if len(systems) > 1:
        hint = "give each conversation an image of its own, or use task: vqa"
        raise DatasetError(
            "its conversations have different system turns", where=case.source, hint=hint
        )
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
