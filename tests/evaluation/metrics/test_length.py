"""Words of answers and references."""

import pytest

from vesalius.evaluation.evaluate import evaluate


def test_words(scored, prediction):
    """2 and 5 words ("T2-weighted" is two); references of 1, and of 3 and 5 (mean 4)."""
    rows = [
        prediction("left lung", "lung", name="a"),
        prediction("a T2-weighted axial image", "one two three", "a b c d e", name="b"),
    ]
    found = scored("length", *rows)
    assert found["length.reference_words"] == pytest.approx((1 + 4) / 2)
    assert found["length.words"] == pytest.approx((2 + 5) / 2)
    assert (
        evaluate(rows, ["length"], resamples=0).protocols["length"]["better"]["length.words"]
        == "neither"
    )
