"""Gemma 3 and 4: sliding-window layers between full ones, and image tokens that see each other."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from vesalius.models.generative.rows.layouts.causal import Batch, Causal, suited
from vesalius.models.generative.rows.rows import Row


class Gemma3(Causal):
    """Image tokens of one picture attend to each other in every layer."""

    recalls = "all tokens before the first new one, while the conversation fits the window"

    def terms(self, model: PreTrainedModel, batch: Batch) -> Batch:
        """A mask for full and one for sliding-window layers, each exact for packed segments."""
        packed = batch["attention_mask"]
        full, near = self.seen(model, packed, same_picture(model, batch["input_ids"]))
        positions = batch["position_ids"]
        window = model.config.get_text_config().sliding_window
        # Distance counts in positions: in a packed row the places between are other segments'.
        inside = positions[:, None, None, :] > positions[:, None, :, None] - window
        near = near & (inside | torch.eye(near.shape[-1], dtype=torch.bool, device=near.device))
        masks = {"full_attention": suited(model, full), "sliding_attention": suited(model, near)}
        return {"attention_mask": masks}

    def seen(
        self, model: PreTrainedModel, packed: torch.Tensor, together: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What full and sliding layers may attend to, the window aside."""
        both = packed | together
        return both, both

    def prefix_terms(self, model: PreTrainedModel, ids: torch.Tensor) -> Batch:
        """Which tokens are the picture's: without it they would silently be causal."""
        return {"token_type_ids": (ids == model.config.image_token_id).int()}

    def batch_key(self, model: PreTrainedModel, row: Row, new_tokens: int) -> tuple[int, ...]:
        """Equal questions too, where a row may outgrow the window: pads would take its places."""
        length = row.length + new_tokens
        fits = length + len(row.segments[0].ids) < model.config.get_text_config().sliding_window
        return (len(row.prefix.ids), 0 if fits else len(row.segments[0].ids))


class Gemma4(Gemma3):
    """Image tokens attend to each other in sliding layers alone, and only in models made so."""

    def seen(
        self, model: PreTrainedModel, packed: torch.Tensor, together: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Full layers are causal."""
        vision = model.config.get_text_config().use_bidirectional_attention == "vision"
        return packed, packed | together if vision else packed

    def prefix_terms(self, model: PreTrainedModel, ids: torch.Tensor) -> Batch:
        """As Gemma 3, under another name."""
        return {"mm_token_type_ids": (ids == model.config.image_token_id).int()}


def same_picture(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Pairs of image tokens of one picture, bool (B, 1, T, T); a picture is an unbroken run."""
    image = ids == model.config.image_token_id
    starts = image & ~torch.nn.functional.pad(image[:, :-1], (1, 0))
    run = starts.cumsum(1)
    pairs: torch.Tensor = (
        (run[:, :, None] == run[:, None, :]) & image[:, :, None] & image[:, None, :]
    )
    return pairs[:, None]
