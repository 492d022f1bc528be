"""Calibration is scored of a run's own accord where an answer can be right or wrong."""

from __future__ import annotations

import pytest

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.evaluation.evaluate import evaluate_run
from vesalius.recipe import Recipe
from vesalius.run import Run

BOX = Box(0, 0, 10, 10, "mass", score=0.9)


@pytest.mark.parametrize(
    ("answer", "metric", "scored"),
    [(Answer(boxes=(BOX,)), "detection", False), (Answer(text="yes"), "squad", True)],
)
def test_words_are_right_or_wrong_and_boxes_are_not(tmp_path, answer, metric, scored):
    recipe = {
        "name": "x",
        "model": {"name": "majority"},
        "data": {"dataset": "phantom"},
        "evaluation": {"metrics": [metric], "resamples": 0},
    }
    run = Run.create(tmp_path / "run", Recipe.model_validate(recipe))
    sure = Confidence(0.9, "none")
    run.append([Prediction("a", answer, question="?", references=(answer,), confidence=sure)])
    names = {score.metric for score in evaluate_run(run).overall()}
    assert any(name.startswith(metric) for name in names)
    assert any(name.startswith("calibration.") for name in names) is scored
