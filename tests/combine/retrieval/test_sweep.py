"""Neighbours per threshold and their histogram, with the arithmetic written out."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from vesalius.combine.retrieval.sweep import GRID, sweep

NEAR = [[0.96, 0.91, 0.80], [0.80, 0.72], [], [0.50]]


def test_neighbours_by_threshold() -> None:
    result = sweep(NEAR, 2, [0.75, 0.9, 0.9])
    low, high = result.rows
    assert (low.threshold, high.threshold) == (0.75, 0.9)
    # .96 .91 | .80 .72 | | .50, of two neighbours each
    assert (low.with_neighbours, low.neighbours) == (2, 3)
    assert (low.share, low.mean) == (0.5, 0.75)
    assert (high.with_neighbours, high.neighbours) == (1, 2)
    assert (result.queries, result.most) == (4, 2)


def test_the_histogram_counts_the_nearest_and_all() -> None:
    bars = {round(bar.low, 2): (bar.nearest, bar.all) for bar in sweep(NEAR, 3).bars}
    assert bars[0.95] == (1, 1)
    assert bars[0.9] == (0, 1)
    assert bars[0.8] == (1, 2)
    assert bars[0.7] == (0, 1)
    assert bars[0.5] == (1, 1)
    assert min(bars) == 0.5
    assert max(bars) == 0.95


def test_of_no_query_there_is_nothing_to_share() -> None:
    empty = sweep([], 3)
    assert math.isnan(empty.rows[0].share)
    assert empty.bars == ()
    assert [row.threshold for row in sweep([[1.0]], 1).rows] == list(GRID)
    assert sweep([[1.0]], 1).bars[-1].nearest == 1  # its upper end is in the last bar


@given(st.lists(st.lists(st.floats(-1, 1), max_size=6), max_size=12), st.integers(1, 6))
def test_a_higher_threshold_leaves_no_more_and_bars_count_all(similarities, most) -> None:
    ordered = [sorted(own, reverse=True) for own in similarities]
    result = sweep(ordered, most)
    counts = [row.neighbours for row in result.rows]
    assert counts == sorted(counts, reverse=True)
    assert sum(bar.all for bar in result.bars) == sum(min(most, len(own)) for own in ordered)
    assert sum(bar.nearest for bar in result.bars) == sum(bool(own) for own in ordered)
