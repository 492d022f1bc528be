"""A request: what is asked of a run, in the order and the batches in which it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.cases.tasks import task_of
from vesalius.data.perturb import change_of
from vesalius.data.perturb.translations import wordings
from vesalius.errors import RecipeError, UnknownName
from vesalius.models import Incremental, Model, Remote, parts
from vesalius.models.build import build
from vesalius.models.capabilities import Sighted
from vesalius.models.guard import require_at_most, require_pictures
from vesalius.recipe import Data, Decoding, Recipe
from vesalius.run import Run
from vesalius.steps.answer_set import Ledger, unanswered
from vesalius.steps.prepare import dialogues, unchangeable

T = TypeVar("T")
CHUNK = 4
"""Batches read ahead of the model: pictures of one case stay together, memory stays bounded."""
HISTORIES = ("none", "own", "gold")
"""What a turn may be asked after: nothing, the model's own answers, the references."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a run: a split (by default the test split), and how.

    ``change`` names a perturbation (:data:`vesalius.data.perturb.CHANGES`), under which only what
    can have it is asked. With a ``history`` every turn of every dialogue is asked: alone
    (``none``), after the turns before it with the references (``gold``), or with the model's own
    answers to them (``own``); an answer's id is the same under each. ``limit``: the first so many
    dialogues. ``asked_of`` says which model answers where it is not the run's own.
    """

    recipe: Recipe
    data: Data
    split: str
    change: str | None = None
    history: str | None = None
    limit: int | None = None
    asked_of: str = ""
    wordings: Mapping[str, str] = field(default_factory=dict)
    """Questions as a translator gave them back, by their own words."""

    @classmethod
    def of(cls, run: Run, split: str | None = None, *how: Any) -> Request:
        """What is asked of a run; ``how`` are the fields from ``change`` on.

        RecipeError where the data have no turns, or nothing of the split can have the change.
        """
        recipe = run.recipe()
        one = cls(recipe, recipe.data, split or recipe.data.splits.test or "", *how)
        one = replace(one, wordings=wordings(run.path))
        if one.history is not None:
            one = replace(one, data=_in_turns(recipe.data, one.history))
        if one.change is not None:
            require_change(one.change, one.data, one.dialogues())
        return one

    def facts(self) -> dict[str, Any]:
        """What makes this another set of answers than others; and its limit, where it has one."""
        made = {"split": self.split, "change": self.change, "history": self.history}
        more = {"model": self.asked_of or None, "limit": self.limit}
        return made | {key: value for key, value in more.items() if value is not None}

    @property
    def size(self) -> int:
        """How many dialogues are handed to the model together, at most."""
        return CHUNK * self.recipe.decoding.batch

    def dialogues(self) -> Iterator[Dialogue]:
        """What is asked about, streamed."""
        every = dialogues(self.data, self.split, change=self.change, wordings=self.wordings)
        return islice(every, self.limit)

    def ids(self, some: Sequence[Dialogue]) -> list[str]:
        """The ids of the answers to :attr:`size` dialogues, in the order in which they come."""
        if self.history is None:
            return [one.id for one in some]
        turns = [(one, at) for one in some for at in range(len(one.turns))]
        if self.history == "own":
            turns.sort(key=itemgetter(1))
        return [one.turn_id(at) for one, at in turns]

    def connect(self, model: Model, answers: Mapping[str, Answer]) -> None:
        """See that the model can be asked: its servers are there, it looks at as many pictures."""
        learner = build(self.recipe.model)
        if isinstance(learner, Sighted):
            require_at_most(learner.most_pictures, self.dialogues())
        connect(model, lambda: _pictures(self.dialogues(), answers))

    def answers(
        self, model: Model, some: Iterable[Dialogue], ledger: Ledger
    ) -> Iterator[list[Prediction]]:
        """The predictions for what the ledger lacks of some of the dialogues, as they come.

        It has them before they are handed on: what is asked next may rest on them.
        """
        for todo in self._todo(iter(some), ledger):
            if model.needs_image:
                require_pictures(todo)
            for rows in in_pieces(model, todo, self.recipe.decoding):
                ledger.append(rows)
                yield rows

    def _todo(self, some: Iterator[Dialogue], ledger: Ledger) -> Iterator[list[Dialogue]]:
        for chunk in chunks(some, self.size):
            for turns in _rounds(chunk, self.history, ledger.answers):
                yield from chunks(unanswered(ledger, turns), self.size)


def require_change(name: str, data: Data, asked: Iterator[Dialogue]) -> None:
    """RecipeError where there is nothing to ask under a change: it says what the set lacks."""
    if next(asked, None) is None:
        row = change_of(name)
        raise RecipeError(f"cannot be asked under {name}: {unchangeable(row, data)}", where="data")


def connect(model: Model, pictures: Callable[[], int]) -> None:
    """See that servers are there, and say who sees how many pictures, before anything is asked."""
    for part in parts(model):
        if isinstance(part, Remote):
            part.connect(pictures)


def in_pieces(model: Model, todo: list[Dialogue], decoding: Decoding) -> Iterator[list[Prediction]]:
    """The predictions in order, as they come: one at a time, or all together."""
    if isinstance(model, Incremental):
        yield from ([prediction] for prediction in model.predict_each(todo, decoding))
    else:
        yield model.predict(todo, decoding)


def _pictures(asked: Iterable[Dialogue], answers: Mapping[str, Answer]) -> int:
    """How many pictures the dialogues show that have no answer yet."""
    todo = (dialogue for dialogue in asked if dialogue.id not in answers)
    return len({picture.key for dialogue in todo for picture in dialogue.pictures})


def set_name(history: str | None, change: str | None = None) -> str:
    """What a set of predictions is called unless it is named: ``history-own``, ``blank``."""
    return "-".join(part for part in (history and f"history-{history}", change) if part)


def _rounds(
    chunk: Sequence[Dialogue], history: str | None, said: Mapping[str, Answer]
) -> Iterator[Iterator[Dialogue]]:
    """What is asked together: everything at once, or, on own answers, one turn of each dialogue."""
    if history is None:
        yield iter(chunk)
    elif history != "own":
        yield (_up_to(d, at, history, said) for d in chunk for at in range(len(d.turns)))
    else:
        for at in range(max(len(dialogue.turns) for dialogue in chunk)):
            yield (_up_to(d, at, history, said) for d in chunk if at < len(d.turns))


def _up_to(dialogue: Dialogue, at: int, history: str, said: Mapping[str, Answer]) -> Dialogue:
    if history == "none":
        return dialogue.reopen(at)
    if history == "gold":
        return dialogue.reopen(at, [t.question.answers[0] for t in dialogue.turns[:at]])
    return dialogue.reopen(at, [said[dialogue.turn_id(earlier)] for earlier in range(at)])


def _in_turns(data: Data, history: str) -> Data:
    """The recipe's data as whole dialogues; RecipeError where it has none."""
    if history not in HISTORIES:
        raise UnknownName("history", history, HISTORIES)
    task = task_of(data.task)
    if task.has_turns:
        return data
    if task.asks != "questions":
        hint = "set data.task to dialogue or visual_dialogue"
        raise RecipeError(f"the task {data.task} has no turns", where="data.task", hint=hint)
    return data.model_copy(update={"task": "dialogue"})


def chunks(asked: Iterator[T], size: int) -> Iterator[list[T]]:
    """What is asked, at most ``size`` at a time."""
    while chunk := list(islice(asked, size)):
        yield chunk
