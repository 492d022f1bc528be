"""The learner of generative models: any transformers image-text-to-text model, fitted and asked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError, RunError
from vesalius.files import write_json
from vesalius.models import Validate
from vesalius.models.generative.families import Family, family, family_of
from vesalius.models.generative.fitting import Groups, check_prompts, collator, masked_tokens, plan
from vesalius.models.generative.network import Answerer, Network, assemble
from vesalius.models.generative.tiny import tiny_model
from vesalius.models.guard import require_pictures
from vesalius.recipe import Frozen
from vesalius.run import Run
from vesalius.training.loop import train as run_training
from vesalius.training.memory import peak_memory_mb
from vesalius.training.parts import Role, census, count, prepare, resolve_dtype
from vesalius.training.settings import Adapter, Precision, Training


class Settings(Frozen):
    """Settings that all generative learners share."""

    roles: dict[str, Role] = Field(
        default={"vision": "frozen", "projector": "frozen", "language": "adapter"}
    )
    """What trains: each of vision, projector and language is frozen, adapter or full."""
    adapter: Adapter = Adapter()
    training: Training = Training()
    precision: Precision = "auto"
    """What training computes in; ``auto``: bf16 where the machine is fast at it, else fp32."""
    max_length: int = Field(default=2048, ge=16)
    """Tokens a row may hold, image tokens included; longer dialogues are refused."""
    share_image: bool = True
    """Pack dialogues about one picture behind one image prefix."""
    questions_per_row: int = Field(default=16, ge=1)
    """At most so many dialogues behind one image prefix; more make another row."""


class GenerativeSettings(Settings):
    """A transformers model by hub id or folder, or its tiny offline form."""

    weights: str | None = None
    """Hub id or local folder; only safetensors are read."""
    revision: str | None = None
    """A branch, tag or commit of the hub repository."""
    family: str | None = None
    """The row of the families table; read off the weights unless ``tiny``."""
    tiny: bool = False
    """The family's architecture at toy size with random weights: offline, for trying things out."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.tiny == (self.weights is not None):
            raise ValueError("name either weights or tiny: true with a family")
        if self.tiny and self.family is None:
            raise ValueError("tiny needs a family")
        return self


