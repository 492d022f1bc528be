"""What a fit would take, told without its data or its weights. Every number here is an estimate.

Counts come from the data card, parameters from published sizes. How long it takes is not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vesalius.cases.tasks import task_of
from vesalius.data.cards import Release, card
from vesalius.data.open import dataset_root
from vesalius.data.split import FRACTIONS
from vesalius.errors import DatasetError, MissingExtra
from vesalius.models.build import build
from vesalius.models.capabilities import Weighable
from vesalius.recipe import Data, Recipe
from vesalius.steps.mix import parts
from vesalius.steps.prepare import fingerprint, to_fit_on

ALL = "all"


def missing(recipe: Recipe) -> list[str]:
    """What a measured plan of the recipe would need and this machine has not; nothing is fetched.

    Empty where data and weights are there.
    """
    found: dict[str, None] = {}
    for stage in recipe.unrolled():
        found |= dict.fromkeys(_no_data(stage.data))
        found |= dict.fromkeys(f"the weights of {name}" for name in _absent(stage.model))
    for member in recipe.members().values():
        if isinstance(member, Recipe):
            found |= dict.fromkeys(missing(member))
    return list(found)


def estimate(recipe: Recipe) -> dict[str, Any]:
    """Rows, steps, parameters and least memory of a fit; of each stage, where there are stages.

    ``estimate`` holds the numbers, ``basis`` what they rest on and what they leave out. Data that
    are there are counted. DatasetError where neither the data nor counts on the card are there,
    ModelError where the model's sizes are not known.
    """
    unrolled = recipe.unrolled()
    if not recipe.stages:
        return _estimate(unrolled[0])
    named = zip(recipe.stages, unrolled, strict=True)
    return {stage.name: _estimate(whole) for stage, whole in named}


def _estimate(recipe: Recipe) -> dict[str, Any]:
    counted, source = _counts(recipe.data)
    learner = build(recipe.model)
    settings: Any = getattr(learner, "settings", None)
    numbers = dict(counted)
    training = getattr(settings, "training", None)
    if training is not None:
        numbers["rows"] = _rows(counted, settings, recipe.data.task)
        numbers["steps"] = training.steps(numbers["rows"])
    weighed = learner.weigh() if isinstance(learner, Weighable) else {}
    left_out = "texts' tokens, activations, time"
    basis = {"data": source, "model": weighed.pop("source", "none needed"), "left_out": left_out}
    return {"estimate": numbers | weighed, "basis": basis}


def _counts(data: Data) -> tuple[dict[str, int], str]:
    """Dialogues and pictures to train on, and who counted."""
    split = data.splits.train
    if not list(_no_data(data)):
        read = fingerprint(to_fit_on(data, split))
        return {
            name: read[name] for name in ("dialogues", "pictures")
        }, "counted: the data are here"
    counted = [_counts_on_card(one.data) for one in parts(data, split)]
    weights = [one.weight for one in parts(data, split)]
    totals = {
        name: round(sum(w * counts[name] for w, (counts, _) in zip(weights, counted, strict=True)))
        for name in ("dialogues", "pictures")
    }
    return totals, "; ".join(source for _, source in counted)


def _counts_on_card(data: Data) -> tuple[dict[str, int], str]:
    """Dialogues and pictures of one set, by its card's counts."""
    split = data.splits.train
    release = card(data.dataset).release(data.options)
    pictures, questions = (_of_split(held, split) for held in (release.images, release.questions))
    if pictures == 0:
        what = f"the card of {data.dataset} counts no {split!r} split"
        raise DatasetError(what, hint="give the folder of the data itself")
    kept = min(pictures, data.limit.get(split, pictures))
    asked = task_of(data.task).asks_apart and questions
    dialogues = round(questions * kept / pictures) if asked else kept
    return {"dialogues": dialogues, "pictures": kept}, _said(data, release, split)


def _said(data: Data, release: Release, split: str) -> str:
    dealt = f", {FRACTIONS.get(split, 1.0):.0%} of all" if split not in release.images else ""
    return f"the card of {data.dataset}: {release.name} ({release.source}){dealt}"


def _of_split(counts: Mapping[str, int], split: str) -> int:
    """The count of a split; of a set that is divided at home, the usual share of all."""
    return counts.get(split) or round(counts.get(ALL, 0) * FRACTIONS.get(split, 1.0))


def _rows(counted: Mapping[str, int], settings: Any, task: str) -> int:
    """Training rows: one a picture where its questions share it, at most so many behind each."""
    if not task_of(task).asks_apart or not getattr(settings, "share_image", False):
        return counted["dialogues"]
    each = counted["dialogues"] / counted["pictures"]
    return counted["pictures"] * math.ceil(each / int(settings.questions_per_row))


def _no_data(data: Data) -> Iterator[str]:
    for one in parts(data):
        yield from _no_set(one.data)


def _no_set(data: Data) -> Iterator[str]:
    if data.hub:
        yield f"{data.dataset} from the hub, which a dry run does not fetch"
        return
    try:
        dataset_root(data.dataset, data.root)
    except DatasetError as error:
        yield f"the folder of {data.dataset} ({error.what})"
    splits = data.options.get("split_file")
    if splits is not None and not Path(splits).exists():
        yield f"the split file {splits}"


def _absent(block: Mapping[str, Any]) -> Iterator[str]:
    """Hub weights that a model block names and that are not cached."""
    learner = build(block)
    for name in learner.hub_weights() if isinstance(learner, Weighable) else ():
        if not _cached(name, block.get("revision")):
            yield name


def _cached(name: str, revision: str | None) -> bool:
    if Path(name).exists():
        return True
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtra("transformers", "models") from error
    try:
        folder = snapshot_download(name, revision=revision, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError, ValueError):
        return False
    return any(Path(folder).glob("*.safetensors")) or any(Path(folder).glob("*.bin"))
