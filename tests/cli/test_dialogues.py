"""Dialogues on the command line: upgrade a set, answer under each history, compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius.cli.main import app
from vesalius.errors import DatasetError, UnknownName

RUNNER = CliRunner(env={"COLUMNS": "220"})


def call(*words: object):
    return RUNNER.invoke(app, [str(word) for word in words])


@pytest.fixture
def upgraded(tmp_path: Path) -> Path:
    cases = "cases={train: 20, validation: 0, test: 4}"
    out = tmp_path / "set"
    made = call("data", "dialogues", "phantom", "--set", cases, "--set", "size=32", "--out", out)
    assert made.exit_code == 0, made.output
    assert "test: 4 dialogues" in made.output
    assert "dropped: nothing" in made.output
    assert f"root: {out}, task: dialogue" in made.output
    return out


@pytest.mark.slow
def test_from_the_set_to_the_gap(tmp_path: Path, upgraded: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    data = {"dataset": "folder", "root": str(upgraded), "task": "dialogue", "leaks": "allow",
            "splits": {"validation": None}}  # fmt: skip
    said = {"name": "r", "data": data, "model": {"name": "majority"},
            "evaluation": {"resamples": 20}}  # fmt: skip
    recipe.write_text(json.dumps(said))  # JSON is YAML
    run = tmp_path / "run"
    assert call("fit", recipe, "--run", run).exit_code == 0
    for history in ("none", "own", "gold"):
        done = call("predict", "--run", run, "--history", history)
        assert done.exit_code == 0, done.output
        assert f"predictions-history-{history}.jsonl" in done.output.replace("\n", "")
    shown = call("evaluate", run, "--histories")
    assert "power: the smallest difference that these cases would show" in " ".join(
        shown.output.split()
    )
    assert shown.exit_code == 0, shown.output
    assert "own minus gold" in shown.output
    # the commonest answer to a question needs no history: no gap
    assert "+.000 [+.000, +.000]" in shown.output
    stored = json.loads((run / "scores-histories.json").read_text())
    assert stored["turns"]["gaps"]["own minus gold"]["answers_differ"] == 0
    assert stored["summary"]["histories"]["own"]["protocols"]["rouge"]["implementation"]


def test_mistakes_are_named(tmp_path: Path, upgraded: Path) -> None:
    wrong = call("data", "dialogues", "phantom", "--out", tmp_path / "x", "--form", "lava")
    assert isinstance(wrong.exception, UnknownName)
    wrong = call("data", "dialogues", "phantom", "--out", tmp_path / "x", "--summaries", "local")
    assert isinstance(wrong.exception, UnknownName)
    full = call("data", "dialogues", "phantom", "--out", upgraded)
    assert isinstance(full.exception, DatasetError)
