"""Scores with protocol, interval and slices."""

import json
from dataclasses import replace
from math import isnan

import pytest

from vesalius.cases.prediction import Confidence, Prediction
from vesalius.errors import RecipeError, RunError, UnknownName
from vesalius.evaluation import evaluate as module
from vesalius.evaluation.evaluate import evaluate, evaluate_run, save_scores
from vesalius.evaluation.prediction_sets import group_of
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
    for name in ("squad.majority_em", "closed.majority_baseline"):  # no column of their own
        baseline = found.score(name)
        assert (baseline.low, baseline.high) == pytest.approx((0.4385, 1), abs=5e-5)
    balanced = found.score("closed.balanced_accuracy")
    assert (balanced.low, balanced.high, balanced.interval) == (score.low, score.high, "wilson")


def test_a_mean_over_classes_is_as_unsure_as_its_smallest_class(prediction):
    # 9 yes and 1 no, all right: 2^2 / (1/9 + 1/1) = 3.6 trials; 3.6 / (3.6 + z^2) = .4838
    rows = [
        prediction(gold, gold, name=str(i), group=str(i))
        for i, gold in enumerate(["yes"] * 9 + ["no"])
    ]
    found = evaluate(rows, ["closed"], resamples=200)
    assert found.score("closed.balanced_accuracy").low == pytest.approx(0.4838, abs=5e-5)
    assert found.score("closed.accuracy").low == pytest.approx(10 / (10 + 1.96**2), abs=1e-4)


@pytest.mark.parametrize("metric", ["cider_d", "rouge", "bertscore", "meteor_exact_stem"])
def test_what_is_no_proportion_has_no_wilson_interval(metric, prediction):
    rows = [prediction("x", "y z", name=str(i), group=str(i)) for i in range(4)]
    rows += [prediction("", "w", name="none", group="none")]
    found = evaluate(rows, [metric], resamples=50)
    assert {score.interval for score in found.scores} == {"bootstrap"}


def test_every_proportion_is_declared(prediction):
    """A score whose rows are right or wrong, all right, has an interval of some width."""
    rows = [
        replace(
            prediction("yes", "yes", "yes", name=str(i), group=str(i), kind="closed", case=str(i)),
            scores={"yes": 1.0},
        )
        for i in range(4)
    ]
    names = ["closed", "squad", "tolerant", "llava_med_v1", "dialogue", "label_space"]
    for score in evaluate(rows, names, resamples=50).scores:
        shares = score.metric not in {"squad.f1", "closed.mcc"}
        if score.measured and shares:
            assert score.interval == "wilson", score.metric
            assert score.high - score.low > 0.4, score.metric


def test_absent_values_of_programs_are_counted(prediction):
    rows = [prediction(text, "None", name=text) for text in ("nan", "none", "None", "<NA>", "mass")]
    facts = evaluate(rows, ["squad"], resamples=0).facts
    assert (facts["no_words"], facts["no_words_in_references"]) == (3, 5)


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


@pytest.fixture
def run(tmp_path):
    return Run.create(
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


def test_a_run_with_confidence_is_calibrated_too(run, prediction):
    run.append([prediction("a", "a", confidence=Confidence(0.75, "stated"))])
    found = evaluate_run(run)
    assert found.score("calibration.ece").value == pytest.approx(0.25)
    assert found.better(found.score("calibration.ece")) == "lower"
    assert found.better(found.score("squad.f1")) == "higher"


@pytest.fixture
def scored(monkeypatch):
    """How often predictions were scored."""
    times = []
    original = module.evaluate

    def counting(*args, **kwargs):
        times.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, "evaluate", counting)
    return times


def test_scores_of_the_same_answers_and_settings_are_taken_from_the_run(run, rows, scored):
    run.append(rows)
    first = evaluate_run(run)
    assert evaluate_run(run) == first
    assert evaluate_run(run, resamples=20) == first
    assert len(scored) == 1
    assert first.score("squad.em").low < first.score("squad.em").value
    assert len(first.predictions_sha256) == len(first.settings_sha256) == 64


def test_another_answer_is_scored_anew_and_replaces_the_scores(run, rows, scored, prediction):
    run.append(rows)
    before = evaluate_run(run)
    run.append([prediction("wrong", "right", name="one more")])
    after = evaluate_run(run)
    assert after.score("squad.em").n == before.score("squad.em").n + 1
    assert evaluate_run(run) == after
    assert len(scored) == 2


@pytest.mark.parametrize(
    "other",
    [{"resamples": 10}, {"metrics": ["squad", "closed"]}, {"by": ()}, {"metrics": ["closed"]}],
)
def test_other_settings_are_scored_anew_and_replace_nothing_unasked(run, rows, scored, other):
    run.append(rows)
    first = evaluate_run(run)
    changed = evaluate_run(run, **other)
    assert changed != first
    assert evaluate_run(run) == first
    assert len(scored) == 2
    save_scores(run, changed)
    again = evaluate_run(run, **other)
    assert again.to_json() == changed.to_json()  # NaN is not itself
    assert len(scored) == 2


def test_another_version_or_protocol_scores_anew(run, rows, scored, monkeypatch):
    run.append(rows)
    evaluate_run(run)
    monkeypatch.setattr(module, "__version__", "another")
    evaluate_run(run)
    assert len(scored) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"scores": 3}', '{"scores": [], "protocols": {}}'])
def test_scores_of_before_and_torn_ones_are_replaced(run, rows, scored, content):
    run.append(rows)
    run.scores_file().write_text(content)
    first = evaluate_run(run)
    assert evaluate_run(run) == first
    assert len(scored) == 1


def test_a_run_that_cannot_be_written_is_scored(run, rows, monkeypatch):
    def full(*_):
        raise OSError(28, "no space left")

    run.append(rows)
    monkeypatch.setattr(module, "save_scores", full)
    assert evaluate_run(run).score("squad.em").measured


def test_intervals_by_name(prediction):
    """8 of 10 right, each its own patient; then two rows a patient, where exact is not defined."""
    rows = [
        prediction("yes" if i < 8 else "no", "yes", name=str(i), group=f"g{i}") for i in range(10)
    ]
    found = evaluate(rows, ["squad"], interval="exact").score("squad.em")
    assert (found.low, found.high) == pytest.approx((0.4439, 0.9748), abs=1e-4)
    assert found.interval == "exact"
    f1 = evaluate(rows, ["squad"], interval="exact").score("squad.f1")
    assert f1.interval == "bootstrap"  # no share of right and wrong
    pairs = [replace(p, group=f"g{int(p.id) // 2}") for p in rows]
    assert evaluate(pairs, ["squad"], interval="exact").score("squad.em").interval == "bootstrap"
    moved = evaluate(rows, ["squad"], interval="bca")
    assert moved.score("squad.em").interval == "bca"
    assert moved.interval == "bca"
