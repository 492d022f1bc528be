"""Commands whose work Ray shares out: the same rows as those of one process."""

from __future__ import annotations

import json
import pickle
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from vesalius import Recipe, Run
from vesalius.cli.main import main
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict

RECIPE = {
    "name": "shared",
    "data": {
        "dataset": "phantom",
        "options": {"cases": {"train": 4, "validation": 2, "test": 9}, "size": 48},
        "leaks": "allow",
    },
    "model": {
        "name": "generative",
        "tiny": True,
        "family": "llava",
        "training": {"max_steps": 1, "batch": 4},
    },
    "decoding": {"max_new_tokens": 4, "batch": 2},
}


def told(monkeypatch: pytest.MonkeyPatch, capsys: Any, *words: str) -> tuple[int, str, str]:
    """The exit code of ``vesalius`` with these words, and what it said."""
    monkeypatch.setattr(sys, "argv", ["vesalius", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0), *capsys.readouterr()


def rows(run: Run, name: str = "") -> list[dict[str, Any]]:
    """A set's rows without what the work cost."""
    lines = run.predictions_file(name).read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "usage"} for line in lines]


@pytest.mark.slow
def test_a_prediction_by_ray_is_that_of_one_process(
    ray_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run = fit(Recipe.model_validate(RECIPE), tmp_path / "run")
    alone = Run.open(Path(shutil.copytree(run.path, tmp_path / "alone")))
    predict(alone)
    ray = ("--engine", "ray", "--workers", "2")
    code, out, err = told(monkeypatch, capsys, "predict", "--run", str(run.path), *ray)
    assert code == 0, err
    assert "72 answers in" in out.replace("\n", "")
    assert rows(run) == rows(alone)
    shutil.rmtree(run.path / "shards")
    again = told(monkeypatch, capsys, "predict", "--run", str(run.path), *ray)
    assert again[0] == 0
    assert "items in" not in again[2]  # all answers are there: nothing is started
    assert not (run.path / "shards").exists()


def test_a_probe_can_be_made_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """What Ray's workers would be sent makes a job that can be worked on and merged."""
    made: list[str] = []

    def here(make: Any, workers: int | None) -> Any:
        job = pickle.loads(pickle.dumps(make))()
        job.work()
        made.append(f"{job.what} by {workers}")
        return make()

    monkeypatch.setattr("vesalius.system.ray_engine.run_on_ray", here)
    ray = ("--engine", "ray", "--workers", "3")
    run = fit(Recipe.model_validate(RECIPE | {"model": {"name": "majority"}}), tmp_path / "run")
    predict(run)
    code, out, err = told(monkeypatch, capsys, "probe", str(run.path), "--only", "reworded", *ray)
    assert code == 0, err
    assert "under changes" in out
    assert made == ["answering run by 3"]


def test_pictures_looked_at_by_ray_give_the_check_and_audit_of_one_process(
    ray_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    data = ("phantom", "--set", "cases={train: 80, test: 80}", "--set", "size=48")
    at = ("--engine", "ray", "--workers", "2", "--shards", str(tmp_path / "shards"))
    for words in (("data", "check", *data, "--no-text"), ("data", "audit", *data)):
        alone = told(monkeypatch, capsys, *words)
        shared = told(monkeypatch, capsys, *words, *at)
        assert shared[:2] == alone[:2]
    claims = list((tmp_path / "shards").glob("*.claim.*"))
    assert len(claims) == 3  # of 64 pictures at most; the audit took what the check had made


@pytest.mark.slow
def test_vectors_by_ray_are_those_of_one_process(
    ray_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def held(cache: Path) -> list[bytes]:
        with sqlite3.connect(cache / "features" / "features.sqlite") as database:
            rows = database.execute("SELECT vector FROM features").fetchall()
        return sorted(row[0] for row in rows)

    monkeypatch.setenv("VESALIUS_FEATURES_MB", "64")
    words = ("data", "embed", "phantom", "--set", "cases={test: 80}", "--set", "size=48")
    ray = ("--engine", "ray", "--workers", "2", "--shards", str(tmp_path / "shards"))
    for name, more in (("alone", ()), ("ray", ray)):
        monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / name))
        code, out, err = told(monkeypatch, capsys, *words, *more)
        assert code == 0, err
        assert "the vectors of 80 pictures" in out
    assert len(held(tmp_path / "alone")) > 70  # some phantoms are equal
    assert held(tmp_path / "ray") == held(tmp_path / "alone")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engine", "spark"], "there is no engine called 'spark'"),
        (["--engine", "ray", "--merge"], "--engine works and merges by itself"),
        (["--workers", "2"], "--workers belongs to --engine ray"),
    ],
)
def test_options_that_contradict_are_refused(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run = Run.create(tmp_path / "run", Recipe.model_validate(RECIPE))
    code, _, err = told(monkeypatch, capsys, "predict", "--run", str(run.path), *options)
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
