"""ViLT as transformers has it: read or made small, its inputs, and the loss it is trained by."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import transformers
from PIL import Image, ImageOps
from pydantic import Field, model_validator
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as _binary_cross_entropy
from torch.nn.functional import cross_entropy as _cross_entropy
from transformers import (
    AutoConfig,
    BertTokenizerFast,
    ViltConfig,
    ViltImageProcessor,
    ViltProcessor,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from vesalius.cases.picture import Picture
from vesalius.errors import ModelError
from vesalius.settings import Frozen

LONGEST = 1333 / 800
"""ViltImageProcessor's longest side, in shortest sides."""


class ViltForQuestionAnswering(transformers.ViltForQuestionAnswering):
    """ViLT with the loss of an optimizer step: summed here, divided by the step's questions.

    Cross-entropy for labels (B,). For soft targets (B, L) ViLT's own: binary cross-entropy summed
    over the labels. Accumulated batches so weigh by their questions, however these were dealt.
    It bears its parent's name, which config.json tells to whatever loads the saved weights.
    """

    def forward(
        self,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **inputs: Any,
    ) -> SequenceClassifierOutput:
        """Logits (B, L), and the loss of labels; ``num_items_in_batch``: the whole step's count."""
        logits = super().forward(**inputs).logits
        if labels is None:
            return SequenceClassifierOutput(logits=logits)
        loss = _cross_entropy if labels.dim() == 1 else _binary_cross_entropy
        # The Trainer counts every entry of ``labels``: L of them a question if they are soft.
        each = labels.numel() // len(labels)
        count = labels.numel() if num_items_in_batch is None else num_items_in_batch
        total = loss(logits.float(), labels, reduction="sum")
        return SequenceClassifierOutput(loss=total * each / count, logits=logits)


class Sizes(Frozen):
    """Sizes of a ViLT from random weights, as ViltConfig names them."""

    image_size: int = Field(default=64, ge=8)
    """The shorter side of a picture, in pixels."""
    patch_size: int = Field(default=16, ge=4)
    """Pixels an image token covers along each axis."""
    hidden_size: int = Field(default=48, ge=8)
    num_hidden_layers: int = Field(default=2, ge=1)
    num_attention_heads: int = Field(default=4, ge=1)
    intermediate_size: int = Field(default=96, ge=8)
    vocabulary: int = Field(default=512, ge=64)
    """At most so many words of the training questions have a token; others are unknown."""

    @model_validator(mode="after")
    def _divide(self) -> Self:
        if self.image_size % self.patch_size or self.hidden_size % self.num_attention_heads:
            raise ValueError("patches must fill the image, and heads the hidden size")
        return self


def small(sizes: Sizes, questions: Iterable[str], labels: Sequence[str]) -> tuple[Any, Any]:
    """A ViLT of these sizes with random weights, and its processor with a tokenizer made here.

    The weights come from torch's global generator, which the caller seeds.
    """
    tokenizer = _tokenizer(questions, sizes.vocabulary)
    images = ViltImageProcessor(
        size={"shortest_edge": sizes.image_size}, size_divisor=sizes.patch_size
    )
    config = ViltConfig(
        **sizes.model_dump(exclude={"vocabulary"}),
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        # What the published 0.02 is at a width of 768.
        initializer_range=0.02 * math.sqrt(768 / sizes.hidden_size),
        **_labelled(labels),
    )
    return ViltForQuestionAnswering(config), ViltProcessor(images, tokenizer)


def _tokenizer(texts: Iterable[str], size: int) -> Any:
    """A BERT tokenizer of the most frequent words; others are [UNK].

    No trainer of subwords: that of WordPiece numbers its tokens differently in every process,
    and a run that goes on in another one would read other words.
    """
    bert = BertTokenizerFast()
    clean, cut = bert.backend_tokenizer.normalizer, bert.backend_tokenizer.pre_tokenizer
    words = Counter(w for t in texts for w, _ in cut.pre_tokenize_str(clean.normalize_str(t)))
    known = sorted(words, key=lambda word: (-words[word], word))
    reserved = sorted(bert.get_vocab(), key=bert.convert_tokens_to_ids)
    tokens = [*reserved, *known][:size]
    return BertTokenizerFast(vocab={token: place for place, token in enumerate(tokens)})


