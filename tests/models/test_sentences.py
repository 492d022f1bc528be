from __future__ import annotations

import numpy as np
import pytest

from vesalius.models.sentences import SentenceEncoder


@pytest.fixture(scope="module")
def minilm():
    return SentenceEncoder()


def test_sentence_vectors_know_meaning(minilm) -> None:
    plane, view, organ = minilm.embed(
        ["in which plane is it?", "which plane is shown?", "is the liver enlarged?"]
    )
    assert plane.shape == (384,)
    assert plane @ view > 0.7 > plane @ organ
    assert np.isclose(np.linalg.norm(plane), 1, atol=1e-5)


def test_sentences_do_not_depend_on_their_batch(minilm) -> None:
    long = "word " * 400
    together = minilm.embed(["short", long, "", "short"])
    assert np.array_equal(together[0], together[3])
    assert np.allclose(
        SentenceEncoder(batch=1).embed(["short", "", long]), together[[0, 2, 1]], atol=1e-5
    )
    assert minilm.embed([]).shape == (0, 0)
    assert np.isfinite(together).all()
