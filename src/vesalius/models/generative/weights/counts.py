"""What a model weighs before its weights are there: parameters, those that train, memory."""

from __future__ import annotations

from typing import Any

from torch import nn

from vesalius.models.generative.rows.budget import require_budget, require_least
from vesalius.models.generative.settings import Settings, Trained
from vesalius.models.generative.text.families import Family, family
from vesalius.models.generative.weights import sizes
from vesalius.training.parts import census, part_of, prepare
from vesalius.training.quantize import PART
from vesalius.training.settings import Training

MIB = 2**20
NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8
"""Of a 4-bit weight: a byte of scale for 64 weights, and 4 bytes for 256 such scales (double
quantisation). Source: Dettmers et al. 2023, section 3."""


def weigh_generative(settings: Settings, weights: str, kind: str | None) -> dict[str, Any]:
    """As :func:`weigh`, for a published model by hub id; ``kind`` names its family."""
    about = sizes.of(weights)
    row = family(kind or str(about.family))
    facts = weigh(sizes.outline(about), row, settings)
    return facts | _image_tokens(row, about.image_tokens, settings.image_tokens.max)


def weigh_composed(settings: Any) -> dict[str, Any]:
    """As :func:`weigh`, for a composed model."""
    seen, written = (settings.vision, settings.vision_sizes), settings.language_sizes
    model = sizes.joined(seen, (settings.language, written), settings.vocabulary)
    config: Any = model.config.vision_config
    tokens = (config.image_size // config.patch_size) ** 2
    row = family("llava")
    return weigh(model, row, settings) | _image_tokens(row, tokens, settings.image_tokens.max)


def weigh_whole(weights: str, training: Training) -> dict[str, Any]:
    """As :func:`weigh`, for a published model all of whose weights train."""
    model = sizes.outline(sizes.of(weights))
    number = sum(p.numel() for p in model.parameters())
    trained = number * _per_trained(training)
    return {"parameters": number, "trainable": number, "least_memory_mb": round(trained / MIB)}


def weigh(model: nn.Module, row: Family, settings: Trained) -> dict[str, Any]:
    """Parameters, those that train (adapters included), both by part, and the least memory in MiB.

    ``model`` has no numbers (meta device) and is changed as training would change it, so that what
    an adapter lands on is known, not guessed. Memory is of weights, gradients and the optimizer;
    activations are left out. ModelError as in training where roles or targets do not fit.
    """
    four_bit = _quantised(model, row) if settings.quantization else set()
    prepared = prepare(model, row.parts, settings.roles, settings.adapter, row.targets)
    parts = census(prepared, row.parts)
    frozen = _per_frozen(settings)
    held = 0.0
    for parameter in prepared.parameters():
        if parameter.requires_grad:
            held += parameter.numel() * _per_trained(settings.training)
        else:
            held += parameter.numel() * (NF4_BYTES if id(parameter) in four_bit else frozen)
    return {
        "parameters": sum(part["parameters"] for part in parts.values()),
        "trainable": sum(part["trainable"] for part in parts.values()),
        "parts": parts,
        "least_memory_mb": round(held / MIB),
    }


def _image_tokens(row: Family, published: int | None, most: int | None) -> dict[str, int]:
    """Of a picture in the prompt: the number, where it is one for all, else the budget.

    RecipeError where the budget cannot be held.
    """
    if most is None:
        return {} if published is None else {"image_tokens": published}
    require_budget(row)
    if published is None:
        return {"image_tokens_at_most": most}
    if not row.budget.adjustable:
        require_least(row, published, most)
    return {"image_tokens": min(published, most)}


def _quantised(model: nn.Module, row: Family) -> set[int]:
    """The weights that are held in 4 bits: linear layers of the language part, not its head."""
    return {
        id(module.weight)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and part_of(name, row.parts) == PART
        and not name.endswith("lm_head")
    }


def _per_frozen(settings: Trained) -> float:
    """Bytes of a frozen weight: two where the base stays frozen and a GPU computes in halves."""
    whole = {settings.roles.get(part) for part in ("vision", "language")}
    return 4.0 if settings.precision == "fp32" or "full" in whole else 2.0


def _per_trained(training: Training) -> float:
    """Bytes of a weight that trains: itself and its gradient in fp32, and AdamW's two moments."""
    return 4.0 + 4.0 + (2.0 if "8bit" in training.optimizer else 8.0)
