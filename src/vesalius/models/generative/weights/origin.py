"""Where an untrained model comes from: a hub, a folder, or toy sizes with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from transformers import PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.models.generative.settings import GenerativeSettings, Trained
from vesalius.models.generative.text.families import Family, family, family_of
from vesalius.models.generative.weights.loading import (
    Access,
    look,
    read,
    read_model,
    read_processor,
)
from vesalius.models.generative.weights.tiny import tiny_model
from vesalius.training.quantize import NF4


class Origin(Protocol):
    """An untrained model with its processor, before and when its weights are read."""

    square: bool
    """Whether pictures are padded to a square before the processor resizes them."""

    @property
    def kind(self) -> str:
        """``random``, or ``pretrained`` where anything of it is."""

    @property
    def drawn_here(self) -> bool:
        """Whether weights of the base are drawn for a run, and must be kept with it."""

    def look(self) -> None:
        """Refuse weights that could not be read, or not safely; none are read yet."""

    def family(self) -> Family:
        """The row of the families table."""

    def base(
        self, train: Sequence[Dialogue], seed: int, four_bit: NF4 | None
    ) -> tuple[PreTrainedModel, Any]:
        """The model and its processor; ``train`` gives words where a tokenizer is trained."""

    def outline(self, train: Sequence[Dialogue]) -> tuple[PreTrainedModel, Any]:
        """The same on torch's meta device: shapes without numbers, whatever the size."""

    def saved_model(self, folder: Path, **options: Any) -> PreTrainedModel:
        """A model that a run or an export saved; ``options`` go to ``from_pretrained``."""

    def saved_processor(self, folder: Path) -> Any:
        """The processor that was saved with it."""


class Folders:
    """How what a run saved is read again, of a model that sees pictures."""

    def saved_model(self, folder: Path, **options: Any) -> PreTrainedModel:
        """An image-text-to-text model."""
        return read_model(folder, **options)

    def saved_processor(self, folder: Path) -> Any:
        """Its processor."""
        return read_processor(folder)


class HubOrTiny(Folders):
    """A transformers model by hub id or folder, or its family's toy form."""

    square = False

    def __init__(self, settings: GenerativeSettings) -> None:
        self._settings = settings

    @property
    def kind(self) -> str:
        """Toy weights are random, others pretrained."""
        return "random" if self._settings.tiny else "pretrained"

    @property
    def drawn_here(self) -> bool:
        """Whether weights are random."""
        return self._settings.tiny

    def look(self) -> None:
        """As :func:`look` says."""
        if self._settings.weights is not None:
            look(self._settings.weights, access_of(self._settings))

    def family(self) -> Family:
        """The row that the settings name, else the one of the weights' config."""
        if self._settings.family is not None:
            return family(self._settings.family)
        return family_of(look(str(self._settings.weights), access_of(self._settings)))

    def base(
        self, train: Sequence[Dialogue], seed: int, four_bit: NF4 | None
    ) -> tuple[PreTrainedModel, Any]:
        """Read, in 4 bits where that is asked for, or drawn."""
        if self._settings.tiny:
            return tiny_model(self.family(), train, seed)
        return self._read({} if four_bit is None else four_bit.arguments(self.family().parts))

    def outline(self, train: Sequence[Dialogue]) -> tuple[PreTrainedModel, Any]:
        """The processor is the same; of the weights' files only names and shapes are read."""
        if self._settings.tiny:
            return tiny_model(self.family(), train, 0, device="meta")
        return self._read({"device_map": "meta"})

    def _read(self, options: dict[str, Any]) -> tuple[PreTrainedModel, Any]:
        return read(str(self._settings.weights), access_of(self._settings), **options)


def access_of(settings: Trained) -> Access:
    """Which revision is read, and what may be done that can run a stranger's code."""
    return Access(
        revision=getattr(settings, "revision", None),
        allow_pickle=settings.allow_pickle,
        trust_remote_code=settings.trust_remote_code,
    )
