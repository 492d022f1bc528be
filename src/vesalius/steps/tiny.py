"""A recipe's tiny form: the same code on random weights and drawn data, offline, in a minute."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vesalius.data.caption_concepts import OPTION
from vesalius.data.open import ROOTLESS
from vesalius.data.synthetic.cached import cached
from vesalius.data.synthetic.draw import reading
from vesalius.errors import RecipeError
from vesalius.language.dictionary import OWN
from vesalius.models import models
from vesalius.models.capabilities import Shrinkable
from vesalius.recipe import Recipe, Retrieve
from vesalius.run import Run
from vesalius.settings import validated
from vesalius.system.tables import packaged_table

ENDING = "-tiny"
ENCODERS, SENTENCES = ("encoder", "sentences"), "minilm"
"""Settings that name a frozen encoder, and the packaged one of sentences."""
TASK = ("task", "instruction")
"""What a member's own data say of what it is asked, wherever they come from."""
BY_MODEL = ("model", "layer", "rescale")
"""Parameters of a metric that go with a hub model."""


def tiny(recipe: Recipe) -> Recipe:
    """The recipe with small random weights in the place of real ones, and drawn data.

    Data come in the publisher's own layout, read by the same reader, from a folder that is drawn
    once (``$VESALIUS_CACHE``, by default the user's cache). Roles, adapters, quantisation, the
    instruction, the stages and the metrics stay; steps, batches and tokens are cut to
    ``tiny.yaml``'s limits, and the machine chooses the precision. RecipeError where a model has no
    tiny form, UnknownName where a data set has no drawn one.
    """
    said = recipe.model_dump(mode="json")
    for stage, whole in zip(said["stages"], recipe.unrolled(), strict=False):
        if stage["data"]:
            data = whole.data.model_dump(mode="json")
            stage["data"] = data | _data(data)
        stage["model"] = _cut(stage["model"])
    said["data"] |= _data(said["data"])
    said["model"] = _model(said["model"])
    for block in (said, *said["stages"]):
        block.update(_scored(block))
    if said["folds"]:
        said["folds"] = min(said["folds"], _limits()["folds"])
    if said["retrieve"]:
        said["retrieve"] = _packaged(said["retrieve"], Retrieve)
    said["name"] = said["name"].removesuffix(ENDING) + ENDING
    return validated(Recipe, said, where="--tiny")


@cache
def _limits() -> dict[str, Any]:
    limits: dict[str, Any] = packaged_table(__package__, "tiny.yaml")
    return limits


def _at_most(said: Mapping[str, Any], limits: Mapping[str, int]) -> dict[str, int]:
    """What is said of each limited key, or the limit where that is lower."""
    return {key: min(said[key], most) for key, most in limits.items() if said.get(key) is not None}


def _scored(block: Mapping[str, Any]) -> dict[str, Any]:
    """How a recipe's, stage's or member's block answers and is scored, within the limits."""
    limits = _limits()
    changed = {
        key: {**block[key], **_at_most(block[key], limits[key])}
        for key in ("decoding", "evaluation")
        if block.get(key)
    }
    if metrics := changed.get("evaluation", {}).get("metrics"):
        changed["evaluation"]["metrics"] = [_offline(metric) for metric in metrics]
    return changed


def _data(data: Mapping[str, Any], seed: int | None = None) -> dict[str, Any]:
    """What is read in the place of a data block: the keys that change."""
    dataset, options = data["dataset"], data.get("options") or {}
    cases, seed = _limits()["cases"], _limits()["seed"] if seed is None else seed
    if dataset in ROOTLESS:
        root, options = None, {**options, "cases": cases}
    else:
        folder = cached(dataset, cases=cases, seed=seed)
        drawn = reading(dataset, folder, options)
        # A dictionary that had to be fetched is not there offline.
        read = {OPTION: OWN} if OPTION in options else {}
        root, options = folder.as_posix(), {**drawn, **read}
    # A publisher's one split (``all``) is three in a drawing.
    named = (data.get("splits") or {}).get("validation", "validation")
    splits = {"train": "train", "validation": named and "validation", "test": "test"}
    changed = {"root": root, "hub": False, "options": options, "splits": splits, "limit": {}}
    return {"dataset": dataset, "drawn": root is not None, **changed, **_mixed(data)}


def _mixed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The sets mixed in, drawn by seeds of their own; what looks alike by chance is left out."""
    changed = []
    for number, one in enumerate(data.get("mix") or (), start=1):
        block = _data({**one, "mix": ()}, seed=_limits()["seed"] + number)
        named = {part: split and part for part, split in one["splits"].items()}
        same = {key: block[key] for key in ("root", "hub", "options")}
        changed.append({**one, **same, "splits": named, "limit": None})
    return {"mix": changed, "leaks": "drop"} if changed else {}


def _model(block: Mapping[str, Any]) -> dict[str, Any]:
    """A model block with random weights; what it says of training is cut, blocks inside it too."""
    entry = models[block["name"]]
    if not getattr(entry, "computes", True):
        raise RecipeError(f"{block['name']} has no tiny form", where="model")
    fields = entry.Settings.model_fields
    changed = {key: _inner(key, value) for key, value in _packaged(block, entry.Settings).items()}
    if isinstance(entry, Shrinkable):
        changed = entry.tiny(changed)
    elif block.get("weights") is not None:
        raise RecipeError(f"{block['name']} has no tiny form", where="model")
    if "training" in fields:
        changed.setdefault("training", {})
    if "precision" in fields:
        changed["precision"] = "auto"
    return _cut(changed)


def _packaged(block: Mapping[str, Any], settings: type[BaseModel]) -> dict[str, Any]:
    """A block whose frozen encoders are those that travel with Vesalius."""
    changed = dict(block)
    for name in ENCODERS:
        if block.get(name) is not None and name in settings.model_fields:
            changed[name] = settings.model_fields[name].default or SENTENCES
    return changed


def _cut(block: Mapping[str, Any]) -> dict[str, Any]:
    """A model block, or a stage's changes to one, within the limits and fit for any machine."""
    changed = dict(block)
    if "training" in changed:
        said, limits = changed["training"], _limits()
        cut = _at_most(
            limits["training"] | said, limits["training"] | limits["training_where_said"]
        )
        # 8-bit and paged optimizers want a CUDA device.
        changed["training"] = {**said, **limits["training"], **cut, "optimizer": "adamw_torch"}
    if "precision" in changed:
        changed["precision"] = "auto"  # fp16 cannot train on a CPU
    return changed


def _inner(key: str, value: Any) -> Any:
    if key != "members" or not isinstance(value, Mapping):
        return value
    return {name: _member(member) for name, member in value.items()}


def _member(block: Mapping[str, Any]) -> dict[str, Any]:
    """A member's tiny form: its model and its task, on the recipe's own data."""
    if "name" in block:
        return _model(block)
    if "run" in block:
        whole = Run.open(Path(block["run"])).recipe()
        block = whole.model_dump(mode="json", include={"model", "data", "evaluation"})
    data = block.get("data") or {}
    task = {"data": {key: data[key] for key in TASK if key in data}}
    return {**block, **_scored(block), **task, "model": _model(block["model"])}


def _offline(metric: str | Mapping[str, Any]) -> str | dict[str, Any]:
    """A metric that compares by a model of the hub compares by its packaged default."""
    if isinstance(metric, str):
        return metric
    return {
        name: {k: v for k, v in said.items() if "model" not in said or k not in BY_MODEL}
        for name, said in metric.items()
    }
