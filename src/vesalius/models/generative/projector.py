"""Between the vision tower and the language model: features that the projector is given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from transformers import PreTrainedModel

from vesalius.models.generative.text.families import Family

PROJECTOR_INPUT = "projector_input"
"""The image tensor of a batch that holds features in the place of pixels."""


def projected(model: PreTrainedModel, family: Family, features: torch.Tensor) -> dict[str, Any]:
    """Kept features through the projector, in the form of the model's own image features."""
    tokens = model.get_submodule(family.parts["projector"][0])(features)
    return {
        "image": SimpleNamespace(pooler_output=list(tokens) if family.keeps == "list" else tokens)
    }
