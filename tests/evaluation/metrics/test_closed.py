"""Closed questions: the strict parser, the bug-compatible one, and what accuracy hides."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef

from vesalius.evaluation.metrics import metrics

CASES = [
    # gold, reply, strict, LLaVA-Med v1 as published
    ("no", "The lungs are normal.", 0, 1),  # "normal" contains "no"
    ("yes", "Yes and no", 0, 1),
    ("left", "Left", 1, 0),  # neither "yes" nor "no" in it
    ("left", "The left lung, not the right", 0, 1),  # "not" contains "no"
    ("yes", "Yes, there is.", 1, 1),
    ("no", "yes", 0, 0),
]


@pytest.mark.parametrize(("gold", "said", "strict", "published"), CASES)
def test_strict_and_bug_compatible(gold, said, strict, published, prediction, scored):
    row = prediction(said, gold, kind="closed")
    assert scored("closed", row)["closed.accuracy"] == strict
    assert scored("llava_med_v1", row)["llava_med_v1.closed"] == published


def test_llava_med_does_not_measure_closed_golds_of_another_script(prediction, scored):
    rows = [
        prediction("是", "是", kind="closed"),
        prediction("yes", "yes", kind="closed", name="b"),
    ]
    assert scored("llava_med_v1", *rows)["llava_med_v1.closed"] == 1
    table = metrics["llava_med_v1"]().measure(rows)
    assert table["unread"].tolist() == [1, 0]


def test_llava_med_counts_repetition(prediction, scored):
    found = scored("llava_med_v1", prediction("heart heart heart", "heart", kind="open"))
    # three hits, no miss, nothing beside: F1 1.0 where SQuAD says 0.5
    assert found["llava_med_v1.open_f1"] == 1
    assert found["llava_med_v1.open_recall"] == 1


def test_llava_med_forgets_the_wrong_answer(prediction, scored):
    # "yes" for "no" is never appended to the script's list of hits
    rows = [prediction("yes", "no", name="a"), prediction("no", "no", name="b")]
    found = scored("llava_med_v1", *rows)
    assert found["llava_med_v1.closed"] == 0.5
    assert found["llava_med_v1.closed_as_published"] == 1.0


def test_options(prediction, scored):
    row = {"kind": "closed", "options": ("left", "right")}
    right = prediction("It is the left lung.", "left", **row)
    both = prediction("left, not right", "left", name="b", **row)
    found = scored("closed", right, both)
    assert found["closed.accuracy"] == 0.5  # one of two
    assert found["closed.unparsed_rate"] == 0.5  # both options named: unparsed


@pytest.mark.parametrize(
    ("said", "right"), [("A", 1), ("a)", 1), ("(A).", 1), ("Answer: A", 1), ("B", 0), ("A or B", 0)]
)
def test_the_option_a_is_no_article(said, right, prediction, scored):
    row = prediction(said, "A", kind="closed", options=("A", "B", "C", "D"))
    assert scored("closed", row)["closed.accuracy"] == right


def test_an_empty_reply_is_not_the_option_a(prediction, scored):
    found = scored("closed", prediction("", "A", kind="closed", options=("A", "B")))
    assert (found["closed.accuracy"], found["closed.unparsed_rate"]) == (0, 1)


def test_an_option_inside_a_longer_one_is_not_meant(prediction, scored):
    row = prediction("the left lung", "left lung", kind="closed", options=("left lung", "lung"))
    assert scored("closed", row)["closed.accuracy"] == 1


def test_rates_against_scikit_learn(prediction, scored):
    rng = np.random.default_rng(3)
    golds = rng.choice(["yes", "no"], 60, p=[0.7, 0.3])
    said = rng.choice(["yes", "no", "perhaps"], 60)
    rows = [
        prediction(str(s), str(g), name=str(i), kind="closed")
        for i, (g, s) in enumerate(zip(golds, said, strict=True))
    ]
    found = scored("closed", *rows)
    assert found["closed.accuracy"] == pytest.approx((golds == said).mean())
    assert found["closed.mcc"] == pytest.approx(matthews_corrcoef(golds, said))
    recalls = [(said[golds == c] == c).mean() for c in ("yes", "no")]
    assert found["closed.balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert found["closed.yes_rate"] == pytest.approx((said == "yes").mean())
    assert found["closed.unparsed_rate"] == pytest.approx((said == "perhaps").mean())
    assert found["closed.majority_baseline"] == pytest.approx((golds == "yes").mean())
    known = said != "perhaps"
    assert balanced_accuracy_score(golds[known], said[known]) > 0  # the reference is importable


def test_a_constant_reply_has_no_correlation(prediction, scored):
    rows = [prediction("yes", gold, name=gold) for gold in ("yes", "no")]
    assert scored("closed", *rows)["closed.mcc"] == 0


def test_one_class_of_gold_has_no_mcc(prediction, scored):
    found = scored("closed", prediction("no", "yes"))
    assert np.isnan(found["closed.mcc"])
    assert found["closed.balanced_accuracy"] == 0


def test_the_majority_is_right_by_any_gold(prediction, scored):
    # golds: {left, both} {both} {both, right}: always "both" is right three times of three
    references = [("left", "both"), ("both",), ("both", "right")]
    rows = [
        prediction("up", *golds, name=str(i), kind="closed") for i, golds in enumerate(references)
    ]
    assert scored("closed", *rows)["closed.majority_baseline"] == 1


def test_open_questions_are_not_measured(prediction, scored):
    found = scored("closed", prediction("lung", "lung", kind="open"))
    assert np.isnan(found["closed.accuracy"])
