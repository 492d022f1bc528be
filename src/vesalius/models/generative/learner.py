"""The learner of generative models: any transformers image-text-to-text model, fitted and asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from rich.console import Console

from vesalius.cases.dialogue import Dialogue
from vesalius.models import Lesson
from vesalius.models.capabilities import HubCard, Pictures
from vesalius.models.codecs import Replies
from vesalius.models.generative import fitting, preflight
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.blueprint import Blueprint, Pictured
from vesalius.models.generative.planning import cost, masked_tokens
from vesalius.models.generative.settings import GenerativeSettings, Settings
from vesalius.models.generative.weights.counts import weigh_generative
from vesalius.models.generative.weights.folder import (
    copy_adapter,
    seal,
    write_prompting,
    write_whole,
)
from vesalius.models.generative.weights.lineage import cast, find_start, fitted, outline_of
from vesalius.models.generative.weights.origin import HubOrTiny, Origin
from vesalius.models.generative.weights.sizes import drawn
from vesalius.run import Run, is_main
from vesalius.training.device import resolve_device
from vesalius.training.parts import census, census_table, require_parts, resolve_dtype
from vesalius.training.preflight import require
from vesalius.training.processes import main_first, on_main
from vesalius.training.quantize import NF4, require_adapters, require_bitsandbytes

TOKENIZER = (
    "Prompts are written by the chat template of the processor's tokenizer "
    "(`processor.tokenizer.apply_chat_template`), exactly as in training: this class of processor "
    "reads none."
)


class Generative:
    """Any transformers image-text-to-text model of a family that the families table knows."""

    Settings: ClassVar[type[Settings]] = GenerativeSettings
    Origin: ClassVar[Callable[[Any], Origin]] = HubOrTiny
    """Where an untrained model comes from, by the settings."""
    needs_image = True
    steerable: ClassVar[bool] = True
    """Its model is Steerable."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.blueprint: Blueprint = Pictured(settings, type(self).Origin(settings))

    def check(self, *, validated: bool) -> None:
        """Refuse, before any data or weights are read, what cannot be fitted here.

        ``validated``: whether validation scores will be there.
        """
        settings, origin = self.settings, self.blueprint.origin
        resolve_device(settings.device)
        require(settings.training, dtype=self.blueprint.dtype, validated=validated)
        if settings.quantization is not None:
            require_bitsandbytes()
            require_adapters(settings.roles)
        origin.look()
        require_parts(settings.roles, origin.family().parts)
        self.blueprint.require()
        if settings.start is not None:
            find_start(self.blueprint, None)

    def rehearse(self, stages: Sequence[tuple[Any, Sequence[Dialogue]]], seed: int) -> None:
        """Refuse, before a run is begun, what any stage would fail at; this learner is the first's.

        No weights are read for it. ModelError or RecipeError as the stage itself would say it.
        """
        preflight.rehearse([(learner.blueprint, train) for learner, train in stages])

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Train on shared-image rows; what was trained is in ``run.weights`` at the end."""
        blueprint = self.blueprint
        with main_first():
            network = fitting.prepared(blueprint, lesson.train, run.recipe().seed, run)
        parts = census(network.model, network.family.parts)
        dtype = str(blueprint.dtype).removeprefix("torch.")
        run.note(weights=blueprint.origin.kind, parts=parts, dtype=dtype)
        if is_main():
            Console(stderr=True).print(census_table(parts, self.settings.roles))
        if blueprint.trained is not None:
            run.note(**fitting.train(blueprint, network, lesson, run))
        on_main(lambda: seal(run, network.processor))

    def load(
        self,
        run: Run,
        quantization: Literal["nf4", "none"] | None = None,
        *,
        merge: bool = True,
        exact: bool = False,
    ) -> Answerer:
        """The fitted model, its adapters merged into the base; on a 4-bit base they stay layers.

        ``quantization``: as the recipe says, unless it is told here; ``none`` puts adapters that
        were trained on a 4-bit base on the plain one. ``merge=False`` leaves adapters as layers on
        the plain base: what merged weights must answer like. ``exact`` computes in fp32.
        """
        dtype, device = self.blueprint.where_to_answer()
        dtype = torch.float32 if exact else dtype
        chosen = quantization or (self.settings.quantization if merge else None)
        four_bit = NF4(dtype, device) if chosen == "nf4" else None
        model, processor = fitted(run, dtype, four_bit, merge=merge)
        return Answerer(self.blueprint.network(model.to(device), processor, self.replies(run)))

    def bare(self, run: Run) -> Answerer | None:
        """A run's base without its adapter, as it was fitted; None if it was trained in full."""
        if not (run.weights / "adapter").exists():
            return None
        dtype, device = self.blueprint.where_to_answer()
        four_bit = NF4(dtype, device) if self.settings.quantization == "nf4" else None
        model, processor = fitted(run, dtype, four_bit, adapted=False)
        return Answerer(self.blueprint.network(model.to(device), processor, self.replies(run)))

    def replies(self, run: Run) -> Replies:
        """What a run's replies hold, of boxes their convention and classes."""
        return self.blueprint.answers((), run)

    def write_base(self, run: Run, folder: Path) -> tuple[str | None, str | None]:
        """The base of a run's adapter: its hub id and revision, or None: written to ``folder``.

        What a hub does not have is written: random weights, and a run that this one started from.
        """
        settings = self.settings
        weights = getattr(settings, "weights", None)
        if weights is not None and settings.start is None and not Path(weights).exists():
            return weights, settings.revision
        model, processor = fitted(run, torch.float32, adapted=False)
        network = self.blueprint.network(model, processor)
        write_whole(network.model, network.processor, network.stops, folder)
        return None, None

    def context(self, run: Run) -> int | None:
        """The tokens for which a run's model has positions; None where it does not say."""
        config: Any = outline_of(run)[0].config
        return getattr(config.get_text_config(), "max_position_embeddings", None)

    def write_prompting(self, run: Run, folder: Path) -> None:
        """A run's chat template, and the tokens at which its replies stop, beside its adapter."""
        model, processor = outline_of(run)
        network = self.blueprint.network(model, processor)
        write_prompting(network.model, network.processor, network.stops, folder)

    def write(self, run: Run, folder: Path, *, merge: bool, dtype: str = "fp32") -> None:
        """Weights and processor as plain transformers reads them, or the adapter as PEFT does.

        Adapters are merged in fp32, whatever ``dtype`` is saved.
        """
        if not merge:
            copy_adapter(run, folder)
            return
        model, processor = fitted(run, torch.float32)
        model = model.to(resolve_dtype(dtype, training=False))
        network = self.blueprint.network(model, processor)
        write_whole(network.model, network.processor, network.stops, folder)

    def read(self, run: Run, folder: Path, quantization: Literal["nf4"] | None = None) -> Answerer:
        """The model of a folder that :meth:`write` wrote, merged, as anybody would load it."""
        dtype, device = self.blueprint.where_to_answer()
        origin = self.blueprint.origin
        model, parts = origin.saved_model(folder, dtype="auto"), origin.family().parts
        if quantization == "nf4":
            model = NF4(dtype, device).convert(model, parts)
        processor, answers = origin.saved_processor(folder), self.replies(run)
        return Answerer(self.blueprint.network(model.to(device), processor, answers))

    @property
    def takes_pictures(self) -> Pictures:
        """It answers from pictures alone."""
        return "required"

    @property
    def pictures_in_turns(self) -> bool:
        """Whether the family reads a picture in the turn that shows it."""
        return self.blueprint.origin.family().repeats is None

    @property
    def card(self) -> HubCard:
        """How its exported weights are loaded, and which part of the processor writes prompts."""
        if self.blueprint.origin.family().renderer == "processor":
            return HubCard()
        return HubCard(remark=TOKENIZER)

    @classmethod
    def tiny(cls, block: Mapping[str, Any]) -> dict[str, Any]:
        """The block with ``tiny: true``, and the family of the weights it named."""
        return drawn(block) if block.get("weights") else dict(block)

    def weigh(self) -> dict[str, Any]:
        """Parameters and least memory by the weights' published sizes; nothing if it is drawn."""
        settings = self.settings
        if settings.weights is None:
            return {}
        facts = weigh_generative(settings, settings.weights, settings.family)
        return facts | {"source": f"published sizes of {settings.weights}"}

    def hub_weights(self) -> tuple[str, ...]:
        """The weights it names."""
        return () if self.settings.weights is None else (self.settings.weights,)

    def untuned(self) -> Answerer:
        """The model as its weights are, asked without a run."""
        dtype, device = self.blueprint.where_to_answer()
        model, processor = self.blueprint.origin.base((), 0, None)
        model, answers = cast(model, dtype).to(device), self.blueprint.answers(())
        return Answerer(self.blueprint.network(model, processor, answers))

    def plan(self, train: Sequence[Dialogue], seed: int) -> dict[str, Any]:
        """What a fit would do: parameters, tokens, steps; memory and time from one real step."""
        preflight.rehearse([(self.blueprint, train)])
        network, dtype = fitting.prepared(self.blueprint, train, seed), self.blueprint.dtype
        return cost(network, self.blueprint.groups(train, network), self.settings.training, dtype)

    def mask(self, train: Sequence[Dialogue], seed: int) -> Iterator[tuple[str, bool]]:
        """(token, bears loss) along the first training row."""
        model, processor = preflight.outline(self.blueprint, train)
        network = self.blueprint.network(model, processor, self.blueprint.answers(train))
        preflight.check_rows(train, network)
        yield from masked_tokens(self.blueprint.groups(train, network)[0][0], network.encoder)
