"""Ratings: what is refused at birth, and the journey to a row and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vesalius.cases.rating import AXES, ERROR_TAGS, ERRORS, FAULTS, TAG_OF_FAULT, Rating
from vesalius.errors import RunError

ROW = {"id": "7/q", "rater": "own_a", "accuracy": 4}


def test_a_row_comes_back_as_the_rating_it_was() -> None:
    axes = dict.fromkeys(AXES, 3)
    when = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    for rating in (
        Rating("first", "7/q", "own_a", axes, ("unsafe", "side"), "left", when, 12.5),
        Rating("", "7/q", "judge", {"clarity": 1}),
        Rating("", "7/q", "judge", {"correctness": 0, "severity": 4}, ("side", "negation")),
        Rating("first", "7/q", "own_a", {}, (), "too dark to tell", when),
    ):
        assert Rating.from_row(rating.to_row()) == rating


def test_a_row_may_leave_out_what_a_judge_does_not_say() -> None:
    assert Rating.from_row(ROW) == Rating("", "7/q", "own_a", {"accuracy": 4})


def test_what_a_judge_adds_is_no_axis() -> None:
    assert Rating.from_row(ROW | {"judgement": {"own": "ct"}}) == Rating.from_row(ROW)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": None}, "id is a text, not None"),
        ({"rater": 3}, "rater is a text, not 3"),
        ({"accuracy": 6}, "accuracy is 1 to 5, not 6"),
        ({"accuracy": True}, "accuracy is 1 to 5, not True"),
        ({"accuracy": 3.0}, "accuracy is 1 to 5, not 3.0"),
        ({"correctness": 3}, "correctness is 0 to 2, not 3"),
        ({"severity": 5}, "severity is 0 to 4, not 5"),
        ({"acuracy": 4}, "there is no axis 'acuracy'"),
        ({"errors": "unsafe"}, "errors is a list"),
        ({"errors": ["bad"]}, "there is no fault 'bad'"),
        ({"seconds": "12"}, "seconds is a number"),
        ({"at": "yesterday"}, "at: Invalid isoformat"),
    ],
)
def test_what_is_no_rating_is_refused_in_one_line(fields, message) -> None:
    with pytest.raises(RunError, match=message) as caught:
        Rating.from_row(ROW | fields, where="ratings.jsonl line 2")
    assert str(caught.value).startswith("ratings.jsonl line 2: not a rating row")
    assert "\n" not in str(caught.value)


def test_what_is_a_tag_by_another_name_reads_as_the_tag() -> None:
    rating = Rating("", "7/q", "own_a", {"accuracy": 1}, ("wrong_side", "unsafe", "side"))
    assert rating.errors == ("side", "unsafe")
    assert set(ERRORS) == {*ERROR_TAGS, *FAULTS} - set(TAG_OF_FAULT)
    assert set(TAG_OF_FAULT.values()) <= set(ERROR_TAGS)
