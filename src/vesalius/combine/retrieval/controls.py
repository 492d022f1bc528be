"""The same search with its guard off, or with the neighbours of another case: what they are worth.

A model that scores higher without the guard than with it gains from leakage; one that scores the
same with another case's neighbours does not look at them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vesalius.combine.retrieval.index import Excluded, Index, as_set
from vesalius.combine.retrieval.stores import Vectors
from vesalius.models import Control

SEED = "vesalius neighbours 1"
"""Whose neighbours a case gets when they are swapped hangs on this, its group and its key alone."""


@dataclass(frozen=True, slots=True)
class Queries:
    """Unit vectors (n, d) to search with, and for each the groups and keys that may not come."""

    vectors: Vectors
    groups: Sequence[Excluded]
    keys: Sequence[Excluded]


def under(control: Control | None, index: Index, queries: Queries) -> Queries:
    """What is searched instead of ``queries`` under a control; the same under none.

    ``unguarded``: no group is left out; the picture itself is, by its key. ``swapped``: the vector
    of an indexed case takes a query's place, and both their patients and pictures are left out.
    Which one it is does not depend on the other queries, and comes again with every call.
    """
    if control is None or not len(queries.vectors):
        return queries
    if control == "unguarded":
        return replace(queries, groups=[""] * len(queries.groups))
    own = list(zip(queries.groups, queries.keys, strict=True))
    others = [_another(index, as_set(group), as_set(key)) for group, key in own]
    return Queries(
        index.store.take(np.array(others)),
        [
            as_set(group) | {index.items[at].group}
            for group, at in zip(queries.groups, others, strict=True)
        ],
        [as_set(key) | {index.items[at].key} for key, at in zip(queries.keys, others, strict=True)],
    )


def _another(index: Index, groups: Collection[str], keys: Collection[str]) -> int:
    """The place of a case of another patient and picture; of any where there is no other."""
    text = "\n".join([SEED, *sorted(groups), *sorted(keys)])
    first = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % len(index)
    for step in range(len(index)):
        at = (first + step) % len(index)
        if index.items[at].group not in groups and index.items[at].key not in keys:
            return at
    return first
