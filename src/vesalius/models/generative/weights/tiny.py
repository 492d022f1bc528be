"""The tiny offline form of a family: its own classes, toy sizes, random weights (``tiny.yaml``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError
from vesalius.models.generative.text.families import Family
from vesalius.models.generative.text.tokenizer import train_tokenizer, words_of
from vesalius.models.generative.weights.loading import reading
from vesalius.system.tables import packaged_table

VOCABULARY = 512


@cache
def sizes() -> dict[str, dict[str, Any]]:
    """The rows of ``tiny.yaml`` by family."""
    table: dict[str, dict[str, Any]] = packaged_table(__package__, "tiny.yaml")
    return table


def tiny_model(
    row: Family, dialogues: Sequence[Dialogue], seed: int, device: str = "cpu"
) -> tuple[PreTrainedModel, Any]:
    """The family's model and processor at toy size, the tokenizer trained on the dialogues.

    On the ``device`` ``meta`` it has shapes and no numbers. ModelError where another package's
    family says no sizes.
    """
    about = row.tiny or sizes().get(row.name)
    if about is None:
        hint = "give its row the key tiny, as a row of tiny.yaml"
        raise ModelError(f"the family {row.name} has no tiny form", hint=hint)
    return from_sizes(about, dialogues, seed, device)


def from_sizes(
    about: Mapping[str, Any],
    dialogues: Sequence[Dialogue],
    seed: int,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
) -> tuple[PreTrainedModel, Any]:
    """A model and its processor from sizes as ``tiny.yaml`` writes them, drawn on the device.

    ``dtype``: of the weights, by default torch's.
    """
    processor = _processor(about, dialogues)
    torch.manual_seed(seed)
    config = _config(about, processor.tokenizer)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    return model, processor


def _processor(about: Mapping[str, Any], dialogues: Sequence[Dialogue]) -> Any:
    template = about.get("chat_template")
    tokenizer = train_tokenizer(
        words_of(dialogues),
        vocabulary=VOCABULARY,
        special=about["special"],
        extra=tuple(about.get("extra", ())),
        named=about.get("named", {}),
        chat_template=template,
    )
    kind, options = _class(about["processor"])
    others = {"image_processor": _instance(about["images"]), "tokenizer": tokenizer}
    if "video" in about:
        others["video_processor"] = getattr(transformers, about["video"])()
    if "audio" in about:
        others["feature_extractor"] = getattr(transformers, about["audio"])()
    if template:
        options["chat_template"] = template
    with reading(about["model_type"], "a processor"):
        return kind(**others, **options)


def _config(about: Mapping[str, Any], tokenizer: Any) -> Any:
    """The family's config with the tokenizer's ids, and its vocabulary unless sizes say another."""
    ids = {
        f"{role}_id": tokenizer.convert_tokens_to_ids(token)
        for role, token in about["special"].items()
        if role != "unk_token"
    }
    text = {"vocab_size": len(tokenizer), **about["text"], **ids}
    if text.get("model_type") == "t5":
        text["decoder_start_token_id"] = ids["pad_token_id"]
    if "hidden_size_per_layer_input" in text:
        text["vocab_size_per_layer_input"] = len(tokenizer)
    parts = {"text_config": text, "vision_config": about["vision"]}
    if "qformer" in about:
        parts["qformer_config"] = about["qformer"]
    named = {key: tokenizer.convert_tokens_to_ids(token) for key, token in about["tokens"].items()}
    return AutoConfig.for_model(about["model_type"], **parts, **named, **about.get("config", {}))


def _instance(named: Mapping[str, Any]) -> Any:
    kind, options = _class(named)
    return kind(**options)


def _class(named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    options = dict(named)
    return getattr(transformers, options.pop("class")), options
