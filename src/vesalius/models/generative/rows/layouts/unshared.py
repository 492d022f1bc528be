"""Families whose language model sees picture and question together: no common prefix.

The picture still goes through vision tower and projector once, however many questions it has;
the language rows are separate.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from vesalius.models.generative.answering.prefix_cache import PrefixCache
from vesalius.models.generative.rows.layouts.causal import (
    Batch,
    Causal,
    distinct,
    left_padded,
    on_device,
    suited,
    token_loss,
)
from vesalius.models.generative.rows.layouts.prefix_caching import Prompt
from vesalius.models.generative.rows.pack import collate, images_of
from vesalius.models.generative.rows.rows import IGNORED, Row, Segment

OWNER = "image_rows"


class Unshared(Causal):
    """One row a reply; ``image_rows`` says which of the batch's pictures are each row's.

    A later reply is a row of its own, so that what stands before it is seen as in serving.
    """

    shared: ClassVar[bool] = False
    recalls: ClassVar[str] = "the picture's features; its tokens depend on the question"

    def collate(self, rows: Sequence[Row], *, pad: int) -> Batch:
        """Rows of one segment with one reply each, pictures once."""
        apart = [
            Row(row.prefix, (part,))
            for row in rows
            for segment in row.segments
            for part in replies(segment)
        ]
        prefixes, owner = distinct(apart)
        pictures = {OWNER: pictures_of(prefixes, owner), **images_of(prefixes)}
        return {**self.tokens(apart, pad=pad), **pictures}

    def tokens(self, rows: Sequence[Row], *, pad: int) -> Batch:
        """Everything but the pictures."""
        return collate(rows, pad=pad)

    def prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], *, pad: int, beams: int
    ) -> Prompt:
        """Whole prompts, each picture's features made once."""
        prefixes, owner = distinct(rows)
        pixels = on_device(model, images_of(prefixes))["pixel_values"]
        index = pictures_of(prefixes, owner).to(model.device)
        return self.whole_prompt(model, rows, features(model, pixels, index), pad=pad)

    @abstractmethod
    def whole_prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], seen: Batch, *, pad: int
    ) -> Prompt:
        """Whole prompts, with the rows' image features."""

    def cached_batch_key(
        self, model: PreTrainedModel, row: Row, new_tokens: int
    ) -> tuple[Any, ...] | None:
        """Any rows of one picture each."""
        return () if len(row.prefix.key) == 1 else None

    def cached_prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], prefix_cache: PrefixCache, *, pad: int
    ) -> Prompt:
        """Whole prompts, with features that are kept or made now."""
        seen = []
        for row in rows:
            pooled = prefix_cache.features(row.prefix.key)
            if pooled is None:
                pixels = on_device(model, row.prefix.images)["pixel_values"]
                pooled = model.get_image_features(pixels).pooler_output
                prefix_cache.cache_features(row.prefix.key, pooled)
            seen.append(pooled)
        images = {"image": BaseModelOutputWithPooling(pooler_output=torch.cat(seen))}
        return self.whole_prompt(model, rows, images, pad=pad)

    def keep(
        self,
        rows: Sequence[Row],
        prompt: Prompt,
        cache: Any,
        new: Sequence[Sequence[int]],
        prefix_cache: PrefixCache,
    ) -> None:
        """Nothing: what was said before changes with the next question."""


class PrefixLM(Unshared):
    """PaliGemma: picture and question see each other, the reply is causal (its released recipe)."""

    def run(self, model: PreTrainedModel, forward: Callable[..., Any], batch: Batch) -> Any:
        """Features once, a mask that is two-way up to the first reply, positions from 1."""
        before = (batch["labels"] != IGNORED).cumsum(1) == 0
        question = before & batch["inside"]
        both = (question[:, :, None] & question[:, None, :])[:, None]
        terms = {
            "attention_mask": suited(model, batch["attention_mask"] | both),
            "position_ids": batch["position_ids"] + 1,
            "mm_encoder_outputs": features(model, batch["pixel_values"], batch[OWNER]),
        }
        return forward(**_without(batch, "pixel_values", OWNER) | terms)

    def whole_prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], seen: Batch, *, pad: int
    ) -> Prompt:
        """Left-padded; type 0 marks what sees each other. ``generate`` repeats them for beams."""
        ids, mask = (tensor.to(model.device) for tensor in left_padded(rows, pad))
        arguments = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": torch.zeros_like(ids),
            "mm_encoder_outputs": seen,
        }
        return Prompt(model, arguments, ids.shape[1])


