"""Judgements in a run's folder: ratings like experts', resumable, and of one judge."""

from __future__ import annotations

import pytest

from vesalius.cases.rating import Rating
from vesalius.errors import RunError
from vesalius.evaluation.judging.judgements import Judgement, Judgements, Preference
from vesalius.evaluation.rating_files import read_ratings
from vesalius.run import Run


def test_a_row_comes_back_and_is_a_rating() -> None:
    rating = Rating("j", "q1", "judge:j", {"severity": 3}, ("side",))
    one = Judgement(rating, "a ct", '{"errors": []}', None, 0.5)
    assert Judgement.from_row(one.to_row()) == one
    assert Rating.from_row(one.to_row()) == rating
    two = Preference("q1", "a ct", ("run", "tie"), ("{}", "{}"))
    assert Preference.from_row(two.to_row()) == two


@pytest.mark.parametrize(
    ("verdicts", "winner", "position"),
    [
        (("run", "run"), "run", None),
        (("against", "against"), "against", None),
        (("tie", "tie"), "tie", None),
        (("run", "against"), "tie", "first"),  # whoever stands first
        (("against", "run"), "tie", "second"),
        (("run", "tie"), "tie", None),
        ((None, None), None, None),
    ],
)
def test_a_preference_that_the_order_decides_is_a_tie(verdicts, winner, position) -> None:
    one = Preference("q1", "", verdicts)
    assert (one.winner, one.position) == (winner, position)


def test_they_go_on_after_a_torn_line_and_refuse_another_judge(run: Run, judged) -> None:
    made = judged([2, 1, None])
    with made.file.open("a") as file:
        file.write('{"id": "q3", "ra')
    assert made.begin(made.identity) == {"q0", "q1", "q2"}
    assert [one.unmeasured for one in made.judgements()] == [None, None, "no JSON"]
    with pytest.raises(RunError, match="'j-correctness' differ in digest, judge") as caught:
        made.begin(made.identity | {"judge": "other", "digest": "f00"})
    assert "--name" in str(caught.value)
    assert [one.name for one in Judgements.of(run)] == ["j-correctness"]


def test_their_file_is_one_of_ratings(judged) -> None:
    ratings = read_ratings(judged([2, None]).file)
    assert [dict(one.axes) for one in ratings] == [{"correctness": 2}, {}]


def test_a_line_that_is_none_is_named(judged) -> None:
    made = judged([2])
    made.file.write_text(made.file.read_text() + '{"id": "q1", "rater": "judge:j"}\n')
    with pytest.raises(RunError, match="line 2: not a judgement"):
        list(made.judgements())
