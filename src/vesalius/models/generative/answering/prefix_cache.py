"""What is kept of conversations: a follow-up question is computed from where it is new.

Kept are keys and values as they were computed, by token ids and picture: the longest common
beginning with a new prompt is taken, the rest computed. So nothing is approximated, and a reply
that reads back as other tokens than were generated is simply computed again from there. Where a
family's language model sees picture and question at once, the picture's features are kept instead.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from threading import Lock
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.view import bare
from vesalius.models.generative.rows.encoder import Encoder
from vesalius.models.generative.rows.rows import Images, PictureKey, Prefix
from vesalius.models.generative.text.template import Rendered, Span

HEADS = 512
"""Heads whose token ids are remembered: so many pictures need not be read to know their length."""
Layer = tuple[torch.Tensor, torch.Tensor] | None
"""A layer's keys and values (1, heads, tokens, width); None for one that keeps none."""


@dataclass(frozen=True, eq=False)
class CachedPrefix:
    """A sequence's keys and values by layer.

    ``extras``: what the family's layout needs beside them, each with a first axis of one.
    """

    key: PictureKey
    ids: tuple[int, ...]
    layers: tuple[Layer, ...] = ()
    extras: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @cached_property
    def size(self) -> int:
        """Bytes of all tensors."""
        tensors = [t for layer in self.layers if layer for t in layer]
        return sum(t.numel() * t.element_size() for t in (*tensors, *self.extras.values()))


@dataclass(frozen=True, slots=True)
class PrefixHit:
    """A prompt of which the first ``length`` tokens need not be computed."""

    prefix: CachedPrefix
    length: int


class PrefixCache:
    """Kept beginnings, the least recently used given up where ``limit`` bytes would be exceeded.

    A picture's key must name its content: nothing is read to find out. ``hits`` and ``misses``
    count prompts; ``taken`` counts tokens that were not computed again.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = self.hits = self.misses = self.taken = 0
        self._entries: OrderedDict[tuple[PictureKey, tuple[int, ...]], CachedPrefix] = OrderedDict()
        self._heads: OrderedDict[tuple[tuple[Span, ...], PictureKey], Prefix] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def prefix(self, encoder: Encoder, rendered: Rendered, dialogue: Dialogue) -> Prefix:
        """The head as tokens; a picture seen before is read only if its pixels are asked for."""
        head, key = rendered.front, picture_key(dialogue)
        known = self._heads.pop((head, key), None)
        fresh: Prefix | None = None
        if known is None:
            fresh = encoder.prefix(rendered, dialogue)
            known = replace(fresh, images={}, key=key)
        self._heads[head, key] = known
        while len(self._heads) > HEADS:
            self._heads.popitem(last=False)
        images = (
            Unread(partial(encoder.prefix, rendered, dialogue)) if fresh is None else fresh.images
        )
        return replace(known, images=images, later=partial(_later_images, encoder, dialogue))

    def find(
        self, key: PictureKey, ids: Sequence[int], least: int, image: int | None = None
    ) -> PrefixHit | None:
        """The longest common beginning with ``ids``, their last token left to compute.

        None if it is shorter than ``least`` tokens: then not even the pictures are in it. With the
        id of an ``image`` token, one that shows only the first of the pictures counts as well, if
        nothing else begins so: its key is shorter.
        """
        with self._lock:
            hit = self._longest(key, ids, lambda _: least)
            if image is not None:
                for number in range(len(key) - 1, 0, -1):
                    hit = hit or self._longest(key[:number], ids, partial(_behind, image=image))
            if hit is None:
                self.misses += 1
                return None
            self._entries.move_to_end((hit.prefix.key, hit.prefix.ids))
            self.hits += 1
            self.taken += hit.length
        return hit

    def _longest(
        self, key: PictureKey, ids: Sequence[int], least: Callable[[CachedPrefix], int]
    ) -> PrefixHit | None:
        """The entry of that very key with most tokens in common, at least so many as it asks."""
        best: PrefixHit | None = None
        for name, entry in self._entries.items():
            if name[0] != key:
                continue
            length = common(entry.ids, ids[:-1])
            if length >= max(least(entry), best.length + 1 if best else 1):
                best = PrefixHit(entry, length)
        return best

    def features(self, key: PictureKey) -> torch.Tensor | None:
        """Kept image features."""
        hit = self.find(("features", *key), (0, 0), 1)
        return None if hit is None else hit.prefix.extras["features"]

    def cache_features(self, key: PictureKey, features: torch.Tensor) -> None:
        """Image features (1, tokens, width)."""
        self.keep(CachedPrefix(("features", *key), (0,), extras={"features": features.clone()}))

    def keep(self, entry: CachedPrefix) -> None:
        """Keep a sequence; those that it continues are given up."""
        if entry.size > self.limit:
            return
        with self._lock:
            for name in [
                n for n in self._entries if n[0] == entry.key and _begins(n[1], entry.ids)
            ]:
                self.size -= self._entries.pop(name).size
            self._entries[entry.key, entry.ids] = entry
            self.size += entry.size
            while self.size > self.limit:
                _, oldest = self._entries.popitem(last=False)
                self.size -= oldest.size

    def forget(self, picture: str | None = None) -> None:
        """Give up everything, or what is kept of one picture, whatever frame or window of it."""
        with self._lock:
            for name in [n for n in self._entries if picture is None or _shows(n[0], picture)]:
                self.size -= self._entries.pop(name).size
            for head in [h for h in self._heads if picture is None or _shows(h[1], picture)]:
                del self._heads[head]


class Unread(Mapping[str, torch.Tensor]):
    """A head's image tensors, made when somebody looks."""

    def __init__(self, make: Callable[[], Prefix]) -> None:
        self._make = make

    @cached_property
    def _images(self) -> Images:
        return self._make().images

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._images[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)


