"""How many neighbours each threshold leaves, and how similar they are: what to choose it by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

GRID = (0.75, 0.80, 0.85, 0.90, 0.95)
"""The thresholds of the published captioning system."""
WIDTH = 0.05
"""Of a bar of the histogram."""


@dataclass(frozen=True, slots=True)
class SweepRow:
    """At a threshold: the share of queries with a neighbour, and how many they have on average."""

    threshold: float
    queries: int
    with_neighbours: int
    neighbours: int

    @property
    def share(self) -> float:
        """Of the queries, those with at least one neighbour."""
        return self.with_neighbours / self.queries if self.queries else float("nan")

    @property
    def mean(self) -> float:
        """Neighbours a query."""
        return self.neighbours / self.queries if self.queries else float("nan")


@dataclass(frozen=True, slots=True)
class Bar:
    """Of all similarities those in [low, high); the last bar holds its upper end, too.

    ``nearest`` counts each query's most similar neighbour alone.
    """

    low: float
    high: float
    nearest: int
    all: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """Neighbours per threshold and the histogram of similarities, of ``queries`` pictures."""

    queries: int
    most: int
    """Neighbours that were looked for."""
    rows: tuple[SweepRow, ...]
    bars: tuple[Bar, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data, the rows with share and mean."""
        rows = [{**asdict(row), "share": row.share, "mean": row.mean} for row in self.rows]
        bars = [asdict(bar) for bar in self.bars]
        counts = {"queries": self.queries, "most": self.most}
        return {**counts, "thresholds": rows, "histogram": bars}


def sweep(
    similarities: Sequence[Sequence[float]], most: int, thresholds: Iterable[float] = GRID
) -> Sweep:
    """The sweep of each query's cosines, the highest first, at most ``most`` of them a query."""
    near = [list(own[:most]) for own in similarities]
    rows = tuple(
        SweepRow(
            threshold,
            len(near),
            sum(bool(own) and own[0] >= threshold for own in near),
            sum(value >= threshold for own in near for value in own),
        )
        for threshold in sorted(set(thresholds))
    )
    return Sweep(len(near), most, rows, _bars(near))


def _bars(near: Sequence[Sequence[float]]) -> tuple[Bar, ...]:
    values = np.array([value for own in near for value in own])
    if not len(values):
        return ()
    first = np.array([own[0] for own in near if own])
    # Whole steps of .05, so that two sweeps have the same bars.
    low, high = int(np.floor(values.min() / WIDTH)), round(1 / WIDTH)
    edges = np.round(np.arange(min(low, high - 1), high + 1) * WIDTH, 10)
    counts = zip(np.histogram(first, edges)[0], np.histogram(values, edges)[0], strict=True)
    ends = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    return tuple(Bar(*end, int(a), int(b)) for end, (a, b) in zip(ends, counts, strict=True))
