"""Training items: the dialogues that share a picture, as rows, and rows as batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from torch.utils.data import Dataset

from vesalius.cases.dialogue import Dialogue
from vesalius.models.generative.network import Network
from vesalius.models.generative.rows.encoder import Encoder, Prefixes
from vesalius.models.generative.rows.layouts import Layout
from vesalius.models.generative.rows.rows import Row
from vesalius.models.generative.rows.sharing import (
    by_picture,
    learns_before_pictures,
    rows_of,
    shared_key,
)

ROWS_MIB = 512
"""What a process remembers of training rows: 4,700 pictures of 96 x 96, 870 of 224 x 224."""
TOKEN_BYTES = 80
"""Of a token and its label as Python numbers, about."""


class Groups(Dataset[list[Row]]):
    """Training items: the dialogues that share a picture, read and tokenised when asked for.

    What fits into :data:`ROWS_MIB` is read once, not once an epoch. ``prefixes`` as in
    :func:`rows_of`. ``unshared`` counts dialogues that stand in rows of their own although rows are
    shared, since they show pictures after a reply.
    """

    def __init__(
        self,
        dialogues: Sequence[Dialogue],
        encoder: Encoder,
        *,
        share: bool,
        per_row: int,
        max_length: int,
        prefixes: Prefixes | None = None,
    ) -> None:
        closed = [d.closed() for d in dialogues]
        self.unshared = sum(map(learns_before_pictures, closed)) if share else 0
        self._groups = list(_grouped(closed, per_row)) if share else [[d] for d in closed]
        self._rows = partial(
            rows_of, encoder=encoder, share=share, max_length=max_length, prefixes=prefixes
        )
        self._memory: dict[int, list[Row]] = {}
        self._room = ROWS_MIB * 2**20

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, index: int) -> list[Row]:
        if index in self._memory:
            return self._memory[index]
        rows = list(self._rows(self._groups[index]))
        size = sum(map(_size, rows))
        if size <= self._room:
            self._room -= size
            self._memory[index] = rows
        return rows


def collator(network: Network) -> Callable[[Sequence[list[Row]]], dict[str, Any]]:
    """The batch function of a Trainer over :class:`Groups`."""
    return partial(_collate, layout=network.layout, pad=network.stops[0])


def _collate(items: Sequence[list[Row]], *, layout: Layout, pad: int) -> dict[str, Any]:
    rows = [row for rows in items for row in rows]
    ids = [segment.dialogue for row in rows for segment in row.segments]
    tokens = sum(row.length for row in rows)
    return {**layout.collate(rows, pad=pad), "ids": ids, "tokens": tokens}


def _size(row: Row) -> int:
    """About the bytes that a row takes."""
    images = sum(tensor.nbytes for tensor in row.prefix.images.values())
    return images + TOKEN_BYTES * row.length


def _grouped(dialogues: Sequence[Dialogue], per_row: int) -> Iterator[list[Dialogue]]:
    group: list[Dialogue] = []
    for place in by_picture(dialogues):
        dialogue = dialogues[place]
        if group and (shared_key(group[0]) != shared_key(dialogue) or len(group) == per_row):
            yield group
            group = []
        group.append(dialogue)
    if group:
        yield group
