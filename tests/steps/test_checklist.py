"""Reporting guidelines filled in from a run: what it knows, and what only its authors can."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius import Recipe, Run, fit, predict
from vesalius.cli.main import app
from vesalius.errors import RunError
from vesalius.steps.checklist import OPEN, checklists
from vesalius.system.files import read_json

RECIPE = Recipe.model_validate(
    {
        "name": "listed",
        "description": "The commonest answer.",
        "data": {
            "dataset": "phantom",
            "options": {"cases": {"train": 6, "validation": 0, "test": 6}, "size": 48},
            "splits": {"validation": None},
        },
        "model": {"name": "majority"},
        "evaluation": {"metrics": ["squad"], "resamples": 20},
        "seed": 7,
    }
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = fit(RECIPE, tmp_path_factory.mktemp("runs") / "listed")
    predict(run)
    return run


def test_what_is_known_is_a_draft_and_the_rest_is_open(run: Run, tmp_path: Path) -> None:
    files = checklists(run, tmp_path / "lists")
    assert sorted(path.name for path in files) == [
        "claim.json",
        "claim.md",
        "tripod_llm.json",
        "tripod_llm.md",
    ]
    for name in ("claim", "tripod_llm"):
        listed = read_json(tmp_path / "lists" / f"{name}.json")
        states = {item["asks"]: item["state"] for item in listed["items"]}
        assert OPEN in states.values()
        assert all(bool(item["known"]) == (item["state"] != OPEN) for item in listed["items"])
    text = (tmp_path / "lists" / "claim.md").read_text()
    assert "seed: 7" in text
    assert "squad.em" in text
    assert "not audited" in text
    assert "to be completed" in text
    assert text.count("\n1. ") == 1


def test_a_run_without_predictions_has_nothing_to_report(tmp_path: Path) -> None:
    bare = fit(RECIPE, tmp_path / "bare")
    with pytest.raises(RunError, match="no predictions"):
        checklists(bare, tmp_path / "lists")
    assert not (tmp_path / "lists").exists()


def test_command(run: Run, tmp_path: Path) -> None:
    words = ["report", str(run.path), "--no-pictures", "--checklists", str(tmp_path / "lists")]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert "tripod_llm.md" in result.output
