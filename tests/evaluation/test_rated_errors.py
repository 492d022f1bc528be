"""Errors that raters marked, with the arithmetic of their agreement."""

from __future__ import annotations

from math import isnan

import pytest

from vesalius.cases.rating import Rating
from vesalius.evaluation.rated_errors import error_marks


def marked(rater: str, *errors: tuple[str, ...] | None) -> list[Rating]:
    return [
        Rating("", f"q{i}", rater, {} if one is None else {"accuracy": 3}, one or ())
        for i, one in enumerate(errors)
    ]


def test_who_says_the_same_in_other_words_agrees() -> None:
    # The page of an earlier version said wrong_side, a judge says side.
    ratings = marked("own_a", ("wrong_side",), ()) + marked("judge:x", ("side",), ())
    (one,) = error_marks(ratings, {})
    assert (one.error, one.marked, one.answers) == ("side", 1, 2)
    assert one.agreement.value == pytest.approx(1)


def test_agreement_on_a_rare_error_is_steady() -> None:
    # 20 answers, a marks q0, b marks q1 and both mark q2. Agreement .9; the share of yes
    # 4 / 40 = .1, so chance 2 x .1 x .9 = .18: AC1 = (.9 - .18) / .82.
    none = [()] * 17
    a = marked("a", ("number",), (), ("number",), *none)
    b = marked("b", (), ("number",), ("number",), *none)
    (one,) = error_marks(a + b, {})
    assert (one.marked, one.answers) == (3, 20)
    assert one.agreement.value == pytest.approx(0.72 / 0.82)
    assert one.agreement.low < one.agreement.value <= one.agreement.high


def test_who_was_not_asked_or_could_not_judge_does_not_disagree() -> None:
    a = marked("a", ("omission",), ("unsafe",))
    unasked, blind = marked("judge:y", (), ()), marked("b", ("omission",), None)
    marks = {one.error: one for one in error_marks(a + unasked + blind, {})}
    assert marks["omission"].agreement.value == pytest.approx(1)
    assert marks["omission"].agreement.raters == 2
    (alone, _) = error_marks(a, {})
    assert isnan(alone.agreement.value)  # one rater
    assert error_marks(unasked, {}) == []
