"""BLIP-2 with a decoder (OPT): what its own forward pass and ``generate`` leave out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel

from vesalius.models.generative.answering.prefix_cache import PrefixCache
from vesalius.models.generative.rows.layouts.causal import Batch, Causal, token_loss
from vesalius.models.generative.rows.layouts.prefix_caching import Prompt
from vesalius.models.generative.rows.rows import Row


class Queried(Causal):
    """The loss at chosen places only, and prompts that go to the language model with a cache."""

    def run(self, model: PreTrainedModel, forward: Callable[..., Any], batch: Batch) -> Any:
        """The model's own loss expects logits at every place, so it is computed here."""
        given = {k: v for k, v in batch.items() if k not in {"labels", "shift_labels"}}
        count = given.pop("num_items_in_batch", None)
        output = super().run(model, forward, given)
        output.loss = token_loss(output.logits, batch["shift_labels"], count)
        return output

    def cache(self, output: Any) -> Any:
        """The language model's."""
        return output.language_model_outputs.past_key_values

    def prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], *, pad: int, beams: int
    ) -> Prompt:
        """Asked of the language model: BLIP-2's ``generate`` would encode the picture again."""
        prompt = super().prompt(model, rows, pad=pad, beams=beams)
        return Prompt(model.language_model, prompt.arguments, prompt.start)

    def cached_prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], prefix_cache: PrefixCache, *, pad: int
    ) -> Prompt:
        """The same."""
        prompt = super().cached_prompt(model, rows, prefix_cache, pad=pad)
        return replace(prompt, model=model.language_model)
