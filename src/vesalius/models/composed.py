"""The composed model: a vision encoder, a two-layer MLP projector and a causal language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import torch
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
from vesalius.models.generative.weights.origin import Folders, Origin, access_of
from vesalius.settings import merged
from vesalius.system.tables import packaged_table
from vesalius.training.quantize import NF4


@cache
def presets() -> dict[str, dict[str, Any]]:
    """The presets by name, as written in ``presets.yaml``."""
    return _yaml("presets.yaml")


def _yaml(name: str) -> dict[str, Any]:
    table: dict[str, Any] = packaged_table(__package__, name)
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


class Joined(Folders):
    """The origin of a composed model: its parts, joined by a fresh projector."""

    square = True

    def __init__(self, settings: ComposedSettings) -> None:
        self._settings, self._access = settings, access_of(settings)

    @property
    def kind(self) -> str:
        """Random only where both parts are."""
        return "random" if self._parts <= set(composing.SCRATCH) else "pretrained"

    @property
    def drawn_here(self) -> bool:
        """Whether a part is from scratch, or the projector does not train as a whole."""
        scratch = bool(self._parts & set(composing.SCRATCH))
        return scratch or self._settings.roles.get("projector") != "full"

    @property
    def _parts(self) -> set[str]:
        return {self._settings.vision, self._settings.language}

    def look(self) -> None:
        """Refuse a part that could not be read."""
        composing.look_at(self._settings.vision, self._access, "a vision encoder")
        composing.look_at(self._settings.language, self._access, "a language model")

    def family(self) -> Family:
        """LLaVA's row, whatever is joined."""
        return family("llava")

    def base(
        self, train: Sequence[Dialogue], seed: int, four_bit: NF4 | None
    ) -> tuple[PreTrainedModel, Any]:
        """The joined model, untrained, and its processor; it is quantised afterwards."""
        torch.manual_seed(seed)
        return self._joined(train, "cpu")

    def outline(self, train: Sequence[Dialogue]) -> tuple[PreTrainedModel, Any]:
        """The same, of outlines of its parts."""
        return self._joined(train, "meta")

    def _joined(self, train: Sequence[Dialogue], device: str) -> tuple[PreTrainedModel, Any]:
        settings, access = self._settings, self._access
        return composing.compose(
            composing.vision(settings.vision, settings.vision_sizes, access, device=device),
            composing.language(
                settings.language,
                settings.language_sizes,
                access,
                words=words_of(train),
                vocabulary=settings.vocabulary,
                device=device,
            ),
        )


class Composed(Generative):
    """Vision encoder + projector + causal LM, as transformers' Llava composes them."""

    Settings: ClassVar[type[Settings]] = ComposedSettings
    Origin: ClassVar[Callable[[Any], Origin]] = Joined

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
