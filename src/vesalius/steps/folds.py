"""Folds: what members answer to training dialogues on which they were not fitted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

from rich.progress import track

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import RecipeError
from vesalius.models import Model
from vesalius.recipe import Decoding
from vesalius.run import read_predictions
from vesalius.system.console import progress_console
from vesalius.system.files import append_lines, mend_lines

FOLDER, FILE, VALIDATION = "folds", "predictions.jsonl", "validation.jsonl"
CHUNK = 4
"""Batches that are answered and written together: what a kill loses at most."""


class Grouped(Protocol):
    """A dialogue, or a case, of a patient or of a group of look-alikes."""

    @property
    def group(self) -> str:
        """What folds keep whole."""


def deal(train: Sequence[Grouped], folds: int, seed: int) -> dict[str, int]:
    """Group -> fold, whole groups, about as many members in each; RecipeError for too few groups.

    The order of the groups is a hash's, so it depends on nothing but the seed and their names.
    """
    sizes = Counter(member.group for member in train)
    if len(sizes) < folds:
        what = f"what is dealt has {len(sizes)} groups (patients), fewer than {folds} folds"
        raise RecipeError(what, where="folds")
    order = sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    filled, dealt = [0] * folds, dict[str, int]()
    for group in order:
        dealt[group] = filled.index(min(filled))
        filled[dealt[group]] += sizes[group]
    return dealt


def require_apart(train: Sequence[Dialogue], held_out: Sequence[Dialogue], where: object) -> None:
    """RecipeError, naming the first, if a fold trains on what it is to answer.

    On a dialogue, case or picture of the held-out ones: a picture under two patients' names is
    dealt to two folds, and a member may read a data set of its own.
    """
    ids = {name for one in held_out for name in (one.id, one.case) if name}
    pictures = {picture.key for one in held_out for picture in one.pictures}
    for dialogue in train:
        shown = [picture.key for picture in dialogue.pictures if picture.key in pictures]
        if shown or dialogue.id in ids or dialogue.case in ids:
            what = f"a fold leaks: {dialogue.id} is trained on, and {{}} is held out"
            raise RecipeError(
                what.format(f"its picture {shown[0]}" if shown else "its case"),
                where=where,
                hint="`vesalius data audit` finds such pictures; give both one patient",
            )


def out_of_fold(
    folder: Path,
    train: Sequence[Dialogue],
    dealt: Mapping[str, int],
    model: Callable[[int], Model],
    decoding: Decoding,
) -> list[Prediction]:
    """A member's answers to ``train``, in order, each by ``model(fold)`` of the dialogue's fold.

    They are appended to ``predictions.jsonl`` in ``folder`` as they come; what is there is not
    computed again.
    """
    known: dict[str, Prediction] = {}
    for fold in sorted(set(dealt.values())):
        part = [dialogue for dialogue in train if dealt[dialogue.group] == fold]
        label = f"Answers of {folder.parent.name}, fold {fold}"
        answers = answered(folder / FILE, part, partial(model, fold), decoding, label)
        known |= {one.id: one for one in answers}
    return [known[dialogue.id] for dialogue in train]


def answered(
    path: Path,
    dialogues: Sequence[Dialogue],
    model: Callable[[], Model],
    decoding: Decoding,
    label: str,
) -> list[Prediction]:
    """A model's answers, in order, appended to the file at ``path`` as they come.

    What is there is not computed again, and the model is loaded only for what is not.
    """
    mend_lines(path)
    known = {one.id: one for one in read_predictions(path)} if path.exists() else {}
    todo = [dialogue for dialogue in dialogues if dialogue.id not in known]
    if todo:
        path.parent.mkdir(parents=True, exist_ok=True)
        answering, chunks = model(), list(_chunks(todo, CHUNK * decoding.batch))
        for chunk in track(chunks, label, console=progress_console(), transient=True):
            predictions = answering.predict(chunk, decoding)
            append_lines(path, (one.to_row() for one in predictions))
            known.update((one.id, one) for one in predictions)
    return [known[dialogue.id] for dialogue in dialogues]


def _chunks(dialogues: Sequence[Dialogue], size: int) -> Iterator[list[Dialogue]]:
    rest = iter(dialogues)
    while chunk := list(islice(rest, size)):
        yield chunk