class EncoderDecoder(Unshared):
    """BLIP-2 with Flan-T5: pictures and questions are encoded together, replies decoded."""

    def tokens(self, rows: Sequence[Row], *, pad: int) -> Batch:
        """Encoder ids and mask (B, T), and labels (B, L).

        What stands before a reply is the encoder's, with the end token that its tokenizer writes.
        """
        ids, labels = zip(*(_reply(row, pad) for row in rows), strict=True)
        padded = pad_sequence(list(labels), batch_first=True, padding_value=IGNORED)
        inputs, mask = right_padded(ids, pad)
        return {
            "input_ids": inputs,
            "attention_mask": mask,
            "labels": padded,
            "shift_labels": padded,  # the decoder predicts every label: none is lost to a shift
        }

    def run(self, model: PreTrainedModel, forward: Callable[..., Any], batch: Batch) -> Any:
        """Features once; the loss is summed and divided as a decoder's is, by labels."""
        count = batch.get("num_items_in_batch")
        encoded = features(model, batch["pixel_values"], batch[OWNER])
        given = _without(batch, OWNER, "shift_labels", "num_items_in_batch")
        output = forward(**given | {"pixel_values": None, "mm_encoder_outputs": encoded})
        output.loss = token_loss(output.logits, batch["labels"], count)
        return output

    def whole_prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], seen: Batch, *, pad: int
    ) -> Prompt:
        """The encoder's embeddings, with the pictures' features in their places.

        Pads stand at the end: an encoder's relative positions count from place to place.
        """
        questions = [torch.tensor((*r.prefix.ids, *r.segments[0].ids, pad)) for r in rows]
        ids, mask = (tensor.to(model.device) for tensor in right_padded(questions, pad))
        image = seen["image"].pooler_output
        places = (ids == model.config.image_token_id)[..., None]
        embedded = model.get_input_embeddings()(ids)
        embedded = embedded.masked_scatter(places, image.to(embedded.dtype))
        return Prompt(
            model.language_model, {"inputs_embeds": embedded, "attention_mask": mask}, start=1
        )


def right_padded(ids: Sequence[torch.Tensor], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (B, T), pads at the end."""
    mask = pad_sequence([torch.ones_like(own) for own in ids], batch_first=True)
    return pad_sequence(list(ids), batch_first=True, padding_value=pad), mask


def pictures_of(prefixes: Sequence[Row], owner: Sequence[int]) -> torch.Tensor:
    """Of the prefixes' pictures in their order, the numbers of each row's, row by row."""
    counts = [len(row.prefix.images["pixel_values"]) for row in prefixes]
    starts = [sum(counts[:number]) for number in range(len(counts))]
    return torch.tensor([starts[one] + at for one in owner for at in range(counts[one])])


def features(model: PreTrainedModel, pixels: torch.Tensor, owner: torch.Tensor) -> dict[str, Any]:
    """The pictures through tower and projector once, each row given its own."""
    output = model.get_image_features(pixels)
    output.pooler_output = output.pooler_output[owner]
    return {"image": output}


def _without(batch: Batch, *names: str) -> Batch:
    drop = {"prefix_lengths", "inside", *names}
    return {name: value for name, value in batch.items() if name not in drop}


def replies(segment: Segment) -> Iterator[Segment]:
    """The segment up to each of its replies, loss on that reply alone."""
    bearing = [label != IGNORED for label in segment.labels]
    for at, bears in enumerate(bearing):
        if bears and not (at and bearing[at - 1]):
            start = at
        if bears and not (at + 1 < len(bearing) and bearing[at + 1]):
            labels = (IGNORED,) * start + segment.labels[start : at + 1]
            yield replace(segment, ids=segment.ids[: at + 1], labels=labels)


def _reply(row: Row, end: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoder ids (question, end token) and labels (the reply) of a row with one reply."""
    segment = row.segments[0]
    start = next(i for i, label in enumerate(segment.labels) if label != IGNORED)
    question = (*row.prefix.ids, *segment.ids[:start], end)
    return torch.tensor(question), torch.tensor(segment.labels[start:])