class Generative:
    """Any transformers image-text-to-text model; LLaVA-1.5 first."""

    Settings: ClassVar[type[Settings]] = GenerativeSettings
    needs_image = True

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def fit(
        self,
        train: Sequence[Dialogue],
        validation: Sequence[Dialogue],
        run: Run,
        validate: Validate | None = None,
    ) -> None:
        """Train on shared-image rows; what was trained is in ``run.weights`` at the end."""
        seed = run.recipe().seed
        dtype = self._dtype()
        network = self._prepared(train, seed, dtype, run.weights)
        run.note(weights=self._origin(), parts=census(network.model, network.family.parts))
        answerer = Answerer(network, autocast=None if dtype == torch.float32 else dtype)
        facts = run_training(
            network.model,
            self._groups(train, network),
            collator(network.stops[0]),
            self.settings.training,
            run,
            dtype=dtype,
            seed=seed,
            validate=(lambda: {"validation": validate(answerer)}) if validate else None,
        )
        self._save(network, run.weights)
        run.note(**facts, dtype=str(dtype).removeprefix("torch."))
        shutil.rmtree(run.path / "checkpoints", ignore_errors=True)

    def load(self, run: Run) -> Answerer:
        """The fitted model; adapters are merged into the base."""
        folder = run.weights
        if not (folder / "processor").exists():
            raise RunError(
                "holds no fitted model", where=run.path, hint="finish vesalius fit first"
            )
        processor = load_processor(folder / "processor")
        dtype = resolve_dtype("auto", frozen_base=False)
        if (folder / "model").exists():
            model = _read_model(folder / "model", dtype)
        else:
            from peft import PeftModel

            base = self._base_again(folder, processor, run.recipe().seed).to(dtype)
            model = PeftModel.from_pretrained(base, str(folder / "adapter")).merge_and_unload()
        if torch.cuda.is_available():
            model = model.to("cuda")
        return Answerer(self._network(model, processor))

    def plan(self, train: Sequence[Dialogue], seed: int) -> dict[str, Any]:
        """What a fit would do: parameters, tokens, steps; memory and time from one real step."""
        dtype = self._dtype()
        network = self._prepared(train, seed, dtype, None)
        items = self._groups(train, network)
        facts = plan(items, self.settings.training)
        seconds, memory = _one_step(network, items, self.settings.training, dtype)
        parts = census(network.model, network.family.parts)
        trainable = sum(part["trainable"] for part in parts.values())
        return {
            "parameters": count(network.model),
            "trainable": trainable,
            "parts": parts,
            "dtype": str(dtype).removeprefix("torch."),
            **facts,
            "estimated_minutes": round(facts["steps"] * seconds / 60, 1),
            # AdamW keeps two fp32 moments per trainable weight.
            "estimated_memory_mb": round(memory + trainable * 8 / 2**20),
        }

    def mask(self, train: Sequence[Dialogue], seed: int) -> Iterator[tuple[str, bool]]:
        """(token, bears loss) along the first training row."""
        network = self._prepared(train, seed, torch.float32, None)
        yield from masked_tokens(self._groups(train, network)[0][0], network.encoder)

    def _prepared(
        self, train: Sequence[Dialogue], seed: int, dtype: torch.dtype, folder: Path | None
    ) -> Network:
        """The network as it will be trained: parts frozen, adapted or full, on the device."""
        if not train:
            raise ModelError("there is nothing to fit on", hint="look at vesalius data show")
        require_pictures(train)
        torch.manual_seed(seed)
        model, processor = self._base(train, seed)
        if folder is not None:
            self._keep_base(model, processor, folder)
        frozen_base = "full" not in {self.settings.roles.get(p) for p in ("vision", "language")}
        model = model.to(dtype if frozen_base else torch.float32)
        network = self._network(model, processor)
        check_prompts(train, network)
        torch.manual_seed(seed)
        wrapped = prepare(
            model, network.family.parts, self.settings.roles, self.settings.adapter
        )
        if torch.cuda.is_available():
            wrapped = wrapped.to("cuda")
        return replace(network, model=wrapped)

    def _groups(self, train: Sequence[Dialogue], network: Network) -> Groups:
        return Groups(
            train,
            network.encoder,
            share=self.settings.share_image,
            per_row=self.settings.questions_per_row,
            max_length=self.settings.max_length,
        )

    def _save(self, network: Network, folder: Path) -> None:
        """Adapters (with the parts trained in full), or the whole model if nothing is adapted."""
        adapted = "adapter" in self.settings.roles.values()
        target = folder / ("adapter" if adapted else "model")
        beside = folder / f".{target.name}"
        shutil.rmtree(beside, ignore_errors=True)
        network.model.save_pretrained(str(beside))
        shutil.rmtree(target, ignore_errors=True)
        beside.replace(target)
        network.processor.save_pretrained(str(folder / "processor"))

    def _dtype(self) -> torch.dtype:
        pretrained = self._origin() == "pretrained"
        return resolve_dtype(self.settings.precision, frozen_base=pretrained)

    # What differs between learners: where a base comes from.

    def _origin(self) -> str:
        return "random" if self.settings.tiny else "pretrained"

    def _family(self) -> Family:
        if self.settings.family is not None:
            return family(self.settings.family)
        config = AutoConfig.from_pretrained(self.settings.weights, revision=self.settings.revision)
        return family_of(config.model_type)

    def _base(self, train: Sequence[Dialogue], seed: int) -> tuple[PreTrainedModel, Any]:
        """The untrained model and its processor."""
        if self.settings.tiny:
            return tiny_model(self._family(), train, seed)
        return _read(self.settings.weights, self.settings.revision)

    def _keep_base(self, model: PreTrainedModel, processor: Any, folder: Path) -> None:
        """Random weights exist nowhere else: a run that adapts them keeps them."""
        adapted = "adapter" in self.settings.roles.values()
        if self._origin() == "random" and adapted and not (folder / "base").exists():
            model.save_pretrained(str(folder / "base"))
        write_json(folder / "origin.json", {"weights": self._origin()})

    def _base_again(self, folder: Path, processor: Any, seed: int) -> PreTrainedModel:
        if (folder / "base").exists():
            return _read_model(folder / "base", torch.float32)
        return _read(self.settings.weights, self.settings.revision)[0]

    def _network(self, model: PreTrainedModel, processor: Any) -> Network:
        return assemble(model, processor, self._family(), max_length=self.settings.max_length)


def load_processor(folder: Path) -> Any:
    """A processor that a run saved."""
    return AutoProcessor.from_pretrained(str(folder))


def _read(weights: str, revision: str | None) -> tuple[PreTrainedModel, Any]:
    try:
        processor = AutoProcessor.from_pretrained(weights, revision=revision)
        model = AutoModelForImageTextToText.from_pretrained(
            weights, revision=revision, use_safetensors=True, attn_implementation="sdpa"
        )
    except (OSError, ValueError) as error:
        line = str(error).strip().splitlines()[0]
        raise ModelError(
            f"cannot be loaded: {line}", where=weights, hint="a hub id or a local folder?"
        ) from error
    return model, processor


def _read_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    from vesalius.models import towers  # noqa: F401  # registers our vision towers

    model: PreTrainedModel = AutoModelForImageTextToText.from_pretrained(
        str(folder), dtype=dtype, use_safetensors=True, attn_implementation="sdpa"
    )
    return model


def _one_step(
    network: Network, items: Groups, training: Training, dtype: torch.dtype
) -> tuple[float, float]:
    """Seconds of a real optimizer step's forward and backward, and peak memory after it (MiB)."""
    batch = collator(network.stops[0])([items[i % len(items)] for i in range(training.batch)])
    device = network.model.device
    batch = {k: v.to(device) for k, v in batch.items()}
    seconds = 0.0
    network.model.train()
    for _ in range(2):  # the first one warms up
        started = time.perf_counter()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype != torch.float32):
            network.model(**batch).loss.backward()
        seconds = time.perf_counter() - started
    network.model.zero_grad()
    return seconds * training.accumulate, peak_memory_mb()
