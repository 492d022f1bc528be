"""Prompts that begin with what is kept of earlier ones, and what is kept of them in turn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from transformers import PreTrainedModel

from vesalius.models.generative.answering.prefix_cache import (
    CachedPrefix,
    PrefixCache,
    PrefixHit,
    joined,
    layers_of,
    window_of,
)
from vesalius.models.generative.rows.rows import Row


@dataclass(frozen=True, slots=True)
class Prompt:
    """What ``generate`` is given: the module to ask, its arguments, where the new tokens start.

    ``hits``: what each row was begun with, where that was something kept.
    """

    model: Any
    arguments: Mapping[str, Any]
    start: int
    hits: tuple[PrefixHit, ...] = ()


class PrefixCaching(ABC):
    """How a decoder's prompts go on from kept keys and values, exactly.

    Rows of any lengths are answered together: zeros fill up before what is kept, pads before the
    rest, and positions are counted by the mask.
    """

    recalls: ClassVar[str] = "all tokens before the first new one"
    grows: ClassVar[bool] = True
    """Whether what is kept goes on with a new picture exactly."""

    @abstractmethod
    def prefill(self, model: PreTrainedModel, prefixes: Sequence[Row], owner: torch.Tensor) -> Any:
        """The key-value cache of the prefixes, one row each (equal lengths)."""

    def cached_batch_key(
        self, model: PreTrainedModel, row: Row, new_tokens: int
    ) -> tuple[Any, ...] | None:
        """Any rows, unless layers have a window in which pads could take places.

        A row that fits it only without pads is answered alone; one that outgrows it as without
        anything kept.
        """
        if not row.prefix.key:
            return None
        window = window_of(model)
        if window is None or 2 * row.length + new_tokens < window:
            return ()
        return (row.prefix.key, ids_of(row)) if row.length + new_tokens < window else None

    def cached_prompt(
        self, model: PreTrainedModel, rows: Sequence[Row], prefix_cache: PrefixCache, *, pad: int
    ) -> Prompt:
        """Pads, what is kept, pads, the rest."""
        hits = self.hits(model, rows, prefix_cache)
        ids, mask = twice_padded(rows, [one.length for one in hits], pad)
        arguments = {
            "input_ids": ids.to(model.device),
            "attention_mask": mask.to(model.device),
            "past_key_values": joined(model, hits, self.fixed(model)),
            **self.extra_terms(model, hits, ids.shape[1]),
        }
        return Prompt(model, arguments, ids.shape[1], tuple(hits))

    def hits(
        self, model: PreTrainedModel, rows: Sequence[Row], prefix_cache: PrefixCache
    ) -> list[PrefixHit]:
        """What each row begins with: something kept, or its prefix, encoded now."""
        hits = [self._hit(model, row, prefix_cache) for row in rows]
        lacking: dict[tuple[Any, ...], Row] = {}
        for row, one in zip(rows, hits, strict=True):
            if one is None:
                lacking.setdefault((row.prefix.key, row.prefix.ids), row)
        fresh: dict[tuple[Any, ...], PrefixHit] = {}
        for length in sorted({len(row.prefix.ids) for row in lacking.values()}):
            some = [row for row in lacking.values() if len(row.prefix.ids) == length]
            for entry in self.encoded(model, some):
                prefix_cache.keep(entry)
                fresh[entry.key, entry.ids] = PrefixHit(entry, length)
        return [
            one or fresh[row.prefix.key, row.prefix.ids]
            for row, one in zip(rows, hits, strict=True)
        ]

    def _hit(self, model: PreTrainedModel, row: Row, prefix_cache: PrefixCache) -> PrefixHit | None:
        """Something kept that shows the row's pictures, the later ones seen to now; else None."""
        prefix = row.prefix
        image = model.config.image_token_id if self.grows else None
        hit = prefix_cache.find(prefix.key, ids_of(row), len(prefix.ids), image)
        if hit is None or hit.prefix.key == prefix.key:
            return hit
        entry = self.extended(model, row, hit)
        prefix_cache.keep(entry)
        return PrefixHit(entry, len(prefix.ids))

    @abstractmethod
    def extended(self, model: PreTrainedModel, row: Row, hit: PrefixHit) -> CachedPrefix:
        """A row's prefix, as it is kept, of one that shows only the first of its pictures."""

    def encoded(self, model: PreTrainedModel, rows: Sequence[Row]) -> Iterator[CachedPrefix]:
        """The prefixes of rows (equal lengths), as they are kept."""
        cache = self.prefill(model, rows, torch.arange(len(rows), device=model.device))
        places = range(len(rows[0].prefix.ids))
        for number, row in enumerate(rows):
            layers = layers_of(cache, number, places, self.fixed(model))
            extras = self.extras(model, row, number)
            yield CachedPrefix(row.prefix.key, row.prefix.ids, layers, extras)

    def keep(
        self,
        rows: Sequence[Row],
        prompt: Prompt,
        cache: Any,
        new: Sequence[Sequence[int]],
        prefix_cache: PrefixCache,
    ) -> None:
        """Keep prompts with what was replied, but for the last token: that was never read."""
        masks = prompt.arguments["attention_mask"].tolist()
        for number, (row, one) in enumerate(zip(rows, prompt.hits, strict=True)):
            read = list(new[number][:-1])
            places = [place for place, inside in enumerate(masks[number]) if inside]
            places += range(prompt.start, prompt.start + len(read))
            layers = layers_of(cache, number, places, self.fixed(prompt.model))
            ids = (*ids_of(row), *read)
            prefix_cache.keep(CachedPrefix(row.prefix.key, ids, layers, one.prefix.extras))

    def fixed(self, model: PreTrainedModel) -> frozenset[int]:
        """Layers whose keys and values do not grow with the text."""
        return frozenset()

    def extras(self, model: PreTrainedModel, row: Row, number: int) -> dict[str, torch.Tensor]:
        """What is kept of a prefix that was just encoded, beside keys and values."""
        return {}

    def extra_terms(
        self, model: PreTrainedModel, hits: Sequence[PrefixHit], length: int
    ) -> dict[str, Any]:
        """Arguments of ``generate`` made from the extras, for prompts of ``length`` places."""
        return {}


def ids_of(row: Row) -> tuple[int, ...]:
    """A row's tokens, of a single segment."""
    return row.prefix.ids + row.segments[0].ids


def twice_padded(
    rows: Sequence[Row], lengths: Sequence[int], pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (B, T): pads, the first ``lengths`` tokens, pads, the rest."""
    wholes = [ids_of(row) for row in rows]
    first = max(lengths)
    second = max(len(whole) - length for whole, length in zip(wholes, lengths, strict=True))
    ids, mask = [], []
    for whole, length in zip(wholes, lengths, strict=True):
        before, between = first - length, second - (len(whole) - length)
        ids.append([pad] * before + [*whole[:length]] + [pad] * between + [*whole[length:]])
        rest = [1] * (len(whole) - length)
        mask.append([0] * before + [1] * length + [0] * between + rest)
    return torch.tensor(ids), torch.tensor(mask)
