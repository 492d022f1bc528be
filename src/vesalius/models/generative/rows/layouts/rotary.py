"""Three-axis rotary positions (Qwen-VL): a picture takes fewer positions than it has tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from vesalius.models.generative.answering.prefix_cache import CachedPrefix, PrefixHit
from vesalius.models.generative.rows.layouts.causal import Batch, Causal, suited
from vesalius.models.generative.rows.rows import Row

OFFSET = "rope_deltas"


class Rotary3D(Causal):
    """Every segment continues on all three axes from where the prefix's positions end."""

    def terms(self, model: PreTrainedModel, batch: Batch) -> Batch:
        """Positions (3, B, T) from the model's own index of the prefix."""
        ids = batch["input_ids"]
        axes, _ = model.model.get_rope_index(
            ids,
            mm_token_type_ids=(ids == model.config.image_token_id).int(),
            image_grid_thw=batch["image_grid_thw"],
        )
        # Behind the prefix the index counts on by one; its offset there is that of every segment.
        ends = batch["prefix_lengths"]
        first = ends.clamp(max=ids.shape[1] - 1).view(1, -1, 1).expand(3, -1, 1)
        offset = axes.gather(2, first) - first
        behind = torch.arange(ids.shape[1], device=ids.device)[None] >= ends[:, None]
        positions = torch.where(behind, batch["position_ids"] + offset, axes)
        return {
            "attention_mask": suited(model, batch["attention_mask"]),
            "position_ids": positions,
        }

    def prefill(self, model: PreTrainedModel, prefixes: Sequence[Row], owner: torch.Tensor) -> Any:
        """As usual; then each prefix's offset, which the model keeps, goes to its questions."""
        cache = super().prefill(model, prefixes, owner)
        model.model.rope_deltas = model.model.rope_deltas[owner]
        return cache

    def extended(self, model: PreTrainedModel, row: Row, hit: PrefixHit) -> CachedPrefix:
        """The same, the offset behind all pictures computed anew."""
        ids = torch.tensor([row.prefix.ids], device=model.device)
        _, model.model.rope_deltas = model.model.get_rope_index(
            ids,
            **self.prefix_terms(model, ids),
            image_grid_thw=row.prefix.images["image_grid_thw"].to(model.device),
        )
        return super().extended(model, row, hit)

    def prefix_terms(self, model: PreTrainedModel, ids: torch.Tensor) -> Batch:
        """Which tokens are the picture's."""
        return {"mm_token_type_ids": (ids == model.config.image_token_id).int()}

    def extras(self, model: PreTrainedModel, row: Row, number: int) -> dict[str, torch.Tensor]:
        """How far the positions behind the pictures are off their places (1, 1)."""
        return {OFFSET: model.model.rope_deltas[number : number + 1].clone()}

    def extra_terms(self, model: PreTrainedModel, hits: Sequence[PrefixHit], length: int) -> Batch:
        """Nothing: the model keeps the offsets itself, from one call to the next."""
        model.model.rope_deltas = torch.cat([one.prefix.extras[OFFSET] for one in hits])
        return {}
