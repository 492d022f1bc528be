"""What experts' grades say of systems and metrics, with the arithmetic."""

from __future__ import annotations

from math import isnan

import pytest

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.cases.rating import Rating
from vesalius.evaluation.expert_grades import (
    columns,
    following,
    grades_of,
    mean_difference,
    mean_grade,
)
from vesalius.evaluation.rated_systems import System


def system(name: str, *texts: str) -> System:
    rows = [
        Prediction(f"q{i}", Answer(text), references=(Answer("ct of the chest"),), group=f"p{i}")
        for i, text in enumerate(texts)
    ]
    return System(name, name, {one.id: one for one in rows})


def rated(rater: str, *grades: int, final: bool = False) -> list[Rating]:
    return [
        Rating("", f"q{i}", rater, {"accuracy": grade}, adjudication=final)
        for i, grade in enumerate(grades)
    ]


def test_a_final_grade_takes_the_place_of_the_raters_where_asked() -> None:
    ratings = rated("a", 1, 2) + rated("c", 4, final=True) + rated("b", 5, 2)
    assert grades_of(ratings, "accuracy") == {"q0": 3, "q1": 2}
    assert grades_of(ratings, "accuracy", adjudicated=True) == {"q0": 4, "q1": 2}
    assert grades_of(ratings, "clarity") == {}


def test_means_and_what_lies_between_them() -> None:
    first, second = {"a": 1.0, "b": 2.0, "c": 4.0}, {"b": 4.0, "c": 5.0, "d": 1.0}
    mean = mean_grade(first, {})
    assert (mean.n, mean.value) == (3, pytest.approx(7 / 3))
    assert mean.low < mean.value < mean.high
    gap = mean_difference(first, second, {})  # b: 2, c: 1
    assert (gap.n, gap.value) == (2, pytest.approx(1.5))
    # Of two pairs a resample is 1, 1.5 or 2 with 1/4, 1/2, 1/4: its spread is .3536, times 2.8.
    assert gap.detectable == pytest.approx(2.8016 * 0.3536, rel=0.05)
    one_patient = mean_grade(first, dict.fromkeys(first, "p"))
    assert one_patient.low == one_patient.high == one_patient.value
    assert isnan(one_patient.detectable)
    assert isnan(mean_difference(first, {"z": 1.0}, {}).value)


def test_metrics_that_follow_the_experts() -> None:
    one = system("one", "ct of the chest", "ct of the head", "an mri", "ct chest", "a liver")
    grades = {"q0": 5.0, "q1": 3.0, "q2": 1.0, "q3": 4.0, "q4": 1.0}
    by_name = {f.metric: f for f in following([(one, grades)], [columns(one, ["squad", "bleu"])])}
    # SQuAD drops "the": f1 is 1, 4/6, 0, .8, 0, in the experts' order with its tie.
    assert by_name["squad.f1"].spearman.value == pytest.approx(1)
    assert by_name["squad.f1"].kendall.value == pytest.approx(1)
    assert by_name["squad.em"].kendall.value < 1
    assert not any(name.startswith("bleu") for name in by_name)  # a corpus score


def test_answers_of_several_systems_are_taken_together() -> None:
    good, bad = system("good", "ct of the chest", "ct of the chest"), system("bad", "a", "b")
    graded = [(good, {"q0": 5.0, "q1": 5.0}), (bad, {"q0": 1.0, "q1": 1.0})]
    scores = [columns(one, ["squad"]) for one, _ in graded]
    (f1,) = [f for f in following(graded, scores) if f.metric == "squad.f1"]
    assert (f1.n, f1.spearman.value) == (4, pytest.approx(1))
    # Within one of them nothing varies, and nothing can follow.
    (alone,) = [f for f in following(graded[:1] * 2, scores[:1] * 2) if f.metric == "squad.f1"]
    assert isnan(alone.spearman.value)
