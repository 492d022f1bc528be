"""Fitting a network: from the weights it starts from to those that were trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from rich.console import Console
from transformers import PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.models import Lesson
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.blueprint import Blueprint
from vesalius.models.generative.network import Network
from vesalius.models.generative.preflight import require_data
from vesalius.models.generative.rows.groups import collator
from vesalius.models.generative.weights.folder import keep_base, note_origin
from vesalius.models.generative.weights.lineage import cast, find_start, fitted
from vesalius.run import Run, is_main
from vesalius.training.device import resolve_device
from vesalius.training.loop import train as run_training
from vesalius.training.parts import prepare
from vesalius.training.quantize import NF4, steady


def prepared(
    blueprint: Blueprint, train: Sequence[Dialogue], seed: int, run: Run | None = None
) -> Network:
    """The network as it will be trained: parts frozen, adapted or full, on the device.

    The base is read once, here; a ``run`` notes what it is.
    """
    settings, dtype = blueprint.settings, blueprint.dtype
    device = resolve_device(settings.device)
    four_bit = None if settings.quantization is None else NF4(dtype, device)
    network = _untrained(blueprint, train, seed, run, four_bit)
    model, row = network.model, network.family
    if four_bit is not None:
        model = four_bit.convert(cast(model, dtype), row.parts)
        steady(model, row.parts)
    else:
        frozen_base = "full" not in {settings.roles.get(p) for p in ("vision", "language")}
        model = model.to(dtype if frozen_base else torch.float32)
    torch.manual_seed(seed)
    wrapped = prepare(model, row.parts, settings.roles, settings.adapter, row.targets)
    return replace(network, model=wrapped.to(device))


def _untrained(
    blueprint: Blueprint,
    train: Sequence[Dialogue],
    seed: int,
    run: Run | None,
    four_bit: NF4 | None,
) -> Network:
    """The network that a fit starts from."""
    require_data(blueprint, train)
    answers = blueprint.answers(train, run)
    torch.manual_seed(seed)
    origin, start = blueprint.origin, find_start(blueprint, run)
    if start is None:
        model, processor = origin.base(blueprint.written(train, answers), seed, four_bit)
    else:
        model, processor = fitted(start, torch.float32)
    if run is not None and is_main():
        note_origin(run, model, origin.kind, start)
        blueprint.note_answers(run, answers)
        if start is not None:
            _note_start(run, start)
        if start is None and origin.drawn_here and blueprint.trained != "model":
            keep_base(run, model)
    return blueprint.network(model, processor, answers)


def _note_start(run: Run, start: Run) -> None:
    """Say that a start in 4 bits goes on as another model: its adapter on the plain base."""
    quantization = start.recipe().model.get("quantization")
    if quantization is not None:
        run.note(start_quantization=quantization)
        line = (
            f"model.start was trained on a base in 4 bits ({quantization}); its adapter is merged "
            "into the plain base here, which may answer otherwise than that run did"
        )
        Console(stderr=True).print(line)


def train(blueprint: Blueprint, network: Network, lesson: Lesson, run: Run) -> dict[str, Any]:
    """Train a prepared network; the weights are in the run's folder. What to note of it."""
    settings, dtype, validate = blueprint.settings, blueprint.dtype, lesson.validate
    bare = replace(network, model=_bare(network.model))
    prefixes = blueprint.prefixes(bare)
    autocast = None if dtype == torch.float32 else dtype
    answerer = Answerer(bare, autocast=autocast, prefixes=prefixes)
    groups = blueprint.groups(lesson.train, network, prefixes)
    if groups.unshared and is_main():
        told = f"{groups.unshared} dialogues show pictures after a reply: a row of its own each"
        Console(stderr=True).print(told)
        run.note(unshared_dialogues=groups.unshared)
    return run_training(
        network.model,
        groups,
        collator(network),
        settings.training,
        run,
        dtype=dtype,
        seed=run.recipe().seed,
        validate=(lambda: {"validation": validate(answerer)}) if validate else None,
        save_to=run.weights / str(blueprint.trained),
    )


def _bare(model: Any) -> PreTrainedModel:
    """The model itself, whatever adapters are in it."""
    base: PreTrainedModel = getattr(model, "get_base_model", lambda: model)()
    return base
