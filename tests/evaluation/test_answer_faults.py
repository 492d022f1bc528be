"""Labels that models contradict with confidence; each figure with its arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from vesalius.evaluation.answer_faults import answer_faults


def likely(*rows):
    return np.array(rows, dtype=np.float64)


def test_a_flipped_label_is_found_and_named():
    # Ten of label 0 at .9, nine of label 1 at .9, and one given 1 that looks like 0.
    probabilities = likely(*[[0.9, 0.1]] * 10, *[[0.1, 0.9]] * 9, [0.95, 0.05])
    given = np.array([0] * 10 + [1] * 10)
    doubt = answer_faults(probabilities, given, 0.7)
    # Label 0 is believed from .9 on, the mean of its own rows; margin .95 - .05.
    assert doubt.rows.tolist() == [19]
    assert doubt.rather.tolist() == [0]
    assert doubt.margin.tolist() == [pytest.approx(0.9)]
    assert doubt.judged.size == 20


def test_an_honest_rarity_is_not_a_fault():
    # A model of priors alone: all rows .9 for label 0. It cannot tell label 1 (recall 0), so the
    # five rows of label 1 are not judged, and are not in doubt.
    given = np.array([0] * 45 + [1] * 5)
    doubt = answer_faults(likely(*[[0.9, 0.1]] * 50), given, 0.7)
    assert (doubt.rows.tolist(), doubt.judged.size) == ([], 45)


def test_what_models_cannot_tell_they_cannot_contradict():
    rng = np.random.default_rng(0)
    noise = rng.dirichlet([0.3, 0.3], 200)
    given = rng.integers(0, 2, 200)
    assert answer_faults(noise, given, 0.7).judged.size == 0


def test_rare_labels_are_neither_doubted_nor_preferred():
    probabilities = likely(*[[0.9, 0.1, 0.0]] * 8, *[[0.1, 0.9, 0.0]] * 8, *[[0, 0, 1.0]] * 4)
    given = np.array([0] * 8 + [1] * 8 + [2] * 3 + [0])
    doubt = answer_faults(probabilities, given, 0.7)
    assert doubt.judged.size == 17  # the three of label 2 are too few
    assert doubt.rows.tolist() == []  # and the one that looks like label 2 is not said to be it


def test_nothing_is_judged_of_nothing():
    assert answer_faults(np.zeros((0, 2)), np.zeros(0, np.intp), 0.7).judged.size == 0
