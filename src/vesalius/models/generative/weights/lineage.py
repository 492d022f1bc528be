"""Runs as the base of others: the one that a fit starts from, and the model that a run left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from vesalius.errors import ModelError, RunError
from vesalius.models.build import build
from vesalius.models.generative.blueprint import Blueprint
from vesalius.models.generative.weights.folder import attach, require_base, require_sealed, start_of
from vesalius.recipe import RUN
from vesalius.run import Run
from vesalius.training.quantize import NF4, is_quantized


def find_start(blueprint: Blueprint, run: Run | None) -> Run | None:
    """The run that the settings name as ``start``; None if they name none.

    Without a ``run`` of its own, a start inside that run is not there yet: None too. RunError: no
    such run, or one that was not fitted to the end. ModelError: a run of another model.
    """
    named = blueprint.settings.start
    if named is None or (RUN in named and run is None):
        return None
    folder = Path(named if run is None else named.replace(RUN, str(run.path)))
    if not (folder / "recipe.yaml").exists():
        raise RunError("there is no run to start from", where=folder, hint="look at model.start")
    start = Run.open(folder)
    start.require_fitted()
    _require_alike(blueprint, start)
    return start


def fitted(
    run: Run,
    dtype: torch.dtype,
    four_bit: NF4 | None = None,
    *,
    merge: bool = True,
    adapted: bool = True,
) -> tuple[PreTrainedModel, Any]:
    """The model of a fitted run and its processor: whole, its adapters merged, or in 4 bits.

    On a 4-bit base, and with ``merge=False``, the adapters stay layers. What a run started from is
    read as it was then: whole, merged in fp32. ``adapted=False`` leaves the run's own adapters out.
    """
    require_sealed(run)
    blueprint, folder = _blueprint(run), run.weights
    processor = blueprint.origin.saved_processor(folder / "processor")
    if (folder / "model").exists():
        model = blueprint.origin.saved_model(folder / "model", dtype=dtype)
    else:
        model = cast(_base_again(blueprint, run, four_bit), dtype)
    if four_bit is not None:
        model = four_bit.convert(model, blueprint.origin.family().parts)
    if adapted and (folder / "adapter").exists():
        model = attach(model, run, merge=merge and four_bit is None)
    return model, processor


def outline_of(run: Run) -> tuple[PreTrainedModel, Any]:
    """The model of a fitted run on the meta device, without adapters, and its processor."""
    require_sealed(run)
    origin = _blueprint(run).origin
    processor = origin.saved_processor(run.weights / "processor")
    if (run.weights / "model").exists():
        return origin.saved_model(run.weights / "model", device_map="meta"), processor
    if (run.weights / "base").exists():
        model = origin.saved_model(run.weights / "base", device_map="meta")
    else:
        start = start_of(run)
        model, _ = origin.outline(()) if start is None else outline_of(start)
    if (run.weights / "adapter").exists():
        require_base(model, run)
    return model, processor


def cast(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The model in a dtype; a 4-bit one was read in it."""
    return model if is_quantized(model) else model.to(dtype)


def _base_again(blueprint: Blueprint, run: Run, four_bit: NF4 | None) -> PreTrainedModel:
    """The base that a run's adapters lie on."""
    if (run.weights / "base").exists():
        return blueprint.origin.saved_model(run.weights / "base", dtype=torch.float32)
    start = start_of(run)
    if start is not None:
        return fitted(start, torch.float32)[0]
    return blueprint.origin.base((), run.recipe().seed, four_bit)[0]


def _blueprint(run: Run) -> Blueprint:
    """What a run's recipe says; ModelError if its model is none of ours."""
    learner: Any = build(run.recipe().model)
    blueprint = getattr(learner, "blueprint", None)
    if not isinstance(blueprint, Blueprint):
        raise _of_another_learner(run)
    return blueprint


def _require_alike(blueprint: Blueprint, start: Run) -> None:
    settings, theirs = blueprint.settings, _blueprint(start).settings
    if type(theirs) is not type(settings):
        raise _of_another_learner(start)
    for key in settings.ORIGIN:
        here, there = getattr(settings, key), getattr(theirs, key)
        if here != there:
            what = f"starts from another base: its {key} is {there!r}, here it is {here!r}"
            raise ModelError(what, where=start.path, hint="look at model.start")


def _of_another_learner(run: Run) -> ModelError:
    name = run.recipe().model["name"]
    return ModelError(f"was fitted by {name}, from which this model cannot start", where=run.path)
