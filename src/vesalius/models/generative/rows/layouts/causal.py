"""The ordinary decoder: rows share an image prefix exactly, in training and in the cache.

A segment sees the prefix and itself; its positions start where the prefix ends; loss is borne by
reply tokens only, and the language-model head runs at those places alone. Loss and gradients equal
those of one row per dialogue (dropout aside).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from vesalius.models.generative.answering.prefix_cache import (
    CachedPrefix,
    PrefixCache,
    PrefixHit,
    joined,
    layers_of,
)
from vesalius.models.generative.rows.layouts.prefix_caching import PrefixCaching, Prompt
from vesalius.models.generative.rows.pack import collate, images_of
from vesalius.models.generative.rows.rows import IGNORED, Row

Batch = dict[str, Any]


class Layout(Protocol):
    """What a family needs beyond the generic batch; ``shared``: rows and caches share a prefix.

    ``recalls`` says what a follow-up question need not compute again, ``grows`` whether one with a
    new picture need not, either.
    """

    shared: ClassVar[bool]
    recalls: ClassVar[str]
    grows: ClassVar[bool]

    def collate(self, rows: Sequence[Row], *, pad: int) -> Batch:
        """The training batch of rows, as it leaves the data loader."""

    def run(self, model: PreTrainedModel, forward: Callable[..., Any], batch: Batch) -> Any:
        """``forward`` on a batch of :meth:`collate`, in the model's own terms."""

    def prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], *, pad: int, beams: int
    ) -> Prompt:
        """Prompts of one segment each, for ``generate``; prefixes are encoded once."""

    def batch_key(self, model: PreTrainedModel, row: Row, new_tokens: int) -> tuple[int, ...]:
        """Rows may be answered together if this is equal."""

    def cached_batch_key(
        self, model: PreTrainedModel, row: Row, new_tokens: int
    ) -> tuple[Any, ...] | None:
        """The same for rows begun from what is kept; None for one that cannot be."""

    def cached_prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], prefix_cache: PrefixCache, *, pad: int
    ) -> Prompt:
        """Prompts of one segment each, begun from what is kept; what is encoded is kept."""

    def keep(
        self,
        rows: Sequence[Row],
        prompt: Prompt,
        cache: Any,
        new: Sequence[Sequence[int]],
        prefix_cache: PrefixCache,
    ) -> None:
        """Keep what ``generate`` left in its cache: the prompts, and the tokens it made."""


class Causal(PrefixCaching):
    """A decoder that takes masks and positions as they are: LLaVA, InternVL, Idefics3."""

    shared: ClassVar[bool] = True

    def collate(self, rows: Sequence[Row], *, pad: int) -> Batch:
        """Rows with all their segments."""
        return {**collate(rows, pad=pad), **images_of(rows)}

    def run(self, model: PreTrainedModel, forward: Callable[..., Any], batch: Batch) -> Any:
        """The batch with its mask in the attention's own form."""
        given = {k: v for k, v in batch.items() if k not in {"prefix_lengths", "inside"}}
        return forward(**given | self.terms(model, batch))

    def terms(self, model: PreTrainedModel, batch: Batch) -> Batch:
        """What replaces parts of the generic batch."""
        return {"attention_mask": suited(model, batch["attention_mask"])}

    def prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], *, pad: int, beams: int
    ) -> Prompt:
        """The prefix, then pads, then the question; the prefix's cache serves all its questions."""
        ids, mask = left_padded(rows, pad)
        device = model.device
        arguments: dict[str, Any] = {
            "input_ids": ids.to(device),
            "attention_mask": mask.to(device),
        }
        prefixes, owner = distinct(rows)
        if prefixes[0].prefix.ids:
            index = torch.tensor(owner, device=device)
            cache = self.prefill(model, prefixes, index)
            cache.batch_select_indices(index.repeat_interleave(beams))
            arguments["past_key_values"] = cache
        return Prompt(model, arguments, ids.shape[1])

    def prefill(self, model: PreTrainedModel, prefixes: Sequence[Row], owner: torch.Tensor) -> Any:
        """The key-value cache of the prefixes, one row each (equal lengths)."""
        ids = torch.tensor([row.prefix.ids for row in prefixes], device=model.device)
        images = on_device(model, images_of(prefixes))
        terms = self.prefix_terms(model, ids)
        output = model(input_ids=ids, use_cache=True, logits_to_keep=1, **images, **terms)
        return self.cache(output)

    def extended(self, model: PreTrainedModel, row: Row, hit: PrefixHit) -> CachedPrefix:
        """The rest of the prefix, with the later pictures, behind what is kept.

        Masks and positions are those of a training row, so that a picture's tokens see each other
        and what stands before them as there.
        """
        prefix, start, alone = row.prefix, hit.length, [Row(row.prefix, ())]
        assert prefix.later is not None
        whole = on_device(model, {**collate(alone, pad=0), **images_of(alone)})
        given = {"position_ids": whole["position_ids"]} | self.terms(model, whole)
        output = model(
            input_ids=whole["input_ids"][:, start:],
            past_key_values=joined(model, [hit], self.fixed(model)),
            use_cache=True,
            logits_to_keep=1,
            **(on_device(model, prefix.later(len(hit.prefix.key))) | _from(given, start)),
        )
        places = range(len(prefix.ids))
        layers = layers_of(self.cache(output), 0, places, self.fixed(model))
        return CachedPrefix(prefix.key, prefix.ids, layers, self.extras(model, row, 0))

    def cache(self, output: Any) -> Any:
        """The key-value cache of a forward pass."""
        return output.past_key_values

    def prefix_terms(self, model: PreTrainedModel, ids: torch.Tensor) -> Batch:
        """What the prefix's forward pass needs besides ids and images."""
        return {}

    def batch_key(self, model: PreTrainedModel, row: Row, new_tokens: int) -> tuple[int, ...]:
        """Prefixes of equal length."""
        return (len(row.prefix.ids),)


