"""Raters beside each other and beside metrics, with the arithmetic."""

from __future__ import annotations

from math import isnan, sqrt, tanh

import pytest
from scipy.stats import norm

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.cases.rating import Rating
from vesalius.errors import RunError
from vesalius.evaluation.rank_correlation import (
    kendall,
    least_kendall,
    least_spearman,
    spearman,
)
from vesalius.evaluation.raters import adjudication_list, agreement_of, axis_tables, biases


def rated(rater: str, *grades: int | None, review: str = "") -> list[Rating]:
    return [
        Rating(review, f"q{i}", rater, {} if grade is None else {"accuracy": grade})
        for i, grade in enumerate(grades)
    ]


def test_a_kind_and_a_strict_rater() -> None:
    # b grades one above a everywhere; c could not judge one, and lies between them.
    ratings = rated("a", 1, 2, 3, 4) + rated("b", 2, 3, 4, 5) + rated("c", 2, 2, None, 4)
    (table,) = axis_tables(ratings, [])
    kind, middle, strict = biases(table, ratings)
    # b: 2 - 1.5, 3 - 2, 4 - 3, 5 - 4 = .5, 1, 1, 1; a: -1, -.5, -1, -.5; c: .5, -.5, -.5
    assert (kind.rater, kind.bias.value) == ("b", pytest.approx(3.5 / 4))
    assert (strict.rater, strict.bias.value) == ("a", pytest.approx(-3 / 4))
    assert (middle.bias.value, middle.rated, middle.could_not) == (pytest.approx(-0.5 / 3), 3, 1)
    assert kind.bias.low <= kind.bias.value <= kind.bias.high
    assert 0 < agreement_of(table).value < 1


def test_what_is_to_be_adjudicated() -> None:
    ratings = rated("a", 1, 2, 3, 1) + rated("b", 3, 3, None, 5)
    rows = adjudication_list(ratings)
    assert rows == [
        {"id": "q3", "review": "", "axis": "accuracy", "apart": 4, "grades": {"a": 1, "b": 5}},
        {"id": "q0", "review": "", "axis": "accuracy", "apart": 2, "grades": {"a": 1, "b": 3}},
    ]
    final = Rating("", "q3", "c", {"accuracy": 2}, adjudication=True)
    assert adjudication_list([*ratings, final]) == rows[1:]


def test_one_rater_has_nobody_to_agree_with() -> None:
    (table,) = axis_tables(rated("a", 1, 2, 3), [])
    assert isnan(agreement_of(table).value)
    (one,) = biases(table, rated("a", 1, 2, 3))
    assert isnan(one.bias.value)


def test_one_answer_in_two_reviews_is_two() -> None:
    ratings = rated("a", 1, 2, review="first") + rated("a", 5, 4, review="second")
    assert len(axis_tables(ratings, [])[0].answers) == 4


def test_ratings_of_something_else_are_refused() -> None:
    with pytest.raises(RunError, match="none of the 2 ratings is of an answer"):
        axis_tables(rated("a", 1, 2), [Prediction("x", Answer("ct"))])
    with pytest.raises(RunError, match="none of the 1 ratings has a grade"):
        axis_tables(rated("a", None), [])


def test_rank_correlations() -> None:
    import numpy as np

    pairs = np.array([[1.0, 1], [2, 3], [3, 2], [4, 4]])
    # 5 of 6 pairs concord, one does not: (5 - 1) / 6; rho = 1 - 6 * 2 / (4 * 15) = .8
    assert kendall(pairs) == pytest.approx(4 / 6)
    assert spearman(pairs) == pytest.approx(0.8)
    assert isnan(kendall(np.array([[1.0, 1], [1, 2]])))
    assert isnan(spearman(np.array([[1.0, 1], [1, 2]])))


def test_the_least_correlation() -> None:
    reach = norm.ppf(0.975) + norm.ppf(0.8)
    assert least_spearman(53) == pytest.approx(tanh(reach * sqrt(1.06 / 50)))
    assert isnan(least_spearman(3))
    assert least_kendall(54) == pytest.approx(tanh(reach * sqrt(0.437 / 50)))
    assert isnan(least_kendall(4))
