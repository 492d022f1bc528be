"""Runs as the base of others: the one that a fit starts from, and the model that a run left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError, RunError
from vesalius.models.build import build
from vesalius.models.generative.text.families import Family
from vesalius.models.generative.weights.folder import attach, require_sealed, start_of
from vesalius.models.generative.weights.loading import read_model, read_processor
from vesalius.recipe import RUN
from vesalius.run import Run
from vesalius.training.quantize import NF4, is_quantized


class Origin(Protocol):
    """A learner, as far as it says where its untrained model comes from."""

    @property
    def settings(self) -> Any:
        """``start``, and ``ORIGIN``, the keys that say what the untrained model is."""

    def family(self) -> Family:
        """The row of the families table."""

    def base(
        self, train: Sequence[Dialogue], seed: int, four_bit: NF4 | None
    ) -> tuple[PreTrainedModel, Any]:
        """The untrained model and its processor."""


def find_start(learner: Origin, run: Run | None) -> Run | None:
    """The run that ``learner``'s settings name as ``start``; None if they name none.

    Without a ``run`` of its own, a start inside that run is not there yet: None too. RunError: no
    such run, or one that was not fitted to the end. ModelError: a run of another model.
    """
    named = learner.settings.start
    if named is None or (RUN in named and run is None):
        return None
    folder = Path(named if run is None else named.replace(RUN, str(run.path)))
    if not (folder / "recipe.yaml").exists():
        raise RunError("there is no run to start from", where=folder, hint="look at model.start")
    start = Run.open(folder)
    start.require_fitted()
    _require_alike(learner, start)
    return start


def fitted(
    run: Run, dtype: torch.dtype, four_bit: NF4 | None = None, *, merge: bool = True
) -> tuple[PreTrainedModel, Any]:
    """The model of a fitted run and its processor: whole, its adapters merged, or in 4 bits.

    On a 4-bit base, and with ``merge=False``, the adapters stay layers. What a run started from is
    read as it was then: whole, merged in fp32.
    """
    require_sealed(run)
    learner, folder = _learner(run), run.weights
    processor = read_processor(folder / "processor")
    if (folder / "model").exists():
        model = read_model(folder / "model", dtype=dtype)
    else:
        model = cast(_base_again(learner, run, four_bit), dtype)
    if four_bit is not None:
        model = four_bit.convert(model, learner.family().parts)
    if (folder / "adapter").exists():
        model = attach(model, run, merge=merge and four_bit is None)
    return model, processor


def cast(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The model in a dtype; a 4-bit one was read in it."""
    return model if is_quantized(model) else model.to(dtype)


def _base_again(learner: Origin, run: Run, four_bit: NF4 | None) -> PreTrainedModel:
    """The base that a run's adapters lie on."""
    if (run.weights / "base").exists():
        return read_model(run.weights / "base", dtype=torch.float32)
    start = start_of(run)
    if start is not None:
        return fitted(start, torch.float32)[0]
    return learner.base((), run.recipe().seed, four_bit)[0]


def _learner(run: Run) -> Origin:
    entry: Any = build(run.recipe().model)
    learner: Origin = entry
    return learner


def _require_alike(learner: Origin, start: Run) -> None:
    theirs = _learner(start)
    if type(theirs) is not type(learner):
        name = start.recipe().model["name"]
        what = f"was fitted by {name}, from which this model cannot start"
        raise ModelError(what, where=start.path)
    for key in learner.settings.ORIGIN:
        here, there = getattr(learner.settings, key), getattr(theirs.settings, key)
        if here != there:
            what = f"starts from another base: its {key} is {there!r}, here it is {here!r}"
            raise ModelError(what, where=start.path, hint="look at model.start")