def suited(model: PreTrainedModel, mask: torch.Tensor) -> torch.Tensor:
    """A bool mask (True = attend) as the attention takes it: eager would add True as 1."""
    text = model.config.get_text_config()
    if getattr(text, "_attn_implementation", "sdpa") != "eager":
        return mask
    dtype = torch.float32 if model.dtype == torch.float32 else model.dtype
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)


def token_loss(
    logits: torch.Tensor, labels: torch.Tensor, count: torch.Tensor | int | None
) -> torch.Tensor:
    """Cross-entropy of logits (..., V) at labels (...), summed and divided by ``count``.

    ``count`` is of the whole optimizer step; by default the labels here.
    """
    borne = (labels != IGNORED).sum() if count is None else count
    flat, wanted = logits.float().flatten(0, -2), labels.flatten()
    return cross_entropy(flat, wanted, ignore_index=IGNORED, reduction="sum") / borne


def _from(given: Batch, start: int) -> Batch:
    """Masks and positions of the tokens from ``start`` on, over all that stand before them."""
    whole = given["attention_mask"]
    masks = (
        {kind: mask[:, :, start:] for kind, mask in whole.items()}
        if isinstance(whole, dict)
        else whole[:, :, start:]
    )
    return {"attention_mask": masks, "position_ids": given["position_ids"][..., start:]}


def distinct(rows: Sequence[Row]) -> tuple[list[Row], list[int]]:
    """Rows of different prefixes, and for each row which of them is its own."""
    prefixes: list[Row] = []
    owner: list[int] = []
    for row in rows:
        if not prefixes or prefixes[-1].prefix is not row.prefix:
            prefixes.append(row)
        owner.append(len(prefixes) - 1)
    return prefixes, owner


def on_device(model: PreTrainedModel, images: Mapping[str, torch.Tensor]) -> Batch:
    """Image tensors where the model is, floats in its dtype."""
    return {
        name: value.to(model.device, model.dtype if value.is_floating_point() else None)
        for name, value in images.items()
    }


def left_padded(rows: Sequence[Row], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (B, T): the prefix, then pads, then the question, so that all end together."""
    longest = max(len(row.segments[0].ids) for row in rows)
    ids, mask = [], []
    for row in rows:
        prefix, tail = list(row.prefix.ids), list(row.segments[0].ids)
        gap = longest - len(tail)
        ids.append(prefix + [pad] * gap + tail)
        mask.append([1] * len(prefix) + [0] * gap + [1] * len(tail))
    return torch.tensor(ids), torch.tensor(mask)
