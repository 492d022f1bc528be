"""From probabilities to concepts: thresholds, the interval of their number, the rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.errors import RunError
from vesalius.models.tagging.choosing import (
    ConceptRule,
    CountInterval,
    fit_rule,
    image_f1,
    label_thresholds,
    one_threshold,
)


def test_f1_is_of_an_image_and_both_empty_is_one() -> None:
    chosen = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]], bool)
    truth = np.array([[1, 0, 0], [0, 0, 0], [1, 0, 0]], bool)
    # 2 * 1 / (2 + 1), 1 by definition, 0 / (1 + 1)
    assert image_f1(chosen, truth) == pytest.approx([2 / 3, 1.0, 0.0])


def test_one_threshold_parts_what_can_be_parted() -> None:
    shares = np.array([[0.9, 0.2], [0.1, 0.8]], np.float32)
    assert 0.2 < one_threshold(shares, np.eye(2, dtype=bool)) < 0.8


def test_each_label_gets_the_threshold_that_suits_it() -> None:
    # The first label's probabilities are right above .7, the second's above .15.
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.3], [0.5, 0.05]], np.float32)
    truth = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], bool)
    thresholds = label_thresholds(shares, truth, floor=0.5)
    assert image_f1(shares >= thresholds, truth).mean() == 1.0
    assert image_f1(shares >= one_threshold(shares, truth), truth).mean() < 1.0


def test_a_label_without_validation_positives_has_the_floor() -> None:
    shares = np.array([[0.9, 0.4], [0.1, 0.4]], np.float32)
    truth = np.array([[1, 0], [0, 0]], bool)
    assert label_thresholds(shares, truth, floor=0.7)[1] >= 0.7


def test_the_interval_is_the_conformal_quantile_of_held_out_errors() -> None:
    totals = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 4.0])
    numbers = np.array([1.0, 2.0, 3.0, 1.0, 3.0, 5.0, 7.0])
    held_out = np.array([0, 0, 0, 1, 1, 1, 1], bool)
    # number = total; errors 0, 1, 2, 3; rank ceil(5 * .6) = 3, so the radius is 2
    count = CountInterval.fitted(totals, numbers, held_out, level=0.6)
    assert (count.intercept, count.slope) == pytest.approx((0.0, 1.0), abs=1e-9)
    assert count.radius == pytest.approx(2.0)
    assert count.bounds(5.0) == (3, 7)
    # rank ceil(5 * .9) = 5 of four errors: nothing can be promised
    assert math.isinf(CountInterval.fitted(totals, numbers, held_out, level=0.9).radius)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(60):
        totals = rng.uniform(0, 12, 300)
        numbers = np.clip(np.rint(totals + rng.normal(0, 2, 300)), 0, None)
        held_out = np.arange(300) % 2 == 1
        count = CountInterval.fitted(totals[:200], numbers[:200], held_out[:200], level=0.8)
        bounds = np.array([count.bounds(total) for total in totals[200:]])
        inside = (bounds[:, 0] <= numbers[200:]) & (numbers[200:] <= bounds[:, 1])
        covered.append(inside.mean())
    assert 0.78 <= np.mean(covered) <= 0.85  # .8, and a little for whole numbers


SHARES = np.array([0.9, 0.8, 0.3, 0.2, 0.1], np.float32)


@pytest.mark.parametrize(
    ("radius", "chosen"),
    [
        (math.inf, [0, 1]),  # nothing is promised: the thresholds decide
        (0.5, [0, 1]),
        (0.0, []),  # 2.3 is no whole number: the bounds are 3 and 3
    ],
)
def test_bounds_without_room_add(radius: float, chosen: list[int]) -> None:
    rule = ConceptRule(np.full(5, 0.5), count=CountInterval(0.0, 1.0, radius))
    assert rule.choose(SHARES) == (chosen or [0, 1, 2])


def test_too_few_are_added_and_too_many_pruned_by_probability() -> None:
    thresholds = np.array([0.95, 0.5, 0.1, 0.1, 0.05])
    assert ConceptRule(thresholds).choose(SHARES) == [1, 2, 3, 4]
    assert ConceptRule(thresholds, count=CountInterval(2, 0, 0)).choose(SHARES) == [1, 2]
    assert ConceptRule(thresholds, count=CountInterval(5, 0, 0)).choose(SHARES) == [0, 1, 2, 3, 4]
    assert ConceptRule(thresholds, most=1).choose(SHARES) == [1]


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=150),
    st.integers(1, 100),
    st.floats(0, 1),
    st.integers(0, 200),
)
def test_concepts_are_never_listed_twice_nor_too_many(
    shares: list[float], most: int, threshold: float, number: int
) -> None:
    rule = ConceptRule(np.full(len(shares), threshold), most, CountInterval(number, 0.0, 1.0))
    chosen = rule.choose(np.array(shares, np.float32))
    assert len(chosen) == len(set(chosen)) <= min(most, len(shares))
    assert [shares[at] for at in chosen] == sorted((shares[at] for at in chosen), reverse=True)


def test_a_rule_is_read_as_it_was_written() -> None:
    shares = np.array([[0.9, 0.2], [0.1, 0.8]] * 30, np.float32)
    truth = np.array([[1, 0], [0, 1]] * 30, bool)
    rule = fit_rule(shares, truth, [str(n) for n in range(60)], floor=0.5, level=0.9, most=7)
    again = ConceptRule.read(rule.table(), 2, "here")
    assert again.thresholds.tolist() == rule.thresholds.tolist()
    assert (again.most, again.count) == (7, rule.count)
    with pytest.raises(RunError, match="thresholds for 2 of 3 concepts"):
        ConceptRule.read(rule.table(), 3, "here")
    with pytest.raises(RunError, match="not a rule"):
        ConceptRule.read(None, 3, "here")


def test_where_all_images_are_held_out_there_is_no_line_and_the_thresholds_decide_alone() -> None:
    totals, numbers = np.full(30, 5.0), np.ones(30)
    count = CountInterval.fitted(totals, numbers, np.ones(30, np.bool_), level=0.9)
    assert count.bounds(5.0) == (0, 100)
