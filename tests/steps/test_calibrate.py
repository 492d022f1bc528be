"""What confidence is worth: measured on validation, refused where that says nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vesalius import Recipe, Run
from vesalius.cases.case import Answer
from vesalius.cases.prediction import Confidence, Neighbour, Prediction
from vesalius.errors import RunError
from vesalius.steps import calibrate as step
from vesalius.steps.calibrate import Calibration, calibrate
from vesalius.steps.fit import fit

RECIPE = {
    "name": "calibrated",
    "data": {
        "dataset": "phantom",
        "options": {"cases": {"train": 3, "validation": 1, "test": 1}, "size": 32},
    },
    "model": {"name": "majority"},
}
METHOD = "votes"


def answers(*groups: tuple[float, int, int], near: float | None = None) -> list[Prediction]:
    """For (confidence, right, wrong): so many answers, each about a picture of its own."""
    made: list[Prediction] = []
    for value, right, wrong in groups:
        for good in [True] * right + [False] * wrong:
            cases = () if near is None else (Neighbour("c", near + len(made) / 1000),)
            made.append(
                Prediction(
                    id=str(len(made)),
                    answer=Answer(text="a liver" if good else "a lung"),
                    references=(Answer(text="a liver"),),
                    picture=f"p{len(made)}",
                    confidence=Confidence(value, METHOD),
                    evidence=cases,
                )
            )
    return made


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A fitted run; its answers to validation are those that a test writes down."""
    made = Run.create(tmp_path / "run", Recipe.model_validate(RECIPE))
    made.finish()
    monkeypatch.setattr("vesalius.steps.predict.predict", lambda *_, **__: 0)
    return made


def test_a_chance_is_the_share_that_was_right(run: Run) -> None:
    # Two confidences, so that Platt's two numbers fit both shares: .9 -> 60 of 100, .6 -> 30 of 100
    run.append(answers((0.9, 60, 40), (0.6, 30, 70)), step.SET)
    judged = calibrate(run)
    assert (judged.method, judged.n, judged.right) == (METHOD, 200, 0.45)
    assert judged.chance(Confidence(0.9, METHOD)) == pytest.approx(0.6, abs=1e-3)
    assert judged.chance(Confidence(0.6, METHOD)) == pytest.approx(0.3, abs=1e-3)
    # logit(.9) = 2.197, logit(.6) = .405; logit(.6) = .405, logit(.3) = -.847: slope .699, and
    # a chance of a half at a logit of 2.197 - .405 / .699 = 1.617, a confidence of .834
    assert judged.threshold == pytest.approx(0.834, abs=2e-3)
    assert judged.chance(Confidence(judged.threshold, METHOD)) == pytest.approx(0.5)
    assert judged.below == 0.5  # the hundred of .6
    assert Calibration.of(run) == judged
    assert "200 answers" in judged.basis
    assert "45% are right" in judged.basis


def test_confidence_that_says_nothing_gives_all_answers_one_chance() -> None:
    wrong = Calibration(METHOD, 100, 0.3, 0.0, -0.85, 1.0)
    assert [wrong.chance(Confidence(v, METHOD)) for v in (0.1, 0.9)] == [
        pytest.approx(0.3, 0.01)
    ] * 2
    assert wrong.threshold == pytest.approx(1.0)
    assert Calibration(METHOD, 100, 0.7, 0.0, 0.85, 0.0).threshold == pytest.approx(0.0)


def test_confidence_made_in_another_way_is_not_calibrated(run: Run) -> None:
    run.append(answers((0.9, 60, 40), (0.6, 30, 70)), step.SET)
    judged = calibrate(run)
    assert judged.chance(Confidence(0.9, "another")) is None
    assert judged.chance(None) is None


@pytest.mark.parametrize(
    ("predictions", "words"),
    [
        (answers((0.9, 19, 60)), "19 of 79 validation answers are right"),
        (answers((0.9, 60, 19)), "60 of 79 validation answers are right"),
        ([replace(one, confidence=None) for one in answers((0.9, 30, 30))], "have no confidence"),
        ([replace(one, references=()) for one in answers((0.9, 30, 30))], "by its words"),
    ],
)
def test_what_says_nothing_is_refused_and_nothing_written(
    run: Run, predictions: list[Prediction], words: str
) -> None:
    run.append(predictions, step.SET)
    with pytest.raises(RunError, match=words):
        calibrate(run)
    assert Calibration.of(run) is None


def test_how_like_training_pictures_usually_are(run: Run) -> None:
    # similarities .5, .501 ... .699 of 200 pictures: a hundredth of them lies below .501
    run.append(answers((0.9, 60, 40), (0.6, 30, 70), near=0.5), step.SET)
    judged = calibrate(run)
    assert (judged.usual, judged.pictures) == (0.501, 200)
    assert step.nearest(answers((0.9, 1, 0))[0]) == step.NOTHING_LIKE


def test_without_an_index_or_with_few_pictures_it_is_not_known(run: Run) -> None:
    run.append(answers((0.9, 60, 40), (0.6, 30, 70)), step.SET)
    assert calibrate(run).usual is None
    run.predictions_file(step.SET).unlink()
    run.append(answers((0.9, 30, 30), near=0.5), step.SET)
    judged = calibrate(run)
    assert (judged.usual, judged.pictures) == (None, 60)


def test_without_a_validation_split_it_is_refused(tmp_path: Path) -> None:
    recipe = RECIPE | {"data": RECIPE["data"] | {"splits": {"validation": None}}}
    run = Run.create(tmp_path / "run", Recipe.model_validate(recipe))
    run.finish()
    with pytest.raises(RunError, match="no validation split"):
        calibrate(run)


def test_a_file_of_something_else_is_named(run: Run) -> None:
    (run.path / step.FILE).write_text(json.dumps({"slope": 1}))
    with pytest.raises(RunError, match=r"calibration\.json: not a calibration"):
        Calibration.of(run)


def test_a_run_answers_its_own_validation_split(tmp_path: Path) -> None:
    options = {"cases": {"train": 8, "validation": 12, "test": 2}, "size": 32}
    recipe = RECIPE | {"data": {"dataset": "phantom", "options": options}}
    run = fit(Recipe.model_validate(recipe), tmp_path / "run")
    judged = calibrate(run)
    assert judged.n == len(list(run.predictions(step.SET)))
    assert 0 < judged.right < 1
    assert not run.predictions_file().exists()  # the test split has no part in it
