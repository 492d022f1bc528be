"""The nearest of many vectors, all of them compared: matrix products over a mapped file.

A block of cosines at a time, of which only those that beat a query's k-th are looked at again: no
copy of the vectors, no sorting of whole rows, and memory of some 20 MB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CELLS = 4_000_000
"""Cosines that are in memory at a time."""
FEWEST, MOST = 2048, 65536
"""Vectors of a block."""

Cosines = NDArray[np.float32]
Places = NDArray[np.int64]


def nearest(queries: Cosines, vectors: Cosines, k: int) -> tuple[Cosines, Places]:
    """Inner products and places (q, k), the highest first, equal ones in order; k at most n."""
    count = len(queries)
    size = min(MOST, max(FEWEST, CELLS // max(1, count)))
    # The first block only sets the bar, so it is small.
    first = min(len(vectors), max(k, FEWEST))
    best, places = _top(queries @ vectors[:first].T, k)
    for start in range(first, len(vectors), size):
        cosines = queries @ vectors[start : start + size].T
        better = np.flatnonzero(cosines > best[:, -1:])  # eight times as fast as two-dimensional
        if not len(better):
            continue
        rows, columns = np.divmod(better, cosines.shape[1])
        some, at = np.unique(rows, return_index=True)
        for row, own in zip(some, np.split(columns, at[1:]), strict=True):
            values = np.concatenate([best[row], cosines[row, own]])
            order = np.argsort(-values, kind="stable")[:k]
            places[row] = np.concatenate([places[row], own + start])[order]
            best[row] = values[order]
    return best, places


def _top(cosines: Cosines, k: int) -> tuple[Cosines, Places]:
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(cosines, order, axis=1), order.astype(np.int64)
