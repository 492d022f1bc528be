"""Folds: what members answer to training dialogues on which they were not fitted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import track

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import RecipeError
from vesalius.models import Model
from vesalius.recipe import Decoding
from vesalius.run import read_predictions
from vesalius.system.files import append_lines, mend_lines

FOLDER, FILE = "folds", "predictions.jsonl"
CHUNK = 4
"""Batches that are answered and written together: what a kill loses at most."""


def deal(train: Sequence[Dialogue], folds: int, seed: int) -> dict[str, int]:
    """Group -> fold, whole groups, about as many dialogues in each; RecipeError for too few groups.

    The order of the groups is a hash's, so it depends on nothing but the seed and their names.
    """
    sizes = Counter(dialogue.group for dialogue in train)
    if len(sizes) < folds:
        what = f"the training split has {len(sizes)} groups (patients), fewer than {folds} folds"
        raise RecipeError(what, where="folds")
    order = sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    filled, dealt = [0] * folds, dict[str, int]()
    for group in order:
        dealt[group] = filled.index(min(filled))
        filled[dealt[group]] += sizes[group]
    return dealt


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
    path = folder / FILE
    mend_lines(path)
    known = {one.id: one for one in read_predictions(path)} if path.exists() else {}
    folder.mkdir(parents=True, exist_ok=True)
    for fold in sorted(set(dealt.values())):
        todo = [d for d in train if dealt[d.group] == fold and d.id not in known]
        if not todo:
            continue
        answering, size = model(fold), CHUNK * decoding.batch
        chunks = list(_chunks(todo, size))
        label = f"Answers of {folder.parent.name}, fold {fold}"
        for chunk in track(chunks, label, console=Console(stderr=True), transient=True):
            predictions = answering.predict(chunk, decoding)
            append_lines(path, (one.to_row() for one in predictions))
            known.update((one.id, one) for one in predictions)
    return [known[dialogue.id] for dialogue in train]


def _chunks(dialogues: Sequence[Dialogue], size: int) -> Iterator[list[Dialogue]]:
    rest = iter(dialogues)
    while chunk := list(islice(rest, size)):
        yield chunk
