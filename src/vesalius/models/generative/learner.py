"""The learner of generative models: any transformers image-text-to-text model, fitted and asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from rich.console import Console
from transformers import AutoModelForImageTextToText, PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.tasks import Content, content_of, task_of
from vesalius.errors import ModelError
from vesalius.models import Lesson
from vesalius.models.capabilities import HubCard
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.features import FeatureStore, require_keepable
from vesalius.models.generative.network import Network, assemble
from vesalius.models.generative.planning import cost, masked_tokens
from vesalius.models.generative.preflight import as_written, check_lengths, check_prompts
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.rows.rows import Prefixes
from vesalius.models.generative.settings import GenerativeSettings, Settings
from vesalius.models.generative.text.families import Family, family, family_of
from vesalius.models.generative.weights.counts import weigh_generative
from vesalius.models.generative.weights.folder import (
    copy_adapter,
    keep_base,
    note_origin,
    seal,
    write_whole,
)
from vesalius.models.generative.weights.lineage import cast, find_start, fitted
from vesalius.models.generative.weights.loading import (
    Access,
    look,
    read,
    read_model,
    read_processor,
)
from vesalius.models.generative.weights.sizes import drawn
from vesalius.models.generative.weights.tiny import tiny_model
from vesalius.models.guard import require_pictures
from vesalius.run import Run, is_main
from vesalius.training.device import resolve_device
from vesalius.training.loop import train as run_training
from vesalius.training.parts import census, census_table, prepare, require_parts, resolve_dtype
from vesalius.training.preflight import require
from vesalius.training.processes import main_first, on_main
from vesalius.training.quantize import NF4, require_adapters, require_bitsandbytes, steady


class Generative:
    """Any transformers image-text-to-text model of a family that the families table knows."""

    Settings: ClassVar[type[Settings]] = GenerativeSettings
    needs_image = True
    card: ClassVar[HubCard] = HubCard()
    square = False
    """Whether pictures are padded to a square before the processor resizes them."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def check(self, *, validated: bool) -> None:
        """Refuse, before any data or weights are read, what cannot be fitted here.

        ``validated``: whether validation scores will be there.
        """
        settings = self.settings
        resolve_device(settings.device)
        require(settings.training, dtype=self._dtype(), validated=validated)
        if settings.quantization is not None:
            require_bitsandbytes()
            require_adapters(settings.roles)
        self._look()
        require_parts(settings.roles, self.family().parts)
        if settings.keep_features is not None:
            require_keepable(self.family(), settings.roles, settings.training.workers)
        if settings.start is not None:
            find_start(self, None)

    def rehearse(self, stages: Sequence[tuple[Any, Sequence[Dialogue]]], seed: int) -> None:
        """Refuse, before a run is begun, what any stage would fail at; this learner is the first's.

        With the untrained model: prompts, lengths, and where adapters land (on an outline without
        numbers). ModelError or RecipeError as the stage itself would say it.
        """
        network = self._untrained(stages[0][1], seed)
        for learner, train in stages:
            settings = learner.settings
            own = learner.network(network.model, network.processor, learner.answers(train))
            require_pictures(train)
            check_prompts(train, own)
            check_lengths(train, own)
            with torch.device("meta"):
                outline = AutoModelForImageTextToText.from_config(network.model.config)
            prepare(outline, own.family.parts, settings.roles, settings.adapter, own.family.targets)

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Train on shared-image rows; what was trained is in ``run.weights`` at the end."""
        seed, dtype = run.recipe().seed, self._dtype()
        with main_first():
            network = self._prepared(lesson.train, seed, dtype, run)
        parts = census(network.model, network.family.parts)
        run.note(weights=self._kind(), parts=parts, dtype=str(dtype).removeprefix("torch."))
        if is_main():
            Console(stderr=True).print(census_table(parts, self.settings.roles))
        if self._weights_name() is not None:
            run.note(**self._train(network, lesson, run, dtype))
        on_main(lambda: seal(run, network.processor))

    def _train(
        self,
        network: Network,
        lesson: Lesson,
        run: Run,
        dtype: torch.dtype,
    ) -> dict[str, Any]:
        bare, validate = replace(network, model=_bare(network.model)), lesson.validate
        folder, prefixes = self.settings.keep_features, None
        if folder is not None:
            prefixes = FeatureStore(bare, Path(folder)).prefix
        autocast = None if dtype == torch.float32 else dtype
        answerer = Answerer(bare, autocast=autocast, prefixes=prefixes)
        return run_training(
            network.model,
            self._groups(lesson.train, network, prefixes),
            collator(network),
            self.settings.training,
            run,
            dtype=dtype,
            seed=run.recipe().seed,
            validate=(lambda: {"validation": validate(answerer)}) if validate else None,
            save_to=run.weights / str(self._weights_name()),
        )

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
        dtype, device = self._where_to_answer()
        dtype = torch.float32 if exact else dtype
        chosen = quantization or (self.settings.quantization if merge else None)
        four_bit = NF4(dtype, device) if chosen == "nf4" else None
        model, processor = fitted(run, dtype, four_bit, merge=merge)
        return Answerer(self.network(model.to(device), processor, self.answers((), run)))

    def write(self, run: Run, folder: Path, *, merge: bool, dtype: str = "fp32") -> None:
        """Weights and processor as plain transformers reads them, or the adapter as PEFT does.

        Adapters are merged in fp32, whatever ``dtype`` is saved.
        """
        if not merge:
            copy_adapter(run, folder)
            return
        model, processor = fitted(run, torch.float32)
        network = self.network(model.to(resolve_dtype(dtype, frozen_base=False)), processor)
        write_whole(network.model, network.processor, network.stops, folder)

    def read(self, run: Run, folder: Path, quantization: Literal["nf4"] | None = None) -> Answerer:
        """The model of a folder that :meth:`write` wrote, merged, as anybody would load it."""
        dtype, device = self._where_to_answer()
        model, parts = read_model(folder, dtype="auto"), self.family().parts
        if quantization == "nf4":
            model = NF4(dtype, device).convert(model, parts)
        answers = self.answers((), run)
        return Answerer(self.network(model.to(device), read_processor(folder), answers))

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
        dtype, device = self._where_to_answer()
        model, processor = self.base((), 0, None)
        answers = self.answers(())
        return Answerer(self.network(cast(model, dtype).to(device), processor, answers))

    def plan(self, train: Sequence[Dialogue], seed: int) -> dict[str, Any]:
        """What a fit would do: parameters, tokens, steps; memory and time from one real step."""
        dtype = self._dtype()
        network = self._prepared(train, seed, dtype)
        return cost(network, self._groups(train, network), self.settings.training, dtype)

    def mask(self, train: Sequence[Dialogue], seed: int) -> Iterator[tuple[str, bool]]:
        """(token, bears loss) along the first training row."""
        network = self._untrained(train, seed)
        yield from masked_tokens(self._groups(train, network)[0][0], network.encoder)

    def _prepared(
        self, train: Sequence[Dialogue], seed: int, dtype: torch.dtype, run: Run | None = None
    ) -> Network:
        """The network as it will be trained: parts frozen, adapted or full, on the device."""
        settings, device = self.settings, resolve_device(self.settings.device)
        four_bit = None if settings.quantization is None else NF4(dtype, device)
        network = self._untrained(train, seed, run, four_bit)
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
        self,
        train: Sequence[Dialogue],
        seed: int,
        run: Run | None = None,
        four_bit: NF4 | None = None,
    ) -> Network:
        """The network that a fit starts from; a run notes what that is."""
        if not train:
            raise ModelError("there is nothing to fit on", hint="look at vesalius data show")
        require_pictures(train)
        answers = self.answers(train, run)
        torch.manual_seed(seed)
        start = find_start(self, run)
        if start is None:
            model, processor = self.base(as_written(train, answers, self.family()), seed, four_bit)
        else:
            model, processor = fitted(start, torch.float32)
        if run is not None and is_main():
            note_origin(run, model, self._kind(), start)
            if start is None and self._drawn_here() and self._weights_name() != "model":
                keep_base(run, model)
        network = self.network(model, processor, answers)
        check_prompts(train, network)
        check_lengths(train, network)
        return network

    def _groups(
        self, train: Sequence[Dialogue], network: Network, prefixes: Prefixes | None = None
    ) -> Groups:
        return Groups(
            train,
            network.encoder,
            share=self.settings.share_image,
            per_row=self.settings.questions_per_row,
            max_length=self.settings.max_length,
            prefixes=prefixes,
        )

    def answers(self, train: Sequence[Dialogue], run: Run | None = None) -> Content:
        """What replies say: as the recipe tells, else what its task's references hold."""
        named: Content | None = self.settings.answers
        if named is not None:
            return named
        if run is not None:
            return task_of(run.recipe().data.task).references
        return content_of(train[0].question.answers[0]) if train else "text"

    def network(self, model: PreTrainedModel, processor: Any, answers: Content = "text") -> Network:
        """Model and processor as they are trained and asked here."""
        return assemble(
            model,
            processor,
            self.family(),
            max_length=self.settings.max_length,
            square=self.square,
            chat_template=self.settings.chat_template,
            answers=answers,
        )

    def _where_to_answer(self) -> tuple[torch.dtype, torch.device]:
        # A run that was fitted on a GPU may be asked where there is none.
        device = resolve_device("cpu" if self.settings.device == "cpu" else "auto")
        return resolve_dtype("auto", frozen_base=False), device

    def _dtype(self) -> torch.dtype:
        frozen_base = self._kind() == "pretrained"
        return resolve_dtype(self.settings.precision, frozen_base=frozen_base)

    def _weights_name(self) -> str | None:
        """Where below ``weights`` the trained weights go; None if nothing trains."""
        roles = self.settings.roles.values()
        whole = "model" if "full" in roles else None
        return "adapter" if "adapter" in roles else whole

    # What differs between learners: where an untrained model comes from.

    def _kind(self) -> str:
        return "random" if self.settings.tiny else "pretrained"

    def _look(self) -> None:
        """Refuse weights that could not be read, or not safely."""
        if self.settings.weights is not None:
            look(self.settings.weights, self._access())

    def _drawn_here(self) -> bool:
        """Whether weights of the base were drawn for this run, and must be kept with it."""
        return self._kind() == "random"

    def family(self) -> Family:
        """The row of the families table."""
        if self.settings.family is not None:
            return family(self.settings.family)
        return family_of(look(self.settings.weights, self._access()))

    def base(
        self, train: Sequence[Dialogue], seed: int, four_bit: NF4 | None
    ) -> tuple[PreTrainedModel, Any]:
        """The untrained model and its processor."""
        if self.settings.tiny:
            return tiny_model(self.family(), train, seed)
        quantized = None if four_bit is None else four_bit.arguments(self.family().parts)
        return read(self.settings.weights, self._access(), quantized)

    def _access(self) -> Access:
        return Access(
            revision=getattr(self.settings, "revision", None),
            allow_pickle=self.settings.allow_pickle,
            trust_remote_code=self.settings.trust_remote_code,
        )


def _bare(model: Any) -> PreTrainedModel:
    """The model itself, whatever adapters are in it."""
    base: PreTrainedModel = getattr(model, "get_base_model", lambda: model)()
    return base
