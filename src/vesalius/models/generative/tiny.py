"""The tiny offline form of a family: its own architecture classes, toy sizes, random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
)

from vesalius.cases.dialogue import Dialogue
from vesalius.models.generative.families import Family
from vesalius.models.generative.network import words_of
from vesalius.models.generative.tokenizer import train_tokenizer

VOCABULARY = 512


def tiny_model(
    row: Family, dialogues: Sequence[Dialogue], seed: int
) -> tuple[PreTrainedModel, Any]:
    """The family's model and processor at toy size, the tokenizer trained on the dialogues."""
    torch.manual_seed(seed)
    return _MAKERS[row.name](row, dialogues)


def _llava(row: Family, dialogues: Sequence[Dialogue]) -> tuple[PreTrainedModel, Any]:
    size, patch = row.tiny["image_size"], row.tiny["patch_size"]
    tokenizer = train_tokenizer(
        words_of(dialogues),
        vocabulary=VOCABULARY,
        special={
            "bos_token": "<s>",
            "eos_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
        },
        extra=(row.image,),
        chat_template=row.tiny["chat_template"],
    )
    images = CLIPImageProcessor(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}
    )
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=row.tiny["chat_template"],
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=size,
            patch_size=patch,
        ),
        text_config=LlamaConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=len(tokenizer),
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(row.image),
        image_seq_length=(size // patch) ** 2,
    )
    return LlavaForConditionalGeneration(config), processor


_MAKERS: dict[str, Callable[[Family, Sequence[Dialogue]], tuple[PreTrainedModel, Any]]] = {
    "llava": _llava
}
