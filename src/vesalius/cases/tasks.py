"""What can be asked of a case: the table of the tasks that a recipe may name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from vesalius.cases.case import Answer, Case, Question
from vesalius.errors import VesaliusError
from vesalius.registry import Registry

Content = Literal["text", "boxes", "concepts"]
"""What an answer may hold."""


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the table: whose question it is, whether turns follow each other, what is answered.

    ``asks``: the data set's own ``questions``, or the recipe's ``instruction``, whose reference is
    the case's caption (``text``), boxes or concepts, as ``references`` says. ``has_turns``: all
    questions of a case make one dialogue, ``consistent``: ordered, without contradictions, and
    closed by a summary. ``questions`` makes the questions out of a case, with ids that differ, in
    the place of those that the data set has.
    """

    name: str
    asks: Literal["questions", "instruction"]
    references: Content = "text"
    has_turns: bool = False
    consistent: bool = False
    questions: Callable[[Case], Sequence[Question]] | None = None

    @property
    def asks_apart(self) -> bool:
        """Whether each question of a case is a dialogue of its own."""
        return self.asks == "questions" and not self.has_turns


TASKS = Registry(
    "task",
    {
        task.name: task
        for task in (
            Task("vqa", "questions"),
            Task("dialogue", "questions", has_turns=True),
            Task("visual_dialogue", "questions", has_turns=True, consistent=True),
            Task("caption", "instruction"),
            Task("detect", "instruction", "boxes"),
            Task("concepts", "instruction", "concepts"),
        )
    },
)


def task_of(name: str) -> Task:
    """The task of that name; UnknownName suggests the nearest.

    VesaliusError where another package's entry is no :class:`Task` of the name it is entered by.
    """
    task = TASKS[name]
    if not isinstance(task, Task) or task.name != name:
        what = f"the task {name!r} of another package is no Task of that name"
        raise VesaliusError(what, where=f"entry point of {TASKS.group}")
    return task


def content_of(answer: Answer) -> Content:
    """What an answer says first: its text, else its boxes, else its concepts."""
    if answer.text is not None:
        return "text"
    return "concepts" if answer.boxes is None else "boxes"
