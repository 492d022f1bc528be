"""Predict: answers to a split, or to one picture, from a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.cases.tasks import task_of
from vesalius.cases.view import View
from vesalius.data.perturb import change_of
from vesalius.data.perturb.translations import wordings
from vesalius.errors import RecipeError, UnknownName
from vesalius.models import Incremental, Model, Remote, parts
from vesalius.models.build import build
from vesalius.models.capabilities import Sighted
from vesalius.models.feature_cache import with_shared_features
from vesalius.models.guard import require_at_most, require_pictures
from vesalius.recipe import Data, Decoding
from vesalius.run import Run
from vesalius.steps.answer_set import AnswerSet, unanswered
from vesalius.steps.load import load
from vesalius.steps.prepare import dialogues, unchangeable

log = logging.getLogger(__name__)
T = TypeVar("T")
CHUNK = 4
"""Batches read ahead of the model: pictures of one case stay together, memory stays bounded."""
HISTORIES = ("none", "own", "gold")
"""What a turn may be asked after: nothing, the model's own answers, the references."""


@with_shared_features
def predict(
    run: Run,
    *,
    split: str | None = None,
    name: str = "",
    change: str | None = None,
    limit: int | None = None,
    history: str | None = None,
    model: Model | None = None,
    asked_of: str = "",
) -> int:
    """Answer every dialogue of a split (by default the test split) and return how many there are.

    Answers are appended as they come, and those already there are not asked again, so a killed
    prediction goes on; in the end they stand in the order of the data. ``change`` names a
    perturbation (:data:`vesalius.data.perturb.CHANGES`), under which only what can have it is
    asked; ``name`` the set of predictions, by default after history and perturbation. With a
    ``history`` every turn of every dialogue is asked: alone (``none``), after the turns before it
    with the references (``gold``), or with the model's own answers to them (``own``); an answer's
    id is the same under each. ``asked_of`` says which model answers where it is not the run's own.
    RunError if the set of that name was made in another way; RecipeError where nothing of the split
    can have the change; ModelError for a question about more pictures than the model looks at,
    before anything is asked.
    """
    recipe = run.recipe()
    name = name or set_name(history, change)
    chosen = split or recipe.data.splits.test or ""
    made = {"split": chosen, "change": change, "history": history}
    if asked_of:
        made["model"] = asked_of
    answers = AnswerSet(run, name, made)
    data = recipe.data if history is None else _in_turns(recipe.data, history)
    again = partial(dialogues, data, chosen, change=change, wordings=wordings(run.path))
    if change is not None:
        require_change(change, data, again())
    answerer = model or load(run)
    size = CHUNK * recipe.decoding.batch
    learner = build(recipe.model)
    if isinstance(learner, Sighted):
        require_at_most(learner.most_pictures, islice(again(), limit))
    connect(answerer, lambda: _pictures(islice(again(), limit), answers.answers))
    answers.begin()
    with progress(f"answering {run.name}" + (f" ({name})" if name else "")) as bar:
        task = bar.add_task("", done=len(answers.answers))
        for todo in _todo(islice(again(), limit), history, answers, size):
            if answerer.needs_image:
                require_pictures(todo)
            for rows in in_pieces(answerer, todo, recipe.decoding):
                answers.append(rows)
                bar.update(task, done=len(answers.answers))
    return answers.finish()


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


def ask(
    run: Run,
    image: Path | str,
    question: str | None = None,
    *,
    frame: int | None = None,
    window: tuple[float, float] | None = None,
    decoding: Decoding | None = None,
) -> Prediction:
    """The run's answer to one question about one picture file; without a question, a caption.

    ``frame`` counts from 0; ``window`` is a DICOM's (centre, width) in modality units. Raises
    ImageError where the picture has no such frame.
    """
    image = Path(image)
    picture = Picture.from_file(image).at(View(frame, window))
    for remark in picture.decoded().warnings:  # a bad file is refused before the model is loaded
        log.warning("the picture: %s", remark)
    recipe = run.recipe()
    turn = Turn(Question(question or recipe.data.instruction), (picture,))
    dialogue = Dialogue(image.name, (turn,), group=image.name, case=image.name)
    return load(run).predict([dialogue], decoding or recipe.decoding)[0]


def _todo(
    asked: Iterator[Dialogue], history: str | None, answers: AnswerSet, size: int
) -> Iterator[list[Dialogue]]:
    """What is not answered yet, at most ``size`` at a time.

    The next piece is made when it is asked for: by then the set holds the answers to the last.
    """
    for chunk in chunks(asked, size):
        for turns in _rounds(chunk, history, answers.answers):
            yield from chunks(unanswered(answers, turns), size)


def _rounds(
    chunk: Sequence[Dialogue], history: str | None, said: Mapping[str, Answer]
) -> Iterator[Iterator[Dialogue]]:
    """What is asked together: everything at once, or, on own answers, one turn of each dialogue."""
    if history is None:
        yield iter(chunk)
    elif history != "own":
        yield (_asked(d, at, history, said) for d in chunk for at in range(len(d.turns)))
    else:
        for at in range(max(len(dialogue.turns) for dialogue in chunk)):
            yield (_asked(d, at, history, said) for d in chunk if at < len(d.turns))


def _asked(dialogue: Dialogue, at: int, history: str, said: Mapping[str, Answer]) -> Dialogue:
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


def progress(what: str) -> Progress:
    """A line on stderr that counts the answers so far (the task's field ``done``)."""
    return Progress(
        SpinnerColumn(),
        TextColumn(what),
        TextColumn("{task.fields[done]} answers"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
