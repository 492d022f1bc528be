"""Scores with protocol, interval and slices."""

import json
from math import isnan

import pytest

from vesalius.cases.prediction import Confidence, Prediction
from vesalius.errors import RecipeError, RunError, UnknownName
from vesalius.evaluation.evaluate import evaluate, evaluate_run, group_of
from vesalius.evaluation.score import Evaluation
from vesalius.recipe import Recipe
from vesalius.run import Run


@pytest.fixture
def rows(prediction):
    return [
        prediction(
            "yes" if i % 3 else "no",
            "yes",
            name=str(i),
            group=f"g{i // 2}",
            category="presence" if i % 2 else "organ",
        )
        for i in range(12)
    ]


def test_value_interval_and_counts(rows):
    score = evaluate(rows, ["closed"], resamples=300).score("closed.accuracy")
    assert score.value == pytest.approx(8 / 12)
    assert score.low < score.value < score.high
    assert (score.n, score.groups) == (12, 6)
    assert str(score).startswith("0.667 [")


def test_slices(rows):
    found = evaluate(rows, ["squad"], resamples=50)
    part = found.score("squad.em", "category=organ")
    # even i: 0 and 6 are "no"
    assert (part.value, part.n) == (pytest.approx(4 / 6), 6)
    assert {s.slice for s in found.by("category")} == {"category=organ", "category=presence"}
    assert not found.by("modality")


def test_no_predictions_are_not_measured():
    found = evaluate([], ["squad", "closed"], resamples=10)
    assert found.scores
    assert all(str(score) == "not measured" and score.n == 0 for score in found.scores)


def test_one_group_has_no_interval(prediction):
    score = evaluate([prediction("a", "a", group="g")], ["squad"]).score("squad.em")
    assert isnan(score.low)
    assert str(score) == "1.000"


@pytest.mark.parametrize(("said", "value"), [("yes", 1.0), ("no", 0.0)])
def test_a_perfect_slice_is_not_certain(prediction, said, value):
    # Every resample scores the same. Six right answers of three patients are three trials:
    # Wilson for 3 of 3 at z = 1.96: 3 / (3 + z^2) = .4385 to 1; for none of 3 the mirror image.
    rows = [prediction(said, "yes", name=str(i), group=f"g{i // 2}") for i in range(6)]
    found = evaluate(rows, ["closed", "squad"], resamples=50)
    score = found.score("closed.accuracy")
    low, high = (0.4385, 1) if value else (0, 0.5615)
    assert (score.value, score.interval) == (value, "wilson")
    assert (score.low, score.high) == pytest.approx((low, high), abs=5e-5)
    again = Evaluation.from_json(json.loads(json.dumps(found.to_json())))
    assert again.score("closed.accuracy").interval == "wilson"
    baseline = found.score("squad.majority_em")  # no column of its own
    assert (baseline.low, baseline.high, baseline.interval) == (1, 1, "bootstrap")


def test_what_is_no_proportion_keeps_the_bootstrap(prediction):
    # token F1 of each: one shared word of two and of one: 2 * 1 / 3
    rows = [prediction("left lung", "lung", name=str(i), group=str(i)) for i in range(4)]
    score = evaluate(rows, ["squad"], resamples=50).score("squad.f1")
    assert (score.low, score.high, score.interval) == (score.value, score.value, "bootstrap")


def test_json_journey(rows):
    found = evaluate([*rows, Prediction("z", rows[0].answer)], ["squad", "bleu"], resamples=20)
    text = json.dumps(found.to_json(), allow_nan=False)
    again = Evaluation.from_json(json.loads(text))
    assert [str(s) for s in again.scores] == [str(s) for s in found.scores]
    assert again.facts["without_reference"] == 1
    assert again.protocols == found.protocols


def test_not_an_evaluation():
    with pytest.raises(RunError, match=r"here\.json"):
        Evaluation.from_json({"scores": [{"metric": 1}]}, where="here.json")


def test_duplicate_id(rows):
    with pytest.raises(RunError, match="'3' appears 2 times"):
        evaluate([*rows, rows[3]])


def test_unknown_metric_and_parameter(rows):
    with pytest.raises(UnknownName, match="squad"):
        evaluate(rows, ["sqad"])
    with pytest.raises(RecipeError, match="stemmed"):
        evaluate(rows, [{"rouge": {"stemed": True}}])
    with pytest.raises(RecipeError, match="threshold"):
        evaluate(rows, [{"tolerant": {"threshold": 2}}])


def test_parameters_are_part_of_the_protocol_name(rows):
    found = evaluate(rows, ["rouge", {"rouge": {"stemmed": True}}], resamples=0)
    assert set(found.protocols) == {"rouge", "rouge(stemmed=True)"}
    assert found.score("rouge.1.stemmed").protocol == "rouge(stemmed=True)"


def test_the_unit_is_never_the_question(prediction):
    assert group_of(prediction("a", name="q", group="p1", picture="i1")) == "p1"
    assert group_of(prediction("a", name="q", picture="i1", case="c")) == "i1"
    assert group_of(prediction("a", name="q")) == "q"


def test_a_run_with_confidence_is_calibrated_too(tmp_path, prediction):
    run = Run.create(
        tmp_path / "run",
        Recipe.model_validate(
            {
                "name": "r",
                "data": {"dataset": "phantom"},
                "model": {"name": "majority"},
                "evaluation": {"metrics": ["squad"], "resamples": 20},
            }
        ),
    )
    run.append([prediction("a", "a", confidence=Confidence(0.75, "stated"))])
    found = evaluate_run(run)
    assert found.score("calibration.ece").value == pytest.approx(0.25)
    assert found.better(found.score("calibration.ece")) == "lower"
    assert found.better(found.score("squad.f1")) == "higher"
