"""Constant answers: what always saying the same scores, on the same cases by the same metrics."""

import json
from dataclasses import replace

import pytest

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.evaluation.constants import constants, frequent_text
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.score import Evaluation
from vesalius.evaluation.table import System, table
from vesalius.evaluation.table_files import as_csv, markdown
from vesalius.run import FrequentAnswer
from vesalius.steps.evaluate import evaluate


@pytest.fixture
def answers(prediction):
    """Three references of four are "yes", one is "normal"."""
    golds = ["yes", "Yes.", "yes", "normal"]
    return [prediction("no", gold, name=f"q{i}", group=f"g{i}") for i, gold in enumerate(golds)]


def test_both_are_scored_like_any_system(answers):
    frequent, normal = constants(answers, ["squad"])
    # "Yes." counts as "yes" after normalisation: 3 of 4 are right, and "normal" once.
    assert (frequent.answer, frequent.values["squad.em"]) == ("yes", 0.75)
    assert (normal.answer, normal.values["squad.em"]) == ("normal", 0.25)
    assert "these references (3 of 4)" in str(frequent)


def test_the_training_split_goes_before_the_references(answers):
    frequent, _ = constants(answers, ["squad"], FrequentAnswer("no", 7, 10))
    assert (frequent.answer, frequent.values["squad.em"]) == ("no", 0.0)
    assert "the training split (7 of 10)" in str(frequent)


def test_each_slice_has_its_own_values(answers):
    halves = [replace(p, category="ab"[i // 2]) for i, p in enumerate(answers)]
    frequent, normal = constants(halves, ["squad"], by=("category",))
    # "a" holds yes, yes; "b" holds yes, normal
    assert frequent.value("squad.em", "category=a") == 1.0
    assert frequent.value("squad.em", "category=b") == normal.value("squad.em", "category=b") == 0.5
    assert normal.cell("squad.em", "category=a") == "0.000"
    assert frequent.value("squad.em") == 0.75
    assert frequent.cell("squad.em", "category=c") == ""


def test_long_references_get_a_report_and_no_patients_own_text(prediction):
    rows = [
        prediction("a", f"A chest radiograph with a nodule of {i} cm on the left.", name=f"q{i}")
        for i in range(3)
    ]
    (normal,) = constants(rows, ["rouge"])  # no caption is given twice: none is the most frequent
    assert normal.answer.startswith("The structures shown are of normal size")
    assert 0 < normal.values["rouge.1"] < 0.3


def test_what_a_constant_cannot_have_is_empty(prediction):
    box = Answer(boxes=(Box(0, 0, 2, 2, "mass"),))
    boxes = [Prediction("a", box, references=(box,)), Prediction("b", box, references=(box,))]
    assert constants(boxes, ["detection"]) == ()
    worded = [prediction("yes", "yes", name=n) for n in "ab"]
    for one in constants(worded, ["length", "calibration", "concepts_f1", "bleurt"]):
        assert one.values == {}
        assert one.cell("length.ratio") == ""


def test_without_references_there_is_no_row(prediction):
    assert constants([prediction("yes")], ["squad"]) == ()
    assert frequent_text([]) is None


def test_an_evaluation_keeps_them(answers):
    scores = evaluate(answers, metrics=["squad"], resamples=0)
    assert [one.name for one in scores.constants] == ["frequent", "normal"]
    assert Evaluation.from_json(json.loads(json.dumps(scores.to_json()))) == scores


def test_a_table_has_them_below_its_systems(answers, prediction):
    other = [prediction("yes", p.references[0].text, name=p.id, group=p.group) for p in answers]
    systems = [System("a", answers), System("b", other)]
    made = table(systems, ["squad"], draws=Draws(resamples=20))
    assert [row.name for row in made.rows] == ["a", "b"]
    assert "| always frequent |  | 0.750 |" in markdown(made)
    assert "always normal,the same for every set,squad.em,0.25" in as_csv(made)
    assert any("always 'normal'" in note for note in made.notes())


def test_a_torn_file_is_named(tmp_path):
    from vesalius.run import Run

    (tmp_path / "frequent_answer.json").write_text('{"text": "yes"}')
    with pytest.raises(RunError, match="not a most frequent answer"):
        Run(tmp_path).frequent_answer()
    (tmp_path / "frequent_answer.json").unlink()
    assert Run(tmp_path).frequent_answer() is None


@pytest.mark.parametrize("answer", ["", "nan", "NaN"])
def test_empty_and_nan_answers_are_counted_beside_the_score(answers, prediction, answer):
    rows = [*answers, prediction(answer, "yes", name="q9", group="g9")]
    scores = evaluate(rows, metrics=["squad"], resamples=0)
    assert scores.score("squad.em").value == 0.0
    assert scores.facts["empty" if answer == "" else "no_words"] == 1


def test_a_repeated_id_is_named_and_references_without_answers_are_counted(answers, prediction):
    with pytest.raises(RunError, match="'q0' appears 2 times"):
        evaluate([*answers, answers[0]], metrics=["squad"], resamples=0)
    scores = evaluate([prediction("yes")], metrics=["squad"], resamples=0)
    assert not scores.score("squad.em").measured
    assert scores.facts["without_reference"] == 1
    assert scores.constants == ()
