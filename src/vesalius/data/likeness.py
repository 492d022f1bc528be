"""Which pictures of a data set are another's saved again, though their groups say otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.likeness import (
    AROUND,
    AROUND_OF_TWO,
    BLOCK,
    CELLS,
    NEIGHBOURS,
    SAME,
    SIMILAR,
    Plane,
    Thumbnail,
    cells,
    is_copy,
    likeness,
    structure,
    turned,
)

Scored = tuple[NDArray[np.intp], NDArray[np.intp], Plane]
"""Places of pairs, the first and the second of each, and how alike they are."""
SIGNS = (
    (1, 1, 1, 1, 1, 1, 1, 1),
    (1, 1, 1, 1, -1, -1, -1, -1),
    (1, -1, 1, -1, 1, -1, 1, -1),
    (1, -1, 1, -1, -1, 1, -1, 1),
)
"""Under each orientation, as :func:`vesalius.cases.likeness.turned` numbers them."""
LONE = (36, 28, 28, 36)
"""How wide the parts are that have these signs."""
TILE = 128
"""Columns of products that are worked on at once: they stay in a core's cache."""


def near_pairs(
    thumbnails: Sequence[Thumbnail], groups: Sequence[str], patients: Sequence[bool]
) -> Iterator[tuple[int, int, float]]:
    """(i, j, likeness), i < j, of pictures of different groups of which one is the other again.

    ``groups`` are compared with others only. Anatomy is alike, and where pictures of one kind are
    all alike a pair has to stand out among them; more so where both groups are patients that the
    data set names (``patients``).
    """
    if len(thumbnails) < 2:
        return
    stack = np.stack(thumbnails)
    _, of = np.unique(np.asarray(groups), return_inverse=True)
    neighbours: list[dict[int, float]] = [{} for _ in thumbnails]
    for first, second, turns in _candidates(stack, of):
        pairs = list(zip(first.tolist(), second.tolist(), strict=True))
        # What an earlier block found of a pair is its likeness from the other side, too.
        new = np.array([i not in neighbours[j] for i, j in pairs], bool)
        values = likeness(stack, first[new], second[new], turns[new]).tolist()
        for (i, j), value in zip(compress(pairs, new), values, strict=True):
            neighbours[i][j] = neighbours[j][i] = value
    around = _around(neighbours)
    for i, own in enumerate(neighbours):
        for j, value in sorted(own.items()):
            of_two = patients[i] and patients[j]
            usual = min(around[i][of_two], around[j][of_two])
            if i < j and is_copy(value, usual, of_two=of_two):
                yield i, j, value


def _around(neighbours: Sequence[Mapping[int, float]]) -> list[tuple[float, float]]:
    """How alike each picture is to the ones around it anyway: ``AROUND`` and ``AROUND_OF_TWO``.

    Pictures that are the same count once: a slice that was saved ten times has no more company.
    """
    same = list(range(len(neighbours)))

    def top(i: int) -> int:
        while same[i] != i:
            same[i] = i = same[same[i]]
        return i

    for i, own in enumerate(neighbours):
        for j, value in own.items():
            if value >= SAME:
                same[top(i)] = top(j)
    usual = []
    for own in neighbours:
        nearest: dict[int, float] = {}
        for j, value in own.items():
            nearest[top(j)] = max(value, nearest.get(top(j), 0.0))
        most = [*sorted(nearest.values(), reverse=True), *([0.0] * AROUND)]
        usual.append((most[AROUND - 1], most[AROUND_OF_TWO - 1]))
    return usual


def _candidates(
    stack: NDArray[np.uint8], groups: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]]:
    """For blocks of pictures, each with its most similar ones of other groups, and their turns."""
    starts = range(0, len(stack), BLOCK)
    small = np.concatenate([cells(structure(stack[at : at + BLOCK])[0]) for at in starts])
    flat = small.reshape(len(small), -1)
    row, column = _nearest(flat @ symmetric_parts(), groups)
    for top in starts:
        of = slice(*np.searchsorted(row, (top, top + BLOCK)))
        first, second = row[of], column[of]
        # The other one is turned towards this one: turning this one back is the same.
        unturned = (_unturned(small[top : top + BLOCK], turn) for turn in range(8))
        by_turn = [(one[first - top] * flat[second]).sum(axis=1) for one in unturned]
        yield first, second, np.abs(by_turn).argmax(axis=0)


