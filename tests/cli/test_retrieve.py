"""``vesalius retrieve``: a table or JSON, an index made afterwards, and faults in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius import Recipe, Run
from vesalius.cli.main import app
from vesalius.steps.fit import fit
from vesalius.steps.prepare import cases

RECIPE = Recipe.model_validate(
    {
        "name": "r",
        "data": {
            "dataset": "phantom",
            "options": {"cases": {"train": 5, "validation": 2, "test": 2}, "size": 48},
        },
        "model": {"name": "majority"},
        "retrieve": {"neighbours": 2},
    }
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(RECIPE, tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "mine.png"
    path.write_bytes(next(cases(RECIPE.data, "train")).pictures[0].read())
    return path


def said(*words: object) -> str:
    done = CliRunner().invoke(app, ["retrieve", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_a_table_tells_case_similarity_and_what_was_said(run: Run, image: Path) -> None:
    text = said(image, "--run", run.path)
    first = next(cases(RECIPE.data, "train"))
    assert first.id[:10] in text
    assert first.questions[0].text[:20] in text
    assert "this very picture was trained on" in text
    assert "not a medical device" in text
    others = said(image, "--run", run.path, "--others")
    assert "this very picture" not in others


def test_json_is_for_machines(run: Run, image: Path) -> None:
    found = json.loads(said(image, "--run", run.path, "--json", "--neighbours", 3))["neighbours"]
    assert [one["same_picture"] for one in found] == [True, False, False]
    assert set(found[0]) == {"case", "similarity", "picture", "text", "same_picture"}
    assert len(json.loads(said(image, "--run", run.path, "--json"))["neighbours"]) == 2


def test_nothing_similar_is_said_so(run: Run, image: Path, tmp_path: Path) -> None:
    path = run.path.parent / "strict"
    strict = RECIPE.model_copy(
        update={"retrieve": RECIPE.retrieve.model_copy(update={"threshold": 1.0})}
    )
    new = tmp_path / "test.png"
    new.write_bytes(next(cases(RECIPE.data, "test")).pictures[0].read())
    fit(strict, path)
    assert "similar enough" in said(new, "--run", path)


def test_an_index_can_be_made_afterwards(image: Path, tmp_path: Path) -> None:
    made = fit(RECIPE.model_copy(update={"retrieve": None}), tmp_path / "run")
    text = said("--build", "--thumbnails", 16, "--run", made.path)
    assert "index of similar cases" in text
    assert (made.index / "thumbnails.bin").exists()
    found = json.loads(said(image, "--build", "--json", "--run", made.path))["neighbours"]
    assert found[0]["same_picture"]
    assert not (made.index / "thumbnails.bin").exists()


def test_faults_are_one_line(run: Run, image: Path, tmp_path: Path) -> None:
    bare = fit(RECIPE.model_copy(update={"retrieve": None}), tmp_path / "bare")
    for words, line in [
        ([image, "--run", bare.path], "has no index of similar cases"),
        ([image, "--run", tmp_path], "is not a run"),
        (["--run", run.path], "or say --build"),
        ([image, "--run", run.path, "--thumbnails", "9"], "belong to --build"),
        ([tmp_path / "none.png", "--run", run.path], "there is no such file"),
        (["--build", "--encoder", tmp_path, "--run", run.path], "no such encoder"),
    ]:
        done = subprocess.run(
            [sys.executable, "-m", "vesalius.cli.main", "retrieve", *map(str, words)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2, words
        assert line in done.stderr
        assert done.stderr.count("\n") == 1
    assert len(json.loads(said(image, "--run", run.path, "--json"))["neighbours"]) == 2
