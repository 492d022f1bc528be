"""A model's forward pass, which takes batches of rows as well as its own arguments."""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from transformers import PreTrainedModel, modeling_utils

from vesalius.models.generative.projector import PROJECTOR_INPUT, projected
from vesalius.models.generative.rows.layouts import layouts
from vesalius.models.generative.rows.rows import IGNORED
from vesalius.models.generative.text.families import Family

_PLACES_BY_ROW = hasattr(modeling_utils, "slice_logits_to_keep")
"""Whether models take a mask of the places to keep logits at: transformers does from 5.21 on."""


def accept_row_batches(model: PreTrainedModel, family: Family) -> None:
    """Let the model's forward pass take our batches as well as its own arguments.

    On the instance, as accelerate does for mixed precision: adapters, Trainer and parallel wrappers
    all end up there, whatever they wrap.
    """
    forward, layout = model.forward, layouts[family.layout]
    if hasattr(forward, "accepts_rows"):
        return

    @wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Any:
        ours = not args and ("prefix_lengths" in kwargs or "image_rows" in kwargs)
        if PROJECTOR_INPUT in kwargs:
            kwargs["mm_encoder_outputs"] = projected(model, family, kwargs.pop(PROJECTOR_INPUT))
        if ours and "logits_to_keep" in kwargs and not _PLACES_BY_ROW:
            kwargs |= shared_places(kwargs["logits_to_keep"], kwargs["shift_labels"])
        return layout.run(model, forward, kwargs) if ours else forward(*args, **kwargs)

    run.accepts_rows = layout  # type: ignore[attr-defined]
    model.forward = run


def shared_places(keep: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """The places (U,) that any row of a mask (B, T) keeps, and the labels (B, U) of all rows there.

    The same loss as by the mask, at a few more logits.
    """
    places = keep.any(dim=0).nonzero()[:, 0]
    aligned = torch.full(keep.shape, IGNORED, device=labels.device, dtype=labels.dtype)
    aligned[keep] = labels
    return {"logits_to_keep": places, "shift_labels": aligned[:, places]}
