"""The composed model: a vision encoder, a two-layer MLP projector and a causal language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

import torch
import yaml
from pydantic import Field, model_validator
from transformers import PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import UnknownName
from vesalius.models import composing
from vesalius.models.generative.learner import Generative
from vesalius.models.generative.settings import Settings
from vesalius.models.generative.text.families import Family, family
from vesalius.models.generative.text.tokenizer import words_of
from vesalius.models.generative.weights.counts import weigh_composed
from vesalius.overrides import merged
from vesalius.training.quantize import NF4


@cache
def presets() -> dict[str, dict[str, Any]]:
    """The presets by name, as written in ``presets.yaml``."""
    return _yaml("presets.yaml")


def _yaml(name: str) -> dict[str, Any]:
    text = (files("vesalius.models") / name).read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


class ComposedSettings(Settings):
    """Which encoder and which language model are joined, from a preset or by name."""

    ORIGIN: ClassVar[tuple[str, ...]] = (
        "vision",
        "vision_sizes",
        "language",
        "language_sizes",
        "vocabulary",
    )

    preset: str | None = None
    """``nano`` or ``smol``; other keys replace the preset's, keys of a block those of its block."""
    vision: str
    """``stem_vit`` (from scratch), ``efficientnet_lite0`` (packaged), or a hub id or folder."""
    vision_sizes: dict[str, Any] = Field(default_factory=dict)
    """Sizes of a vision encoder from scratch, e.g. ``{image_size: 96, hidden_size: 192}``."""
    language: str
    """``llama`` (from scratch), ``smollm2`` (packaged), or a hub id or folder."""
    language_sizes: dict[str, Any] = Field(default_factory=dict)
    """Sizes of a language model from scratch, as LlamaConfig names them."""
    vocabulary: int = Field(default=640, ge=300)
    """Tokens of the tokenizer trained for a language model from scratch."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, data: Any) -> Any:
        name = data.get("preset") if isinstance(data, dict) else None
        if name is None:
            return data
        if name not in presets():
            raise ValueError(UnknownName("preset", str(name), presets()).args[0])
        return merged(presets()[name], data)


class Composed(Generative):
    """Vision encoder + projector + causal LM, as transformers' Llava composes them."""

    Settings: ClassVar[type[Settings]] = ComposedSettings
    square = True

    @classmethod
    def tiny(cls, block: Mapping[str, Any]) -> dict[str, Any]:
        """The block with small parts from scratch; a preset's roles and adapter stay."""
        return {**block, **_yaml("composed_tiny.yaml")}

    def weigh(self) -> dict[str, Any]:
        """Parameters and least memory by the parts' sizes."""
        joined = f"{self.settings.vision} + {self.settings.language}"
        return weigh_composed(self.settings) | {"source": f"published sizes of {joined}"}

    def hub_weights(self) -> tuple[str, ...]:
        """The parts that are neither made nor packaged here."""
        here = {*composing.SCRATCH, *composing.PACKAGED}
        return tuple(p for p in (self.settings.vision, self.settings.language) if p not in here)

    def _kind(self) -> str:
        parts = {self.settings.vision, self.settings.language}
        return "random" if parts <= set(composing.SCRATCH) else "pretrained"

    def _drawn_here(self) -> bool:
        parts = {self.settings.vision, self.settings.language}
        return (
            bool(parts & set(composing.SCRATCH)) or self.settings.roles.get("projector") != "full"
        )

    def _look(self) -> None:
        composing.look_at(self.settings.vision, self._access(), "a vision encoder")
        composing.look_at(self.settings.language, self._access(), "a language model")

    def family(self) -> Family:
        """LLaVA's row, whatever is joined."""
        return family("llava")

    def base(
        self, train: Sequence[Dialogue], seed: int, four_bit: NF4 | None
    ) -> tuple[PreTrainedModel, Any]:
        """The joined model, untrained, and its processor; it is quantised afterwards."""
        torch.manual_seed(seed)
        settings, access = self.settings, self._access()
        return composing.compose(
            composing.vision(settings.vision, settings.vision_sizes, access),
            composing.language(
                settings.language,
                settings.language_sizes,
                access,
                words=words_of(train),
                vocabulary=settings.vocabulary,
            ),
        )
