"""Scores from a run, its folder, a file or predictions in hand are the same scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from vesalius import Answer, Prediction, Recipe, Run, compare, evaluate
from vesalius.errors import NotComparable, RunError
from vesalius.system.files import read_json

RECIPE = Recipe.model_validate(
    {
        "name": "r",
        "data": {"dataset": "phantom"},
        "model": {"name": "majority"},
        "evaluation": {"metrics": ["squad"], "resamples": 20, "seed": 3},
    }
)


def rows(right: int) -> list[Prediction]:
    """Eight answers to yes-questions, so many of them right, each of a group of its own."""
    yes = (Answer("yes"),)
    return [
        Prediction(f"q{i}", Answer("yes" if i < right else "no"), references=yes, group=f"g{i}")
        for i in range(8)
    ]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path / "r", RECIPE)
    run.append(rows(6))
    run.append(rows(3), "blank")
    return run


def test_a_run_is_scored_as_its_recipe_says_and_the_scores_stay_with_it(run: Run) -> None:
    scores = evaluate(run)
    assert scores.score("squad.em").value == 6 / 8
    assert (scores.resamples, scores.seed) == (20, 3)
    assert read_json(run.scores_file())["scores"][0]["value"] == 6 / 8
    assert evaluate(str(run.path)) == scores


def test_a_set_by_name(run: Run) -> None:
    assert evaluate(run, "blank").score("squad.em").value == 3 / 8
    assert run.scores_file("blank").exists()
    assert not run.scores_file().exists()


def test_without_an_unnamed_set_the_first_one(run: Run) -> None:
    run.predictions_file().unlink()
    assert evaluate(run).score("squad.em").value == 3 / 8


def test_a_file_and_predictions_in_hand(run: Run) -> None:
    of_file = evaluate(run.predictions_file(), metrics=["squad"], resamples=0)
    assert of_file.score("squad.em").value == 6 / 8
    assert evaluate(rows(6), metrics=["squad"], resamples=0).scores == of_file.scores


def test_compare_pairs_whatever_holds_predictions(run: Run) -> None:
    first = compare(run.predictions_file("blank"), run).overall()[0]
    assert (first.metric, first.difference) == ("squad.em", 3 / 8)
    assert compare(rows(3), run).overall()[0].difference == 3 / 8
    assert compare(run, rows(3), metrics=["squad"], resamples=0).overall()[0].difference == -3 / 8


def test_what_holds_no_predictions_is_refused(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RunError, match="is not a run"):
        evaluate(empty)
    with pytest.raises(RunError, match="none"):
        evaluate(tmp_path / "none.jsonl")
    with pytest.raises(RunError, match="'blank'"):
        evaluate(run.predictions_file(), "blank")
    with pytest.raises(RunError, match="nothing"):
        evaluate(run, "nothing")
    with pytest.raises(NotComparable):
        compare([Prediction("other", Answer("yes"))], run)
    with pytest.raises(RunError, match="has no predictions"):
        evaluate(Run.create(tmp_path / "new", RECIPE))
