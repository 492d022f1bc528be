"""Exact search in blocks is that of one sorted row, ties included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vesalius.combine.retrieval import exact


@settings(deadline=None)
@given(
    st.integers(1, 60), st.integers(1, 5), st.integers(1, 60), st.integers(1, 9), st.integers(0, 9)
)
def test_blocks_change_nothing(count, queries, k, size, seed) -> None:
    k = min(k, count)
    rng = np.random.default_rng(seed)
    # few levels, so that many are equal
    vectors = rng.integers(-2, 3, (count, 4)).astype(np.float32)
    asked = rng.integers(-2, 3, (queries, 4)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "FEWEST", size)
        patch.setattr(exact, "MOST", size)
        cosines, places = exact.nearest(asked, vectors, k)
    whole = asked @ vectors.T
    order = np.argsort(-whole, axis=1, kind="stable")[:, :k]
    assert np.array_equal(places, order)
    assert np.array_equal(cosines, np.take_along_axis(whole, order, axis=1))
