"""Pictures beside the text (Llama-3.2-Vision): cross-attention layers look at their tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from transformers import PreTrainedModel

from vesalius.models.generative.answering.prefix_cache import PrefixHit
from vesalius.models.generative.rows.layouts.causal import Batch, Causal, suited
from vesalius.models.generative.rows.layouts.prefix_caching import Prompt
from vesalius.models.generative.rows.pack import images_of
from vesalius.models.generative.rows.rows import Row

SEEN = "cross_attention_mask"


class Crossed(Causal):
    """Every token behind the picture's may look at its tiles; one picture token serves them all.

    The model lets tokens before the first picture look at the tiles of all, even of those that pad
    a row with fewer pictures. So a new picture changes what was kept, and rows of different numbers
    of pictures are answered apart; where they train in one batch, those few tokens differ a little.
    """

    recalls: ClassVar[str] = "all tokens before the first new one, until a new picture is shown"
    grows: ClassVar[bool] = False

    def terms(self, model: PreTrainedModel, batch: Batch) -> Batch:
        """The cross-attention mask (B, T, 1, tiles), carried on over the segments.

        It is always given: without one, sdpa takes cross-attention for causal.
        """
        return {
            "attention_mask": suited(model, batch["attention_mask"]),
            SEEN: carried(batch[SEEN], batch["prefix_lengths"], batch["input_ids"].shape[1]),
        }

    def prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], *, pad: int, beams: int
    ) -> Prompt:
        """The cache holds the tiles' keys; the mask covers prefix, pads and question."""
        prompt = super().prompt(model, rows, pad=pad, beams=beams)
        ends = torch.tensor([len(row.prefix.ids) for row in rows])
        seen = carried(images_of(rows)[SEEN], ends, prompt.start).to(model.device)
        return Prompt(prompt.model, {**prompt.arguments, SEEN: seen}, prompt.start)

    def batch_key(self, model: PreTrainedModel, row: Row, new_tokens: int) -> tuple[int, ...]:
        """Prefixes of equal length with as many pictures."""
        return (*super().batch_key(model, row, new_tokens), row.prefix.images[SEEN].shape[2])

    def cached_batch_key(
        self, model: PreTrainedModel, row: Row, new_tokens: int
    ) -> tuple[Any, ...] | None:
        """As many pictures each: their tiles' keys are not padded."""
        kind = super().cached_batch_key(model, row, new_tokens)
        return None if kind is None else (len(row.prefix.key), *kind)

    def fixed(self, model: PreTrainedModel) -> frozenset[int]:
        """The cross-attention layers hold the tiles."""
        return frozenset(model.config.get_text_config().cross_attention_layers)

    def extras(self, model: PreTrainedModel, row: Row, number: int) -> dict[str, torch.Tensor]:
        """Which tiles the last token sees (1, pictures, tiles), and all that follow it."""
        return {SEEN: row.prefix.images[SEEN][:, len(row.prefix.ids) - 1]}

    def extra_terms(self, model: PreTrainedModel, hits: Sequence[PrefixHit], length: int) -> Batch:
        """The cross-attention mask of all places; those that are kept are not looked at."""
        seen = torch.cat([one.prefix.extras[SEEN] for one in hits])
        return {SEEN: seen[:, None].repeat(1, length, 1, 1).to(model.device)}


def carried(seen: torch.Tensor, ends: torch.Tensor, length: int) -> torch.Tensor:
    """Masks (B, N, pictures, tiles) of prefixes, continued to ``length`` as they end."""
    rows = [
        torch.cat([own[:end], own[end - 1 : end].expand(length - end, -1, -1)])
        for own, end in zip(seen, ends.tolist(), strict=True)
    ]
    return torch.stack(rows)
