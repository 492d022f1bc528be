"""BLIP-2 with a decoder (OPT): what its own forward pass and ``generate`` leave out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel

from vesalius.models.generative.layouts.causal import Batch, Causal, token_loss
from vesalius.models.generative.layouts.recalling import Prompt
from vesalius.models.generative.recall import Recall
from vesalius.models.generative.rows import Row


class Queried(Causal):
    """The loss at chosen places only, and prompts that go to the language model with a cache."""

    def run(self, model: PreTrainedModel, forward: Callable[..., Any], batch: Batch) -> Any:
        """The model's own loss expects logits at every place, so it is computed here."""
        given = {k: v for k, v in batch.items() if k not in {"labels", "shift_labels"}}
        count = given.pop("num_items_in_batch", None)
        made = super().run(model, forward, given)
        made.loss = token_loss(made.logits, batch["shift_labels"], count)
        return made

    def cache(self, made: Any) -> Any:
        """The language model's."""
        return made.language_model_outputs.past_key_values

    def prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], *, pad: int, beams: int
    ) -> Prompt:
        """Asked of the language model: BLIP-2's ``generate`` would encode the picture again."""
        made = super().prompt(model, rows, pad=pad, beams=beams)
        return Prompt(model.language_model, made.arguments, made.start)

    def recalled(
        self, model: PreTrainedModel, rows: Sequence[Row], recall: Recall, *, pad: int
    ) -> Prompt:
        """The same."""
        made = super().recalled(model, rows, recall, pad=pad)
        return replace(made, model=model.language_model)
