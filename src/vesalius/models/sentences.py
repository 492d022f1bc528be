"""Frozen sentence encoders: texts become unit vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import torch
from torch import nn
from transformers import AutoTokenizer

from vesalius.models.feature_cache import Content, Vectors
from vesalius.models.image_networks import pretrained
from vesalius.models.unit_vectors import array, device, stack, weights_digest, weights_identity
from vesalius.models.vector_memory import Memory
from vesalius.system import packaged

WORDS = 256
"""Tokens of a text that MiniLM reads (its ``sentence_bert_config.json``); the rest is cut."""


class SentenceEncoder:
    """Texts to unit vectors: token states of a BERT, averaged over the attention mask.

    ``name`` is a folder or hub name of a transformers text encoder in safetensors; by default
    all-MiniLM-L6-v2 (384-d). Source: N. Reimers, I. Gurevych, Sentence-BERT, EMNLP 2019.
    """

    def __init__(self, name: str = "minilm", *, batch: int = 64) -> None:
        folder = str(packaged.minilm()) if name == "minilm" else name
        self.name = name
        self._device, self._batch = device(), batch
        self._network = pretrained(folder).to(self._device)
        self._tokens = AutoTokenizer.from_pretrained(folder)
        self.memory = Memory(lambda: self.digest)

    @cached_property
    def digest(self) -> str:
        """Of weights, tokenizer and the number of tokens read."""
        tokenizer = getattr(self._tokens, "backend_tokenizer", None)
        facts = [WORDS, tokenizer.to_str() if tokenizer else repr(self._tokens.get_vocab())]
        return weights_digest(self._network, facts)

    @cached_property
    def identity(self) -> str:
        """Of weights and tokens read, whatever versions compute."""
        return weights_identity(self._network, [WORDS])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """L2-normalised vectors, float32 (n, d), in order; (0, 0) for none. Equal texts once."""
        contents = {text: Content.of_text(text) for text in texts}
        encoded = self.memory.read(list(contents.values()))
        todo = [text for text, content in contents.items() if content not in encoded]
        new = {contents[text]: vector for text, vector in self._encoded(todo).items()}
        if new:
            self.memory.write(new)
        encoded |= new
        return stack([encoded[contents[text]] for text in texts])

    def embed_once(self, texts: Sequence[str]) -> Vectors:
        """As :meth:`embed`, past the shared cache: for texts that do not come again."""
        encoded = self._encoded(set(texts))
        return stack([encoded[text] for text in texts])

    def _encoded(self, texts: Iterable[str]) -> dict[str, Vectors]:
        """Vectors by text; those of a length together, so that a batch pads little."""
        todo = sorted(texts, key=lambda text: (len(text), text))
        encoded: dict[str, Vectors] = {}
        for at in range(0, len(todo), self._batch):
            some = todo[at : at + self._batch]
            encoded |= zip(some, self._encode(some), strict=True)
        return encoded

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> Vectors:
        tokens = self._tokens(
            texts, return_tensors="pt", padding=True, truncation=True, max_length=WORDS
        ).to(self._device)
        states = self._network(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None].to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return array(nn.functional.normalize(mean, dim=1))
