"""The report as a step: its place, its baselines, and the pictures it finds again."""

from __future__ import annotations

from pathlib import Path

import pytest

from vesalius import Recipe, Run, fit, predict, report
from vesalius.errors import RunError
from vesalius.steps.prepare import cases
from vesalius.steps.report import pictures_of

RECIPE = Recipe.model_validate(
    {
        "name": "counted",
        "data": {
            "dataset": "phantom",
            "options": {"cases": {"train": 4, "validation": 0, "test": 4}, "size": 48},
            "splits": {"validation": None},
        },
        "model": {"name": "majority"},
        "evaluation": {"metrics": ["squad"], "resamples": 20},
    }
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = fit(RECIPE, tmp_path_factory.mktemp("runs") / "counted")
    predict(run)
    return run


def test_the_page_stands_in_the_run_unless_it_is_put_elsewhere(run: Run, tmp_path: Path) -> None:
    assert report(run) == run.path / "report.html"
    shown = report(run, run, out=str(tmp_path / "page.html")).read_text()
    assert "data:image" in shown
    plain = report(run, out=tmp_path / "plain.html", pictures=False).read_text()
    assert "data:image" not in plain


def test_its_pictures_are_those_of_the_test_split(run: Run) -> None:
    find = pictures_of(run)
    case = next(cases(RECIPE.data, "test"))
    assert find(case.pictures[0].key) == case.pictures[0].read()
    assert find("nothing") is None


def test_a_run_without_predictions_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        report(Run.create(tmp_path / "new", RECIPE))
