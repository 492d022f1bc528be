"""Copied n-grams: those of a neighbour that no reference has."""

from math import isnan

import numpy as np
import pytest

from vesalius.cases.prediction import Neighbour
from vesalius.evaluation.metrics import metrics

NEAR = (Neighbour("c1", 0.9, "p1", "A large mass in the left lung."), Neighbour("c2", 0.8))


def rate(n=4, *rows):
    metric = metrics["copy_rate"](n=n)
    table = metric.measure(rows)
    return float(metric.aggregate(table, np.ones((1, len(rows))))["copy_rate"][0])


@pytest.mark.parametrize(
    ("said", "gold", "wanted"),
    [
        # 4-grams "a large mass in", "large mass in the", "mass in the left", "in the left lung"
        ("a large mass in the left lung", "normal", 1),
        ("A LARGE MASS in the right lung", "normal", 0.5),  # the first two of four
        ("a large mass in the left lung", "a large mass in the left lung", 0),  # rightly so
        ("a large mass in the left lung", "a large mass in the right lung", 0.5),
        ("quite another thing is shown", "normal", 0),
    ],
)
def test_by_hand(said, gold, wanted, prediction):
    assert rate(4, prediction(said, gold, evidence=NEAR)) == wanted


def test_ngrams_are_pooled_over_answers(prediction):
    rows = [
        prediction("a large mass in the left lung", "normal", evidence=NEAR),  # 4 of 4
        prediction("no mass here now", "normal", name="b", evidence=NEAR),  # 0 of 1
    ]
    assert rate(4, *rows) == 4 / 5


def test_n_is_a_parameter(prediction):
    row = prediction("mass lung", "normal", evidence=NEAR)
    assert rate(1, row) == 1
    assert rate(2, row) == 0
    assert metrics["copy_rate"](n=1).protocol.parameters == {"n": 1}


@pytest.mark.parametrize("said", ["", "mass in the"])
def test_an_answer_of_fewer_words_is_not_measured(said, prediction):
    assert isnan(rate(4, prediction(said, "normal", evidence=NEAR)))


def test_without_neighbours_or_reference_it_is_not_measured(prediction):
    assert isnan(rate(4, prediction("a large mass in the lung", "normal")))
    assert isnan(rate(4, prediction("a large mass in the lung", evidence=NEAR)))


def test_ngrams_do_not_run_over_a_neighbours_lines(prediction):
    near = (Neighbour("c", 0.9, "p", "is there a\nlarge mass here"),)
    assert rate(4, prediction("there a large mass", "normal", evidence=near)) == 0