def pretrained(weights: str, revision: str | None, labels: Sequence[str]) -> tuple[Any, Any]:
    """The ViLT at a hub id or folder, its head new unless it has just these labels already.

    Only safetensors are read. ModelError if they are no ViLT, or not all of one.
    """
    try:
        config = AutoConfig.from_pretrained(weights, revision=revision)
        if config.model_type != "vilt":
            raise ModelError(f"is {config.model_type}, not ViLT", where=weights)
        same_labels = [config.id2label[place] for place in sorted(config.id2label)] == list(labels)
        # A positive limit would draw patches at random, in evaluation too.
        config.max_image_length = -1
        config.update(_labelled(labels))
        processor = ViltProcessor.from_pretrained(weights, revision=revision)
        model, info = ViltForQuestionAnswering.from_pretrained(
            weights,
            revision=revision,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, SafetensorError) as error:
        line = str(error).strip().splitlines()[0]
        hint = "a hub id or a local folder, with safetensors?"
        raise ModelError(f"cannot be loaded: {line}", where=weights, hint=hint) from error
    absent = {*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])}
    lost = sorted(name for name in absent if not name.startswith("classifier."))
    if lost:
        raise ModelError(f"lacks {len(lost)} of ViLT's weights, {lost[0]} first", where=weights)
    if not same_labels:
        _renew(model.classifier, config.initializer_range)
    return model, processor


def _renew(head: nn.Module, spread: float) -> None:
    """Forget what a head knew: as many labels as before need not mean the same answers."""
    for part in head.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=spread)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            part.reset_parameters()


def _labelled(labels: Sequence[str]) -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: place for place, label in enumerate(labels)},
    }


@dataclass(frozen=True, slots=True)
class Reader:
    """Turns pictures and questions into ViLT's inputs, padded and masked."""

    processor: Any
    limit: int
    """Tokens the text side has places for, [CLS] and [SEP] included: 40 in the released ViLT."""
    truncate: bool

    def check(self, questions: Iterable[tuple[str, str]]) -> None:
        """ModelError names the first (dialogue id, question) that is too long, unless cut."""
        if self.truncate:
            return
        for dialogue, question in questions:
            length = len(self.processor.tokenizer(question)["input_ids"])
            if length > self.limit:
                raise ModelError(
                    f"a question of {length} tokens does not fit into ViLT's {self.limit}",
                    where=dialogue,
                    hint="model.truncate: true cuts such questions",
                )

    def inputs(self, pictures: Sequence[Picture], questions: Sequence[str]) -> dict[str, Tensor]:
        """input_ids, attention_mask, token_type_ids (B, T); pixel_values (B, 3, H, W), pixel_mask.

        Padding is 0 in both masks.
        """
        cut = {"truncation": True, "max_length": self.limit} if self.truncate else {}
        inputs = self.processor(
            images=[self._wide(picture.pixels()) for picture in pictures],
            text=list(questions),
            padding=True,
            return_tensors="pt",
            **cut,
        )
        return dict(inputs)

    def _wide(self, image: Image.Image) -> Image.Image:
        """The image with black beside it if it is so narrow that no whole patch would be left."""
        images = self.processor.image_processor
        most = int(LONGEST * images.size["shortest_edge"]) / images.size_divisor
        least = math.ceil(max(image.size) / most)
        if min(image.size) >= least:
            return image
        return ImageOps.pad(image, (max(image.width, least), max(image.height, least)))


def saved(model: Path, processor: Path) -> tuple[Any, Any]:
    """A network and its processor as they were saved."""
    network = ViltForQuestionAnswering.from_pretrained(str(model), use_safetensors=True)
    return network, ViltProcessor.from_pretrained(str(processor))
