"""Published models as architectures without weights: enough to count their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from vesalius.errors import ModelError, RecipeError
from vesalius.settings import Frozen
from vesalius.system.tables import packaged_table

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PADDED = 64
"""A composed model's embedding grows to the next multiple of this, for the picture's token."""


class Published(Frozen):
    """A row of ``sizes.yaml``."""

    name: str
    """The hub id, or the packaged part's name."""
    licence: str
    model_type: str
    config: dict[str, Any]
    """The published config's values that its class does not default to."""
    family: str | None = None
    image_tokens: int | None = None
    """Of a picture in the prompt; None where it depends on the picture."""
    total: int | None = None
    """Parameters as the hub counts them."""


@cache
def published(part: str = "models") -> dict[str, Published]:
    """Whole ``models``, ``vision`` and ``language`` parts, and ``text_to_text`` models, by name."""
    table = packaged_table(__package__, "sizes.yaml")
    return {name: Published(name=name, **row) for name, row in table[part].items()}


def drawn(block: Mapping[str, Any]) -> dict[str, Any]:
    """A model block with ``tiny: true`` and the family in the place of its weights; RecipeError."""
    weights = block["weights"]
    known = published().get(weights)
    row = block.get("family") or (known.family if known else None)
    if row is None:
        hint = "name it in the recipe: model.family"
        raise RecipeError(f"the family of {weights} is not known", where="model", hint=hint)
    kept = {key: value for key, value in block.items() if key not in {"weights", "revision"}}
    return kept | {"tiny": True, "family": row}


def of(name: str, part: str = "models") -> Published:
    """A published model or part; ModelError if its sizes are not in the table."""
    row = published(part).get(name)
    if row is None:
        hint = f"sizes are known of {', '.join(published(part))}"
        raise ModelError("its sizes are not known without its weights", where=name, hint=hint)
    return row


def outline(model: Published) -> PreTrainedModel:
    """The architecture on torch's meta device: shapes without numbers, whatever the size."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText

    from vesalius.models import towers  # noqa: F401  # registers our vision towers

    config = AutoConfig.for_model(model.model_type, **model.config)
    kind = AutoModelForImageTextToText if model.family else AutoModel
    with torch.device("meta"):
        network: PreTrainedModel = kind.from_config(config)
    return network


def language_outline(model: Published, kind: str) -> PreTrainedModel:
    """A ``causal`` or ``seq2seq`` language model on torch's meta device."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = AutoConfig.for_model(model.model_type, **model.config)
    loader = AutoModelForSeq2SeqLM if kind == "seq2seq" else AutoModelForCausalLM
    with torch.device("meta"):
        network: PreTrainedModel = loader.from_config(config)
    return network


def joined(
    vision: tuple[str, dict[str, Any]], language: tuple[str, dict[str, Any]], vocabulary: int
) -> PreTrainedModel:
    """The outline of a composed model; parts are (name, sizes), sizes for those from scratch."""
    import torch
    from transformers import AutoConfig, LlavaConfig, LlavaForConditionalGeneration

    from vesalius.models import towers

    if vision[0] == "stem_vit":
        tower: Any = towers.StemViTConfig(**vision[1])
    else:
        seen = of(vision[0], "vision")
        tower = AutoConfig.for_model(seen.model_type, **seen.config)
    if language[0] == "llama":
        writer = {"model_type": "llama", "vocab_size": vocabulary, **language[1]}
        writer["tie_word_embeddings"] = True
    else:
        row = of(language[0], "language")
        grown = row.config["vocab_size"] // PADDED * PADDED + PADDED
        writer = {"model_type": row.model_type, **row.config, "vocab_size": grown}
    config = LlavaConfig(vision_config=tower, text_config=writer)
    with torch.device("meta"):
        return LlavaForConditionalGeneration(config)
