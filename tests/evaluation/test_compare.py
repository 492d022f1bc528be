"""Two runs on the same questions."""

import json
from dataclasses import replace
from math import isnan

import pytest

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Confidence
from vesalius.errors import NotComparable, RunError
from vesalius.evaluation.compare import compare
from vesalius.evaluation.evaluate import evaluate


@pytest.fixture
def first(prediction):
    return [
        prediction("no", "yes", name=str(i), group=f"g{i}", category="ab"[i % 2]) for i in range(16)
    ]


@pytest.fixture
def second(first):
    return [replace(p, answer=Answer("yes")) if int(p.id) < 12 else p for p in first]


def test_difference_interval_and_p(first, second):
    found = compare(first, second, ["closed"], resamples=400)
    accuracy = next(d for d in found.overall() if d.metric == "closed.accuracy")
    assert (accuracy.first, accuracy.second, accuracy.difference) == (0, 0.75, 0.75)
    assert 0.4 < accuracy.low < 0.75 < accuracy.high <= 1
    assert accuracy.p == pytest.approx(1 / 401, abs=0.01)
    assert accuracy.mcnemar == pytest.approx(2 / 2**12)  # 12 discordant pairs, all one way
    assert (found.shared, found.answers_differ) == (16, 12)


def test_a_constant_answer_stands_beside_a_comparison(first, second):
    """Every reference is "yes": always saying so scores 1, and "normal" nothing."""
    frequent, normal = compare(first, second, ["squad"], resamples=0).constants
    assert (frequent.answer, frequent.values["squad.em"]) == ("yes", 1.0)
    assert normal.values["squad.em"] == 0.0


def test_holm_over_slices(first, second):
    found = compare(first, second, ["closed"], resamples=200)
    parts = [d for d in found.differences if d.slice != "all" and d.metric == "closed.accuracy"]
    assert len(parts) == 2
    least = min(parts, key=lambda d: d.p)
    assert least.p_holm == pytest.approx(min(1, 2 * least.p))


def test_same_answers_differ_in_nothing(first):
    found = compare(first, first, ["squad", "bleu", "cider_d"], resamples=50)
    assert all(d.difference == 0 and d.p == 1.0 for d in found.overall())
    assert found.answers_differ == 0


def test_no_interval_of_a_proportion_is_without_width(first, second):
    """Right answers of eight patients against wrong ones: each resample says 1, eight do not."""
    worst, best = first[:8], second[:8]
    found = compare(worst, best, ["closed", "squad", "cider_d"], resamples=50)
    by_name = {d.metric: d for d in found.overall()}
    accuracy = by_name["closed.accuracy"]
    # Wilson's bounds of 8 of 8 are [.6756, 1], of 0 of 8 [0, .3244]
    assert (accuracy.low, accuracy.high) == pytest.approx((0.6756, 1), abs=1e-4)
    assert by_name["squad.em"].low == pytest.approx(accuracy.low)
    assert by_name["closed.unparsed_rate"].high == pytest.approx(0.3244, abs=1e-4)
    cider = by_name["cider_d"]  # no proportion
    assert cider.low == cider.high or isnan(cider.low)


def test_scores_are_those_of_evaluate(first, second):
    pair = compare(first, second, ["bleu", "rouge", "closed"], resamples=0)
    alone = evaluate(second, ["bleu", "rouge", "closed"], resamples=0)
    for d in pair.overall():
        assert d.second == pytest.approx(alone.score(d.metric).value, nan_ok=True)
        assert isnan(d.p)


def test_partial_overlap_is_said(first, second):
    found = compare(first[:10], second[5:], ["squad"], resamples=10)
    assert (found.shared, found.only_first, found.only_second) == (5, 5, 6)
    assert found.unshared == ("0", "1", "2", "3", "4", "10", "11", "12", "13", "14", "15")
    assert json.dumps(found.to_json(), allow_nan=False)


def test_nothing_shared(first, second):
    with pytest.raises(RunError, match="no id is shared"):
        compare(first[:3], second[3:], ["squad"])


@pytest.mark.parametrize("side", [0, 1])
def test_kind_and_options_hold_for_both_sides(prediction, side):
    # Three questions; one run says that they are closed and offers left and right.
    # Read with options "the left one" is right and "it is right" wrong; read without, both wrong.
    asked = {"kind": "closed", "options": ("left", "right")}
    rows = [
        [prediction(said, "left", name=str(i), group=str(i)) for i in range(3)]
        for said in ("the left one", "it is right")
    ]
    rows[side] = [replace(p, **asked) for p in rows[side]]
    found = compare(*rows, ["closed"], resamples=0)
    accuracy = next(d for d in found.overall() if d.metric == "closed.accuracy")
    assert (accuracy.first, accuracy.second, accuracy.n) == (1, 0, 3)


@pytest.mark.parametrize(
    "other", [{"kind": "open"}, {"kind": "closed", "options": ("left", "right", "both")}]
)
def test_another_kind_or_other_options_are_other_questions(prediction, other):
    row = prediction("left", "left", kind="closed", options=("left", "right"))
    with pytest.raises(NotComparable, match=f"differ in its {list(other)[-1]}"):
        compare([row], [replace(row, **other)], ["closed"])


def test_only_what_both_runs_measured_counts(prediction):
    # The first run is sure of .9 four times; the second of .5 twice and says nothing twice.
    # Brier, all right: .01 for the first, .25 for the second, over the same two questions.
    sure = [[0.9] * 4, [0.5, 0.5, None, None]]
    runs = [
        [
            prediction("x", "x", name=str(i), confidence=c and Confidence(c, "stated"))
            for i, c in enumerate(said)
        ]
        for said in sure
    ]
    runs[0][3] = replace(runs[0][3], answer=Answer("wrong"))  # not among the two
    for pair in (runs, runs[::-1]):
        found = compare(*pair, ["calibration"], resamples=0)
        brier = next(d for d in found.overall() if d.metric == "calibration.brier")
        assert brier.n == 2
        assert sorted((brier.first, brier.second)) == pytest.approx([0.01, 0.25])


def test_other_references_are_other_questions(first):
    other = [replace(p, references=(Answer("no"),)) for p in first]
    with pytest.raises(RunError, match="other references"):
        compare(first, other, ["squad"])
