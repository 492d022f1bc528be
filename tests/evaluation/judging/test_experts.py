"""A judge held against experts: its agreement, and grades brought onto their scale."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from vesalius.cases.rating import Rating
from vesalius.errors import RunError
from vesalius.evaluation.judging.experts import Checked, calibrated, checked, expert_axis

NAN = float("nan")


def rated(grades: dict[str, int], rater: str = "a", axis: str = "correctness") -> list[Rating]:
    return [Rating("", name, rater, {axis: grade}) for name, grade in grades.items()]


def test_calibration_is_isotonic_regression_fitted_without_the_row_s_group() -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 5, size=90).astype(float)
    truth = np.where(np.arange(90) < 60, raw / 2 + rng.normal(size=90), NAN)
    groups = np.arange(90) // 3  # 20 groups have a truth: five folds of four
    guess = calibrated(raw, truth, groups)
    order = np.random.default_rng(0).permutation(20)
    curves = []
    for fold in range(5):
        out = np.isin(groups, np.flatnonzero(order % 5 == fold))
        taught = (np.arange(90) < 60) & ~out
        curve = IsotonicRegression(out_of_bounds="clip").fit(raw[taught], truth[taught])
        left = out & (np.arange(90) < 60)
        assert guess[left] == pytest.approx(curve.predict(raw[left]))
        curves.append(curve.predict(raw[60:]))
    assert guess[60:] == pytest.approx(np.mean(curves, axis=0))


def test_another_scale_has_no_alpha_but_a_rank_correlation() -> None:
    judge = {f"q{i}": float(i % 3) for i in range(60)}
    theirs = rated({f"q{i}": 1 + 2 * (i % 3) for i in range(60)}, axis="accuracy")
    found = checked("correctness", judge, {name: name for name in judge}, theirs)
    assert (found.expert_axis, isnan(found.agreement.value)) == ("accuracy", True)
    assert found.kendall.value == pytest.approx(1)
    assert found.value == pytest.approx(3)  # of 1, 3 and 5, each as often
    assert "not measured (Krippendorff" in found.sentence()


def test_agreement_is_over_pairs_of_judge_and_expert() -> None:
    judge = {f"q{i}": float(i % 3) for i in range(60)}
    same = rated({f"q{i}": i % 3 for i in range(60)})
    one = checked("correctness", judge, {name: name for name in judge}, same)
    assert (one.agreement.value, one.agreement.units) == (1, 60)
    assert isnan(one.among.value)
    opposite = rated({f"q{i}": 2 - i % 3 for i in range(30)}, rater="b")
    both = checked("correctness", judge, {name: name for name in judge}, same + opposite)
    assert both.agreement.units == 90
    assert both.agreement.value < 0.7
    assert both.among.value < 0
    assert Checked.from_json(both.to_json()) == both


def test_too_few_groups_are_refused() -> None:
    judge = {f"q{i}": 1.0 for i in range(60)}
    with pytest.raises(RunError, match="60 of the judged answers, in 3 groups"):
        checked(
            "correctness",
            judge,
            {name: f"p{i % 3}" for i, name in enumerate(judge)},
            rated(dict.fromkeys(judge, 1)),
        )


def test_which_axis_of_the_experts_is_meant() -> None:
    assert expert_axis("clarity", rated({"q": 4}, axis="clarity")) == "clarity"
    assert expert_axis("correctness", rated({"q": 4}, axis="accuracy")) == "accuracy"
    assert expert_axis("correctness", rated({"q": 4}, axis="clarity")) is None
