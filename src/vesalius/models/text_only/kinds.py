"""The two kinds of language model, as rows of a table and as families of one part."""

from __future__ import annotations

from functools import cache
from typing import Any

from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedConfig,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from vesalius.errors import ModelError
from vesalius.models.generative.text.families import Family
from vesalius.models.text_only.settings import Kind
from vesalius.system.tables import packaged_table

LOADERS: dict[Kind, Any] = {"causal": AutoModelForCausalLM, "seq2seq": AutoModelForSeq2SeqLM}
"""transformers' class of each kind."""
PLACEHOLDER = "\ue002"
"""Stands for a picture where a family has one; no template writes this private-use character."""


@cache
def kinds() -> dict[str, dict[str, Any]]:
    """The rows of ``kinds.yaml``."""
    table: dict[str, dict[str, Any]] = packaged_table(__package__, "kinds.yaml")
    return table


@cache
def family(kind: Kind) -> Family:
    """A kind as a family: all of it is the part ``language``."""
    row = kinds()[kind]
    return Family(
        name=f"text_{kind}",
        title=row["title"],
        model_types=(),
        image=PLACEHOLDER,
        chat_template=row["chat_template"],
        renderer="tokenizer",
        parts={"language": ("",)},
        targets={"language": row["targets"]},
        layout=row["layout"],
    )


def kind_of(config: PreTrainedConfig, place: str) -> Kind:
    """Which kind a transformers config is of; ModelError for one of neither."""
    if config.is_encoder_decoder and config.model_type in (
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    ):
        return "seq2seq"
    if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "causal"
    what = f"is no language model, but of the type {config.model_type}"
    raise ModelError(what, where=place, hint="models that see pictures are `generative`")
