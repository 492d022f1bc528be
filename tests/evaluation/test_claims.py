"""Outcomes of claims, from intervals worked by hand."""

from math import nan

import pytest

from vesalius.evaluation.claims import Verdict, outcome
from vesalius.evaluation.differences import Difference
from vesalius.recipe import Claim


def gap(low: float, high: float, first: float = 0.5) -> Difference:
    middle = (low + high) / 2
    ends = (first, first + middle, middle, low, high)
    return Difference("squad.em", "squad", "all", *ends, nan, nan, nan, n=10, groups=5)


@pytest.mark.parametrize(
    ("low", "high", "better", "wanted"),
    [
        (0.01, 0.2, "higher", "shown"),
        (-0.01, 0.2, "higher", "not shown"),
        (-0.2, -0.01, "higher", "refuted"),
        (0.0, 0.0, "higher", "not shown"),  # the same answers: neither better nor worse
        (-0.2, -0.01, "lower", "shown"),
        (0.01, 0.2, "lower", "refuted"),
        (nan, nan, "higher", "not measured"),
    ],
)
def test_better_than(low: float, high: float, better: str, wanted: str) -> None:
    assert outcome(Claim(better_than="a"), gap(low, high), better) == wanted


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (-0.01, 0.1, "shown"),  # no more than .02 is lost
        (-0.03, 0.1, "not shown"),
        (-0.2, -0.03, "refuted"),
        (0.0, 0.0, "shown"),
    ],
)
def test_not_worse_than(low: float, high: float, wanted: str) -> None:
    assert outcome(Claim(not_worse_than="a", margin=0.02), gap(low, high), "higher") == wanted


def test_not_worse_without_a_margin_is_shown_by_the_same_answers() -> None:
    assert outcome(Claim(not_worse_than="a"), gap(0.0, 0.0), "higher") == "shown"


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        # Against 10 words within 20 %: bounds of -2 and 2.
        (-1.9, 1.9, "shown"),
        (-2.5, 1.0, "not shown"),
        (2.0, 4.0, "refuted"),
        (-4.0, -2.0, "refuted"),
    ],
)
def test_equal_to(low: float, high: float, wanted: str) -> None:
    claim = Claim(equal_to="a", metric="length.words", within=0.2)
    assert outcome(claim, gap(low, high, first=10.0), "neither") == wanted


def test_a_share_of_nothing_is_not_measured() -> None:
    claim = Claim(equal_to="a", metric="length.words")
    assert outcome(claim, gap(-1, 1, first=0.0), "neither") == "not measured"


def test_words_say_post_hoc() -> None:
    claim = Claim(better_than="runs/near")
    late = Verdict(claim, "shown", "2026-01-01T00:00:00+00:00", post_hoc=True, reason="why")
    assert str(late) == "shown (post hoc): squad.em is better than that of runs/near (why)"
    assert late.to_json()["difference"] is None
