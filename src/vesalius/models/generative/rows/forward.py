"""A model's forward pass, which takes batches of rows as well as its own arguments."""

from __future__ import annotations

from functools import wraps
from typing import Any

from transformers import PreTrainedModel

from vesalius.models.generative.projector import PROJECTOR_INPUT, projected
from vesalius.models.generative.rows.layouts import layouts
from vesalius.models.generative.text.families import Family


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
        return layout.run(model, forward, kwargs) if ours else forward(*args, **kwargs)

    run.accepts_rows = layout  # type: ignore[attr-defined]
    model.forward = run
