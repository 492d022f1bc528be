"""Where an untrained language model comes from: a hub, a folder, a package, or random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError
from vesalius.models import composing
from vesalius.models.generative.text.families import Family
from vesalius.models.generative.text.tokenizer import train_tokenizer, words_of
from vesalius.models.generative.weights.loading import Access, look, reading
from vesalius.models.generative.weights.origin import access_of
from vesalius.models.text_only.encoder import Words
from vesalius.models.text_only.kinds import LOADERS, family, kind_of, kinds
from vesalius.models.text_only.settings import PACKAGED, Kind, TextSettings
from vesalius.system import packaged
from vesalius.training.quantize import NF4

WHAT = "a language model"
PLAIN = Access()


class TextOrigin:
    """A language model with its tokenizer, before and when its weights are read."""

    square = False

    def __init__(self, settings: TextSettings) -> None:
        self._settings = settings

    @property
    def kind(self) -> str:
        """Toy weights are random, others pretrained."""
        return "random" if self._settings.tiny else "pretrained"

    @property
    def drawn_here(self) -> bool:
        """Whether weights are random."""
        return self._settings.tiny

    @property
    def language(self) -> Kind:
        """Which kind of language model it is: as the settings say, else by the weights' config.

        ModelError where both are there and differ.
        """
        named, weights = self._settings.kind, self._settings.weights
        if weights is None or weights == PACKAGED:
            return named or "causal"
        kind = kind_of(look(weights, access_of(self._settings), WHAT), weights)
        if named is not None and named != kind:
            raise ModelError(f"is {kind}, not {named}", where=weights, hint="leave model.kind out")
        return kind

    def look(self) -> None:
        """Refuse weights that could not be read, or not safely; none are read yet."""
        if self._settings.weights == PACKAGED:
            packaged.smollm2()
        elif self._settings.weights is not None:
            _ = self.language

    def family(self) -> Family:
        """The kind's row."""
        return family(self.language)

    def base(
        self, train: Sequence[Dialogue], seed: int, four_bit: NF4 | None
    ) -> tuple[PreTrainedModel, Any]:
        """Read, in 4 bits where that is asked for, or drawn."""
        if self._settings.tiny:
            return self._drawn(train, seed, "cpu")
        parts = self.family().parts
        return self._read("cpu", {} if four_bit is None else four_bit.arguments(parts))

    def outline(self, train: Sequence[Dialogue]) -> tuple[PreTrainedModel, Any]:
        """The same on torch's meta device: shapes without numbers."""
        if self._settings.tiny:
            return self._drawn(train, 0, "meta")
        return self._read("meta", {"device_map": "meta"})

    def saved_model(self, folder: Path, **options: Any) -> PreTrainedModel:
        """A model that a run or an export saved; ModelError also where weights are missing."""
        return read_model(str(folder), self.language, **options)

    def saved_processor(self, folder: Path) -> Words:
        """The tokenizer that was saved with it."""
        with reading(folder, "a tokenizer"):
            return Words(AutoTokenizer.from_pretrained(str(folder)))

    def _read(self, device: str, options: dict[str, Any]) -> tuple[PreTrainedModel, Words]:
        weights, access = str(self._settings.weights), access_of(self._settings)
        if weights == PACKAGED:
            tokenizer, model = composing.packaged_language(device)
            return model, Words(tokenizer)
        with reading(weights, "a tokenizer"):
            tokenizer = AutoTokenizer.from_pretrained(weights, **access.code)
        return read_model(weights, self.language, access, **options), Words(tokenizer)

    def _drawn(
        self, train: Sequence[Dialogue], seed: int, device: str
    ) -> tuple[PreTrainedModel, Words]:
        row = kinds()[self.language]["tiny"]
        tokenizer = train_tokenizer(
            words_of(train),
            vocabulary=self._settings.vocabulary,
            special=row["special"],
            extra=tuple(row["extra"]),
            chat_template=row["chat_template"],
            around=row["around"],
        )
        ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
        start = {"bos_token_id": None, "decoder_start_token_id": tokenizer.pad_token_id}
        sizes = {**row["sizes"], **self._settings.sizes}
        with reading("model.sizes", WHAT):
            config = AutoConfig.for_model(
                row["model_type"], vocab_size=len(tokenizer), **ids, **start, **sizes
            )
            torch.manual_seed(seed)
            with torch.device(device):
                return LOADERS[self.language].from_config(config), Words(tokenizer)


def read_model(place: str, kind: Kind, access: Access = PLAIN, **options: Any) -> PreTrainedModel:
    """A language model; ModelError also where weights are missing, which would be random instead.

    ``options`` go to ``from_pretrained``.
    """
    with reading(place, WHAT):
        model: PreTrainedModel
        model, info = LOADERS[kind].from_pretrained(
            place, output_loading_info=True, **access.weights, **{"dtype": torch.float32} | options
        )
    if missing := sorted(info["missing_keys"]):
        what = f"lacks {len(missing)} of the model's weights, {missing[0]} among them"
        raise ModelError(what, where=place, hint="fetch or copy them again")
    return model
