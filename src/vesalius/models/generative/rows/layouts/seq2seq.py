"""Text-to-text models (T5, BART): the prompt is encoded, the reply decoded, without pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from vesalius.models.generative.rows.layouts.causal import Batch, token_loss
from vesalius.models.generative.rows.layouts.prefix_caching import Prompt
from vesalius.models.generative.rows.layouts.unshared import (
    EncoderDecoder,
    replies,
    right_padded,
)
from vesalius.models.generative.rows.rows import Row


class Seq2Seq(EncoderDecoder):
    """An encoder-decoder whose rows are words alone, one a reply."""

    def collate(self, rows: Sequence[Row], *, pad: int) -> Batch:
        """Rows of one reply each, as :meth:`EncoderDecoder.tokens` has them."""
        apart = [
            Row(row.prefix, (part,))
            for row in rows
            for segment in row.segments
            for part in replies(segment)
        ]
        return {**self.tokens(apart, pad=pad), "prefix_lengths": torch.zeros(len(apart))}

    def run(self, model: PreTrainedModel, forward: Callable[..., Any], batch: Batch) -> Any:
        """The loss is summed and divided as a decoder's is, by labels."""
        given = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
        output = forward(**given)
        output.loss = token_loss(output.logits, batch["labels"], batch.get("num_items_in_batch"))
        return output

    def prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], *, pad: int, beams: int
    ) -> Prompt:
        """The encoder's ids, the end token behind them; pads stand at the end."""
        questions = [torch.tensor((*row.segments[0].ids, pad)) for row in rows]
        ids, mask = (tensor.to(model.device) for tensor in right_padded(questions, pad))
        return Prompt(model, {"input_ids": ids, "attention_mask": mask}, start=1)
