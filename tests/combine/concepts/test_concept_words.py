"""How far a text says what its concepts are called."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vesalius.combine.concepts.words import UNSEEN, ConceptWords, medians, penalty

AXES = {"pleural": (1, 0, 0), "effusion": (0, 1, 0), "fluid": (0, 0.8, 0.6), "the": (0, 0, 1)}


class Axes:
    """Words with vectors that a test can reckon with; how often each was encoded."""

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def __call__(self, words: Sequence[str]) -> np.ndarray:
        self.encoded += words
        return np.array([AXES.get(word, (0, 0, 1)) for word in words], np.float32)


def test_the_largest_similarity_of_a_word_counts() -> None:
    measure = ConceptWords(Axes())
    # the name's vector is (1, 1, 0) / sqrt 2: effusion .71, fluid .8 / sqrt 2 = .57, "the" 0
    near = measure.similarities(["the", "fluid"], ["Pleural effusion", "fluid"])
    assert near == pytest.approx([0.8 / 2**0.5, 1.0])
    assert measure.similarities(["effusion", "fluid"], ["Pleural effusion"])[0] == pytest.approx(
        1 / 2**0.5
    )
    assert measure.similarities([], ["fluid"]).tolist() == [0.0]
    assert measure.similarities(["fluid"], []).tolist() == []


def test_a_word_is_encoded_once() -> None:
    axes = Axes()
    measure = ConceptWords(axes)
    for _ in range(3):
        measure.similarities(["fluid", "the", "fluid"], ["effusion"])
    assert sorted(axes.encoded) == ["effusion", "fluid", "the"]


def test_medians_are_over_the_captions_whose_case_has_the_concept() -> None:
    captions = [
        ("effusion", ["effusion"]),  # 1
        ("the fluid", ["effusion"]),  # .8
        ("the", ["effusion"]),  # 0
        ("effusion", []),  # of another case: does not count
    ]
    assert medians(captions, ConceptWords(Axes())) == {"effusion": pytest.approx(0.8)}


def test_the_penalty_is_the_squared_distance_from_the_median() -> None:
    near = np.array([1.0, 0.2], np.float32)
    # (1 - .8)^2 + (.2 - .5)^2: the second has no median
    assert penalty(near, ["a", "b"], {"a": 0.8}) == pytest.approx(0.04 + (0.2 - UNSEEN) ** 2)
    assert penalty(near[:0], [], {}) == 0.0