def picture_key(dialogue: Dialogue) -> PictureKey:
    """What names a dialogue's pictures, and what is shown of each."""
    return tuple((p.key, p.view) for p in dialogue.pictures)


def _later_images(encoder: Encoder, dialogue: Dialogue, number: int) -> Images:
    """The image tensors of all pictures but the first ``number``."""
    turns = dialogue.turns
    while number >= len(turns[0].pictures):
        number -= len(turns[0].pictures)
        turns = turns[1:]
    first = replace(turns[0], pictures=turns[0].pictures[number:])
    rest = replace(dialogue, turns=(first, *turns[1:]))
    return encoder.prefix(encoder.template.render(rest), rest).images


def _behind(entry: CachedPrefix, image: int) -> int:
    """The least tokens of an entry with all its pictures in them."""
    return len(entry.ids) - entry.ids[::-1].index(image)


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many items two sequences begin with in common."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))


def _shows(key: PictureKey, picture: str) -> bool:
    """Whether a picture of that key, marks of frame and window aside, is among those named."""
    of = bare(picture)
    return any(bare(one[0]) == of for one in key if isinstance(one, tuple))


def _begins(short: Sequence[int], long: Sequence[int]) -> bool:
    return len(short) <= len(long) and tuple(long[: len(short)]) == tuple(short)


def window_of(model: PreTrainedModel) -> int | None:
    """The least number of tokens that a layer sees; 0 if a layer keeps no keys and values at all.

    None where every layer sees everything.
    """
    layers = DynamicCache(config=model.config).layers
    if any(type(layer) not in {DynamicLayer, DynamicSlidingWindowLayer} for layer in layers):
        return 0
    windows = [layer.sliding_window for layer in layers if layer.is_sliding]
    return min(windows, default=None)


def layers_of(
    cache: Any, row: int, places: Sequence[int], fixed: frozenset[int]
) -> tuple[Layer, ...]:
    """One row's keys and values at its places; ``fixed`` layers do not grow with the text."""
    layers: list[Layer] = []
    for number, layer in enumerate(cache.layers):
        if not layer.is_initialized:
            layers.append(None)
            continue
        pair = (layer.keys[row : row + 1], layer.values[row : row + 1])
        if number in fixed:
            layers.append((pair[0].clone(), pair[1].clone()))
            continue
        index = torch.tensor(places, device=layer.keys.device)
        layers.append((pair[0].index_select(2, index), pair[1].index_select(2, index)))
    return tuple(layers)


def joined(
    model: PreTrainedModel, hits: Sequence[PrefixHit], fixed: frozenset[int]
) -> DynamicCache:
    """A cache of all rows, each one's places at the end, zeros before them."""
    longest = max(one.length for one in hits)
    cache = DynamicCache(config=model.config)
    for number, first in enumerate(hits[0].prefix.layers):
        if first is None:
            continue
        sides = []
        for side in (0, 1):
            rows = []
            for one in hits:
                layer = one.prefix.layers[number]
                assert layer is not None
                own = layer[side]
                if number not in fixed:
                    gap = longest - one.length
                    own = torch.nn.functional.pad(own[:, :, : one.length], (0, 0, gap, 0))
                rows.append(own)
            sides.append(torch.cat(rows))
        cache.update(sides[0], sides[1], number)
    return cache
