"""Predict: answers to a split, or to one picture, from a run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.cases.tasks import task_of
from vesalius.cases.view import View
from vesalius.errors import RecipeError, RunError, UnknownName
from vesalius.models import Incremental, Model, Remote, parts
from vesalius.models.build import build
from vesalius.models.capabilities import Sighted
from vesalius.models.feature_cache import with_shared_features
from vesalius.models.guard import require_at_most, require_pictures
from vesalius.recipe import Data, Decoding
from vesalius.run import Run
from vesalius.steps.load import load
from vesalius.steps.prepare import dialogues, twin

log = logging.getLogger(__name__)
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
    perturbation (``blank``); ``name`` the set of predictions, by default after history and
    perturbation. With a ``history`` every turn of every dialogue is asked: alone (``none``), after
    the turns before it with the references (``gold``), or with the model's own answers to them
    (``own``); an answer's id is the same under each. ``asked_of`` says which model answers where it
    is not the run's own. RunError if the set of that name was made in another way; ModelError for a
    question about more pictures than the model looks at, before anything is asked.
    """
    recipe = run.recipe()
    name = name or set_name(history, change)
    made = {"split": split or recipe.data.splits.test, "change": change, "history": history}
    if asked_of:
        made["model"] = asked_of
    _refuse_mixing(run, name, made)
    data = recipe.data if history is None else _in_turns(recipe.data, history)
    asked = islice(dialogues(data, made["split"] or "", change=change), limit)
    answerer = model or load(run)
    said = _said(run, name)
    size = CHUNK * recipe.decoding.batch
    again = partial(dialogues, data, made["split"] or "", change=change)
    learner = build(recipe.model)
    if isinstance(learner, Sighted):
        require_at_most(learner.most_pictures, islice(again(), limit))
    for part in parts(answerer):  # before anything is made: is it there, and who sees what?
        if isinstance(part, Remote):
            part.connect(lambda: _pictures(islice(again(), limit), said))
    run.note_predictions(name, n=len(said), complete=False, **made)
    with progress(f"answering {run.name}" + (f" ({name})" if name else "")) as bar:
        task = bar.add_task("", done=len(said))
        order: dict[str, None] = {}
        for todo in _todo(asked, history, said, size, order):
            if answerer.needs_image:
                require_pictures(todo)
            for found in _answers(answerer, todo, recipe.decoding):
                run.append(found, name)
                said.update((p.id, p.answer) for p in found)
                bar.update(task, done=len(said))
    whole = list(order | dict.fromkeys(said))
    if list(said) != whole:  # one that failed was answered after some that follow it
        run.order_predictions(whole, name)
    facts = {**made, "counts": counts} if (counts := counted(run, name)) else made
    run.note_predictions(name, n=len(said), complete=True, **facts)
    return len(said)


def counted(run: Run, name: str = "") -> dict[str, int]:
    """What was counted of the answers in a set, added up; empty where nothing was."""
    total: Counter[str] = Counter()
    for prediction in run.predictions(name) if run.predictions_file(name).exists() else ():
        total.update(prediction.notes or {})
    return dict(sorted(total.items()))


def _answers(model: Model, todo: list[Dialogue], decoding: Decoding) -> Iterator[list[Prediction]]:
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
    asked: Iterator[Dialogue],
    history: str | None,
    said: Mapping[str, Answer],
    size: int,
    order: dict[str, None],
) -> Iterator[list[Dialogue]]:
    """What is not answered yet, at most ``size`` at a time; ``order`` takes the ids of all.

    The next piece is made when it is asked for: by then ``said`` holds the answers to the last.
    DatasetError for an id that was met before: its answer would be taken for the other's.
    """

    def unanswered(turns: Iterator[Dialogue]) -> Iterator[Dialogue]:
        for turn in turns:
            if turn.id in order:
                raise twin(turn.id)
            order[turn.id] = None
            if turn.id not in said:
                yield turn

    for chunk in _chunks(asked, size):
        for turns in _rounds(chunk, history, said):
            yield from _chunks(unanswered(turns), size)


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


def _said(run: Run, name: str) -> dict[str, Answer]:
    """The answers already in the set, by id."""
    there = run.predicted(name)
    return {p.id: p.answer for p in run.predictions(name)} if there else {}


def _refuse_mixing(run: Run, name: str, made: Mapping[str, Any]) -> None:
    """RunError if a set of this name was begun from something else."""
    noted = run.status().get("predictions", {}).get(name or "test")
    keys = ("split", "change", "history", "model")
    if noted is not None and any(noted.get(key) != made.get(key) for key in keys):
        told = ", ".join(f"{key} {noted[key]}" for key in keys if noted.get(key) is not None)
        hint = "choose another --name"
        raise RunError(
            f"the predictions {name or 'test'!r} are of {told}", where=run.path, hint=hint
        )


def _chunks(asked: Iterator[Dialogue], size: int) -> Iterator[list[Dialogue]]:
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
