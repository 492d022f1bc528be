"""The settings of language models, as a recipe's ``model:`` block."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vesalius.models.generative.settings import Trained

Kind = Literal["causal", "seq2seq"]
PACKAGED = "smollm2"
_VOCABULARY = 512


class TextSettings(Trained):
    """A language model by hub id or folder, the packaged one, or one from random weights."""

    ORIGIN: ClassVar[tuple[str, ...]] = (
        "weights",
        "revision",
        "kind",
        "tiny",
        "sizes",
        "vocabulary",
    )

    weights: str | None = None
    """Hub id, local folder, or ``smollm2`` (packaged); only safetensors are read."""
    revision: str | None = None
    """A branch, tag or commit of the hub repository."""
    kind: Kind | None = None
    """``causal`` (Llama, SmolLM2, Qwen ...) or ``seq2seq`` (T5, BART ...); read off the weights
    unless ``tiny``."""
    tiny: bool = False
    """A small Llama or T5 of ``sizes`` with random weights, its tokenizer trained on the dialogues:
    offline, from scratch."""
    sizes: dict[str, Any] = Field(default_factory=dict)
    """Of ``tiny: true``: sizes over the toy ones, as LlamaConfig or T5Config names them."""
    vocabulary: int = Field(default=_VOCABULARY, ge=300)
    """Of ``tiny: true``: tokens of the tokenizer."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.tiny == (self.weights is not None):
            raise ValueError("name either weights or tiny: true with a kind")
        if self.tiny and self.kind is None:
            raise ValueError("tiny needs a kind: causal or seq2seq")
        if self.weights == PACKAGED and (self.kind == "seq2seq" or self.revision is not None):
            raise ValueError(f"{PACKAGED} is causal and has no revisions; leave both out")
        # Not whether it was set: what a run keeps of its recipe names every default.
        if not self.tiny and (self.sizes or self.vocabulary != _VOCABULARY):
            raise ValueError("weights have their sizes; sizes and vocabulary are for tiny: true")
        if unknown := sorted(set(self.roles) - {"language"}):
            raise ValueError(f"roles: a language model has one part, language, and no {unknown[0]}")
        return self
