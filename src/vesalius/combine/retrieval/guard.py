"""Neighbours that are never the picture itself, saved again or not, nor of its patient.

By group and key where they are known. Beyond that by what is seen: a cosine that only the same
picture has, and the likeness of structures (:mod:`vesalius.cases.likeness`), of which only the most
similar hits are compared. What is known again takes its whole patient along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from vesalius.cases.likeness import AROUND, NEIGHBOURS, Packed, is_copy, packed_likeness
from vesalius.combine.retrieval.controls import Queries
from vesalius.combine.retrieval.index import Hits, Index

SAME = 0.9999
"""From this cosine similarity on, two pictures are taken for the same one.

EfficientNet-lite0 gives .9999998 and more to a picture that was re-encoded without loss, .9991 to
.9999 after JPEG at quality 95, .98 and more at 75; two different phantoms at most .991, two
different training pictures of VQA-Med 2019 at most .94.
"""
WIDER = 4
"""How many times as many hits are looked at where the first ones do not suffice."""

T = TypeVar("T")
Choose = Callable[[int, Iterable[tuple[int, float]]], tuple[T, bool]]
"""Of a query (by its place) and its allowed hits, what is taken, and whether it suffices."""


class Guard:
    """Leaves out of hits what is the query's own picture, and all of that one's patient.

    ``structures`` are the queries', packed (q, 48, 48); None, or an index that has none: only the
    cosine tells.
    """

    def __init__(self, index: Index, structures: Packed | None) -> None:
        self._index = index
        self._structures = structures if index.structures is not None else None

    def allowed(self, row: int, hits: Sequence[tuple[int, float]]) -> Iterator[tuple[int, float]]:
        """The hits of a query that may be its neighbours; as many are compared as are taken."""
        barred: set[str] = set()
        usual: float | None = None
        for first in range(0, len(hits), NEIGHBOURS):
            part = hits[first : first + NEIGHBOURS]
            values = self._likeness(row, [at for at, _ in part])
            if usual is None:  # how alike pictures of this kind are anyway
                around = sorted(values, reverse=True)
                usual = around[AROUND - 1] if len(around) >= AROUND else 0.0
            # As of two patients, whoever they are: of the 360 nearest phantoms of 30 others that
            # takes 4 for copies (.70 takes 30), and the least copy of the audit's tests has .927.
            copies = {
                at
                for (at, similarity), value in zip(part, values, strict=True)
                if similarity >= SAME or is_copy(value, usual, of_two=True)
            }
            barred |= {self._index.items[at].group for at in copies} - {""}
            for at, similarity in part:
                if at not in copies and self._index.items[at].group not in barred:
                    yield at, similarity

    def _likeness(self, row: int, places: Sequence[int]) -> list[float]:
        if self._structures is None or self._index.structures is None:
            return [0.0] * len(places)
        others = np.asarray(self._index.structures[np.array(places)])
        ours = np.broadcast_to(self._structures[row], others.shape)
        return [float(value) for value in packed_likeness(ours, others)]


def unguarded(row: int, hits: Sequence[tuple[int, float]]) -> Iterable[tuple[int, float]]:
    """All hits, as they are."""
    del row
    return hits


def walk(
    index: Index,
    queries: Queries,
    reach: int,
    choose: Choose[T],
    *,
    allowed: Callable[[int, Hits], Iterable[tuple[int, float]]] = unguarded,
) -> list[T]:
    """What ``choose`` takes of each query's allowed hits, the most similar first.

    ``reach`` hits are looked at first, then four times as many, until what is taken suffices or
    the index ends: a picture that was saved a hundred times does not leave its query with less.
    """
    taken: dict[int, T] = {}
    rows = list(range(len(queries.vectors)))
    reach = min(reach, len(index))
    while rows:
        hits = index.search(
            queries.vectors[rows],
            reach,
            exclude_groups=[queries.groups[row] for row in rows],
            exclude_keys=[queries.keys[row] for row in rows],
        )
        again = []
        for row, own in zip(rows, hits, strict=True):
            taken[row], suffices = choose(row, allowed(row, own))
            if not suffices and len(own) == reach < len(index):
                again.append(row)
        rows, reach = again, min(len(index), reach * WIDER)
    return [taken[row] for row in range(len(queries.vectors))]
