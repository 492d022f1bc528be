"""Softmax regression on named features, against a closed form and by its own gradient."""

from __future__ import annotations

import numpy as np
import pytest

from vesalius.models.sparse_softmax import SparseSoftmax


def test_without_features_the_intercept_is_the_share_of_each_label():
    # Nothing but the intercept, which bears no penalty: softmax(b) is 3/4 and 1/4.
    model = SparseSoftmax.fit([[]] * 4, ["a", "a", "a", "b"])
    assert model.labels == ("a", "b")
    assert model.probabilities([[]])[0] == pytest.approx([0.75, 0.25], abs=1e-4)


def test_words_that_tell_labels_are_learnt():
    features = [["left"], ["right"]] * 10
    model = SparseSoftmax.fit(features, ["l", "r"] * 10)
    assert model.predict([["left"], ["right"], ["left", "unknown"]]) == ["l", "r", "l"]
    assert model.probabilities([["left"]]).sum() == pytest.approx(1)


def test_a_word_of_one_row_is_left_out():
    model = SparseSoftmax.fit([["often", "once"], ["often"]], ["a", "b"])
    assert list(model.vocabulary) == ["often"]


def test_numbers_are_standardised_by_what_was_fitted():
    numbers = np.array([[1000.0], [1001.0]] * 10)
    model = SparseSoftmax.fit([[]] * 20, ["low", "high"] * 10, numbers)
    assert model.predict([[], []], np.array([[999.0], [1002.0]])) == ["low", "high"]


def test_a_larger_penalty_keeps_probabilities_nearer_to_the_shares():
    features, labels = [["x"], ["y"]] * 10, ["a", "b"] * 10
    bold, shy = (
        SparseSoftmax.fit(features, labels, penalty=p).probabilities([["x"]])[0, 0]
        for p in (0.1, 100.0)
    )
    assert 0.5 < shy < 0.6 < bold


def test_one_label_is_certain():
    assert SparseSoftmax.fit([["x"]] * 3, ["a"] * 3).probabilities([["y"]]).tolist() == [[1.0]]


def test_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    words = np.array([f"w{n}" for n in range(12)])
    rows = [sorted(rng.choice(words, 4, replace=False).tolist()) for _ in range(150)]
    labels = [str((hash_of(row) + int(rng.integers(0, 2))) % 3) for row in rows]
    model = SparseSoftmax.fit(rows, labels)
    dense = np.array([[float(w in row) for w in model.vocabulary] for row in rows])
    theirs = linear_model.LogisticRegression(C=1.0, max_iter=1000).fit(dense, labels)
    ours = model.probabilities(rows)
    assert np.abs(ours - theirs.predict_proba(dense)).max() < 0.02


def hash_of(row):
    return sum(int(word[1:]) for word in row)