def _nearest(parts: Plane, groups: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each picture's most similar ones of other groups, in order: both places of each pair.

    Every two blocks are compared once, for both; what is no longer among the highest is let go
    before it takes more than a few times the place of all that is.
    """
    most = min(NEIGHBOURS, len(parts) - 1)
    pending: list[Scored] = []
    for top in range(0, len(parts), BLOCK):
        best = most_alike(parts[top : top + BLOCK], parts[top:])
        best[groups[top : top + BLOCK, None] == groups[None, top:]] = 0
        row, column = _highest(best, most)
        pending.append((top + row, top + column, best[row, column]))
        column, row = _highest(best[:, BLOCK:].T, most)
        pending.append((top + BLOCK + column, top + row, best[row, BLOCK + column]))
        if sum(len(one) for one, _, _ in pending) > 2 * most * (len(parts) + BLOCK):
            pending = [_most(most, *pending)]
    row, column, _ = _most(most, *pending)
    return row, column


def _most(most: int, *pairs: Scored) -> Scored:
    """Of scored pairs, the ``most`` highest of each first place."""
    row, column, value = (np.concatenate(one) for one in zip(*pairs, strict=True))
    order = np.lexsort((column, -value, row))
    within = np.arange(len(row)) - np.searchsorted(row[order], row[order])
    kept = order[within < most]
    return row[kept], column[kept], value[kept]


def _highest(best: Plane, most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each row's ``most`` highest values from ``SIMILAR`` on."""
    known = best >= SIMILAR
    full = np.flatnonzero(known.sum(axis=1) > most)
    if len(full):
        nearest = np.argpartition(-best[full], most - 1, axis=1)[:, :most]
        known[full] = False
        known[full[:, None], nearest] = True
    row, column = np.nonzero(known)
    return row, column


def most_alike(block: Plane, parts: Plane) -> Plane:
    """The largest absolute product [b, n] of planes over the eight orientations, in their parts.

    A plane's product with a turned one is that of their lone parts, in signs of the turn, and that
    of their paired parts, exchanged and in signs; a half turn changes the sign of the latter. So
    eight products of parts serve all orientations.
    """
    edges = np.cumsum((*LONE, (CELLS**2 - sum(LONE)) // 2))
    *lone, one, two = np.split(block, edges, axis=1)
    best = np.empty((len(block), len(parts)), np.float32)
    for left in range(0, len(parts), TILE):
        *others, a, b = np.split(parts[left : left + TILE].T, edges)
        first, second, third, fourth = (x @ y for x, y in zip(lone, others, strict=True))
        above, below = (first + second, first - second), (third + fourth, third - fourth)
        turns = (  # 0, 4, 1 and 5: of SIGNS, and of what they make of the pair
            (above[0] + below[0], (straight := one @ a) + (other := two @ b)),
            (above[1] + below[1], straight - other),
            (above[0] - below[0], (crossed := two @ a) - (back := one @ b)),
            (above[1] - below[1], crossed + back),
        )
        p, q, r, s = (np.abs(signed) + np.abs(pair) for signed, pair in turns)
        np.maximum(np.maximum(p, q), np.maximum(r, s), out=best[:, left : left + TILE])
    return best


@lru_cache(maxsize=1)
def symmetric_parts() -> Plane:
    """An orthonormal basis [256, 256] of planes that fall into parts under the eight orientations.

    Four parts (36, 28, 28 and 36 wide) keep or change their sign under quarter turns and mirroring;
    two of 64 are turned into one another. These are the irreducible representations of the
    symmetries of the square (J.-P. Serre, Linear Representations of Finite Groups, 1977, 5.3).
    """
    planes = np.eye(CELLS * CELLS).reshape(-1, CELLS, CELLS)
    turns = [turned(planes, turn).reshape(CELLS**2, CELLS**2).T for turn in range(8)]
    parts = [
        _range(np.sum([sign * turn for sign, turn in zip(signs, turns, strict=True)], axis=0) / 8)
        for signs in SIGNS
    ]
    # What no sign describes is turned by a half turn into its negative; of it what mirroring keeps.
    pair = _range((turns[0] - turns[2]) @ (turns[0] + turns[4]) / 4)
    basis = np.concatenate([*parts, pair, turns[1] @ pair], axis=1)
    return np.ascontiguousarray(basis, dtype=np.float32)


def _range(projection: NDArray[np.float64]) -> NDArray[np.float64]:
    """An orthonormal basis of what a projection leaves as it is, in columns."""
    values, vectors = np.linalg.eigh((projection + projection.T) / 2)
    columns: NDArray[np.float64] = vectors[:, values > 0.5]
    return columns


def _unturned(block: Plane, turn: int) -> Plane:
    back = np.rot90(block, -(turn % 4), axes=(-2, -1))
    mirrored = back[..., ::-1] if turn >= 4 else back
    return np.ascontiguousarray(mirrored).reshape(len(block), -1)
