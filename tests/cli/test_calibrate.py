"""``vesalius calibrate``: what it prints, and what it says where there is nothing to measure."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from vesalius import Recipe
from vesalius.cli.main import app
from vesalius.run import Run
from vesalius.steps.calibrate import Calibration
from vesalius.steps.fit import fit


def fitted(folder: Path, validation: int) -> str:
    options = {"cases": {"train": 8, "validation": validation, "test": 2}, "size": 32}
    data = {"dataset": "phantom", "options": options}
    recipe = {"name": "small", "data": data, "model": {"name": "majority"}}
    return str(fit(Recipe.model_validate(recipe), folder / "run").path)


def test_it_prints_what_it_wrote(tmp_path: Path) -> None:
    run = fitted(tmp_path, 12)
    done = CliRunner().invoke(app, ["calibrate", "--run", run])
    assert done.exit_code == 0, done.output
    assert "validation answers" in done.output
    assert "more likely wrong below" in done.output
    assert (Path(run) / "calibration.json").exists()
    assert Calibration.of(Run.open(run)) is not None


def test_too_few_answers_end_in_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", "--run", fitted(tmp_path, 1)])
    assert done.exit_code != 0
    assert "validation answers are right" in str(done.exception)
