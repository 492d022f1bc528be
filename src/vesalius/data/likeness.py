"""Which pictures of a data set are another's saved again, though their groups say otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.likeness import (
    AROUND,
    AROUND_OF_TWO,
    BLOCK,
    NEIGHBOURS,
    SAME,
    SIMILAR,
    Plane,
    Thumbnail,
    cells,
    is_copy,
    likeness,
    structure,
)


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
    most = min(NEIGHBOURS, len(stack) - 1)
    for top in range(0, len(stack), BLOCK):
        block = small[top : top + BLOCK]
        # The other one is turned towards this one: turning this one back is the same.
        unturned = [_unturned(block, turn) for turn in range(8)]
        best = np.zeros((len(block), len(flat)), np.float32)
        similar = np.empty_like(best)
        for one in unturned:
            np.matmul(one, flat.T, out=similar)
            np.maximum(best, np.abs(similar, out=similar), out=best)
        best[groups[top : top + BLOCK, None] == groups[None]] = 0
        nearest = np.argpartition(-best, most - 1, axis=1)[:, :most]
        row = np.repeat(np.arange(len(block)), most)
        column = nearest.ravel()
        known = best[row, column] >= SIMILAR
        row, column = row[known], column[known]
        by_turn = [(one[row] * flat[column]).sum(axis=1) for one in unturned]
        yield top + row, column, np.abs(by_turn).argmax(axis=0)


def _unturned(block: Plane, turn: int) -> Plane:
    back = np.rot90(block, -(turn % 4), axes=(-2, -1))
    mirrored = back[..., ::-1] if turn >= 4 else back
    return np.ascontiguousarray(mirrored).reshape(len(block), -1)
