"""What a judge's lines add up to: not measured is no grade, and warnings come with every score."""

from __future__ import annotations

import pytest

from vesalius.cases.rating import Rating
from vesalius.errors import RunError
from vesalius.evaluation.judging.judgements import Judgements, Preference
from vesalius.evaluation.judging.results import (
    UNCHECKED,
    check_against_experts,
    judge_results,
    results,
)
from vesalius.run import Run


def experts(*raters: tuple[str, list[int]], axis: str = "correctness") -> list[Rating]:
    return [
        Rating("first", f"q{i}", name, {axis: grade})
        for name, grades in raters
        for i, grade in enumerate(grades)
    ]


def test_what_is_not_measured_is_no_grade_and_has_its_rate(run: Run, judged) -> None:
    # (2 + 1 + 1) / 3, not / 4
    found = results(judged([2, 1, None, 1]), run.predictions())
    (score,) = found.scores
    assert (score.value, score.n, found.n) == (pytest.approx(4 / 3), 3, 4)
    assert "1 of 4 (25%) are not measured: no JSON 1." in found.warnings
    assert found.warnings[0] == UNCHECKED


def test_a_judge_that_measured_nothing_has_no_score_and_not_zero(run: Run, judged) -> None:
    (score,) = results(judged([None, None, None]), run.predictions()).scores
    assert (score.value != score.value, score.n) == (True, 0)  # NaN


def test_a_judge_that_went_away_before_its_first_reply_has_no_score(run: Run, judged) -> None:
    judged([])
    (found,) = judge_results(run)
    assert (found.n, [score.n for score in found.scores]) == (0, [0])
    assert found.warnings == [UNCHECKED]


def test_warnings_come_from_the_identity(run: Run, judged) -> None:
    made = judged([2, 2], kin="is the model that it judges", random_weights=True, pictures=False)
    words = " ".join(results(made, run.predictions()).warnings)
    for part in ("is the model that it judges", "weights are random", "saw no picture"):
        assert part in words


def test_a_judgement_of_another_answer_is_refused(run: Run, judged) -> None:
    made = judged([2])
    made.append(list(made.judgements()))
    made.file.write_text(made.file.read_text().replace('"q0"', '"elsewhere"'))
    with pytest.raises(RunError, match="'elsewhere' that is not there"):
        results(made, run.predictions())


def test_pairs_have_shares_and_those_that_the_order_decides_are_ties(run: Run) -> None:
    made = Judgements(run, "pairs")
    made.begin({"judge": "j", "against": "other", "pictures": True})
    verdicts = [("run", "run"), ("run", "against"), ("against", "against"), ("run", "run")]
    made.append(Preference(f"q{i}", "", one) for i, one in enumerate(verdicts))
    made.append([Preference("q4", "", (None, None), unmeasured="no JSON")])
    found = results(made, run.predictions())
    shares = {score.name: (score.value, score.n) for score in found.scores}
    assert shares == {
        "run preferred": (0.5, 4), "against preferred": (0.25, 4), "tie": (0.25, 4),
        "order-dependent": (0.25, 4),
    }  # fmt: skip
    with pytest.raises(RunError, match="compares pairs"):
        check_against_experts(made, run.predictions(), experts(("a", [1] * 30)))


def test_experts_take_the_first_warning_away(run: Run, judged) -> None:
    made = judged([i % 3 for i in range(200)])
    kind = experts(("a", [i % 3 for i in range(60)]), ("b", [min(2, i % 3 + 1) for i in range(60)]))
    (checked,) = check_against_experts(made, run.predictions(), kind)
    assert (checked.raters, checked.n, checked.judged) == (2, 60, 200)
    found = results(made, run.predictions())
    assert UNCHECKED not in found.warnings
    assert found.checked == [checked]
    assert "agreement with 2 experts on 60 of 200 answers" in checked.sentence()
    # The experts' mean is (1 + 5/3) / 2; the judge, who is one of them, tells it of the others too.
    assert checked.value == pytest.approx(4 / 3, abs=0.03)
    assert checked.high - checked.low < checked.alone[2] - checked.alone[1]
    names = [score.name for score in found.scores]
    assert len(names) == 3
    assert names[1].startswith("correctness as experts grade it, the judge calibrated")
    assert (found.scores[1].value, found.scores[2].value) == (checked.value, checked.alone[0])
    made.append([])  # nothing more: still the same
    assert judge_results(run)[0].checked
    row = next(iter(made.judgements()))
    made.append([type(row)(Rating("j-correctness", "q199", "judge:j", {"correctness": 0}))])
    stale = judge_results(run)[0]
    assert UNCHECKED in stale.warnings
    assert any("do it again" in warning for warning in stale.warnings)


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        (
            [Rating("other 0123456789abcdef", f"q{i}", "a", {"correctness": 1}) for i in range(30)],
            "none of the 30 ratings is of a review of this run",
        ),
        (experts(("a", [1] * 5)), "experts rated 5 of the judged answers"),
        (experts(("a", [3] * 30), axis="clarity"), "the experts clarity"),
        (experts(("judge:k", [1] * 30)), "judge:k is a judge, and no expert"),
        ([Rating("", "other", "a", {"correctness": 1})], "none of the 1 ratings is of an answer"),
    ],
)
def test_ratings_that_say_nothing_of_a_judge_are_refused(
    ratings: list[Rating], message: str, run: Run, judged
) -> None:
    with pytest.raises(RunError, match=message):
        check_against_experts(judged([1] * 200), run.predictions(), ratings)
    assert UNCHECKED in judge_results(run)[0].warnings
