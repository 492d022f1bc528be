"""Questions to begin with: of the run's own categories, and none that tells of a single case."""

from __future__ import annotations

from pathlib import Path

import pytest

from vesalius import Recipe, Run
from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.service.chat.suggestions import MOST, suggestions

RECIPE = {"name": "asked", "data": {"dataset": "phantom"}, "model": {"name": "majority"}}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", Recipe.model_validate(RECIPE))


def asked(category: str | None, question: str, cases: int, first: int = 0) -> list[Prediction]:
    return [
        Prediction(f"{question}/{n}", Answer(text="x"), question, group=f"g{n}", category=category)
        for n in range(first, first + cases)
    ]


def test_the_usual_question_of_each_category_the_largest_first(run: Run) -> None:
    run.append(asked("plane", "which plane?", 4))
    run.append([*asked("organ", "which organ?", 5), *asked("organ", "what organ is it?", 3)])
    assert suggestions(run.path) == [("organ", "which organ?"), ("plane", "which plane?")]


def test_a_question_of_few_cases_is_not_told(run: Run) -> None:
    run.append([*asked("lesion", "is the mass of 1961 still there?", 2), *asked(None, "what?", 9)])
    again = [
        Prediction(f"r{n}", Answer(text="x"), "the same case?", group="g", category="c")
        for n in range(9)
    ]
    run.append(again)
    assert suggestions(run.path) == []


def test_there_are_not_too_many_and_none_without_answers(run: Run) -> None:
    assert suggestions(None) == suggestions(run.path) == []
    for number in range(MOST + 2):
        run.append(asked(f"c{number}", f"question {number}?", 3))
    assert len(suggestions(run.path)) == MOST
