"""Predict: answers to a split, or to one picture, from a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vesalius.cases.case import Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.errors import ImageError
from vesalius.fit import load
from vesalius.gather import cases, dialogues
from vesalius.models import Model
from vesalius.models.guard import require_pictures
from vesalius.recipe import Decoding
from vesalius.run import Run

CHUNK = 4
"""Batches read ahead of the model: pictures of one case stay together, memory stays bounded."""


def predict(
    run: Run,
    *,
    split: str | None = None,
    name: str = "",
    change: str | None = None,
    limit: int | None = None,
    model: Model | None = None,
) -> int:
    """Answer every dialogue of a split (by default the test split) and return how many there are.

    Answers are appended as they come, and those already there are not asked again, so a killed
    prediction goes on. ``change`` names a perturbation (``blank``); ``name`` the set of
    predictions, by default the perturbation's.
    """
    recipe = run.recipe()
    answerer = model or load(run)
    name = name or change or ""
    done = run.predicted(name)
    asked = dialogues(recipe.data, split or recipe.data.splits.test, change=change)
    todo = (d for d in islice(asked, limit) if d.id not in done)
    count = len(done)
    with _progress(run.name, name) as bar:
        task = bar.add_task("", done=count)
        for chunk in _chunks(todo, CHUNK * recipe.decoding.batch):
            if answerer.needs_image:
                require_pictures(chunk)
            run.append(answerer.predict(chunk, recipe.decoding), name)
            count += len(chunk)
            bar.update(task, done=count)
    run.note_predictions(name, split=split or recipe.data.splits.test, n=count, change=change)
    return count


def ask(run: Run, image: Path, question: str, *, decoding: Decoding | None = None) -> Prediction:
    """The run's answer to one question about one picture file."""
    picture = Picture.from_file(image)
    picture.pixels()  # a bad file is refused before the model is loaded
    turn = Turn(Question(question), (picture,))
    dialogue = Dialogue(image.name, (turn,), group=image.name, case=image.name)
    return load(run).predict([dialogue], decoding or run.recipe().decoding)[0]


def pictures_of(run: Run) -> Callable[[str], bytes | None]:
    """Encoded pictures by key, from the run's test split, for a report; None for an unknown key."""
    recipe = run.recipe()
    known: dict[str, Picture] = {}
    for case in cases(recipe.data, recipe.data.splits.test):
        known.update((picture.key, picture) for picture in case.pictures)

    def find(key: str) -> bytes | None:
        picture = known.get(key)
        try:
            return None if picture is None else picture.read()
        except ImageError:
            return None  # a report about pictures that have since gone shows their place empty

    return find


def _chunks(asked: Iterator[Dialogue], size: int) -> Iterator[list[Dialogue]]:
    while chunk := list(islice(asked, size)):
        yield chunk


def _progress(run: str, name: str) -> Progress:
    what = f"answering {run}" + (f" ({name})" if name else "")
    return Progress(
        SpinnerColumn(),
        TextColumn(what),
        TextColumn("{task.fields[done]} answers"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
