"""A consensus of three with folds, killed at random moments, answers as if it had not been."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vesalius import Run
from vesalius.steps.export import export
from vesalius.steps.predict import predict

RECIPE = """
name: consensus
data: {dataset: phantom, options: {cases: {train: 16, validation: 3, test: 4}, size: 48}}
model:
  name: consensus
  members:
    often: {name: majority}
    near: {name: nearest}
    probe: {name: linear_probe, epochs: 3}
folds: 3
evaluation: {resamples: 0}
"""
KILLS = 5


def start(recipe: Path, run: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vesalius", "fit", str(recipe), "--run", str(run)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def errors(process: subprocess.Popen[bytes]) -> str:
    """The end of what a process wrote on standard error."""
    return process.stderr.read().decode()[-2000:] if process.stderr else ""


def files(run: Path) -> int:
    return sum(1 for path in run.rglob("*") if not path.name.startswith("."))


def answers(run: Path) -> list[dict[str, object]]:
    predict(Run.open(run))
    rows = (run / "predictions.jsonl").read_text().splitlines()
    return [json.loads(row) for row in rows]


@pytest.mark.slow
def test_a_consensus_killed_five_times_is_the_same(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    assert start(recipe, tmp_path / "whole").wait(600) == 0
    written, killed = files(tmp_path / "whole"), tmp_path / "killed"
    # Moments are told by what is on the disk: a machine's speed decides nothing.
    for moment in sorted(random.Random(20261126).sample(range(1, written - 1), KILLS)):
        process = start(recipe, killed)
        while process.poll() is None and files(killed) < moment:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL, errors(process)
    last = start(recipe, killed)
    assert last.wait(600) == 0, errors(last)
    assert answers(tmp_path / "killed") == answers(tmp_path / "whole")
    done = export(Run.open(tmp_path / "killed"), tmp_path / "export", check=8)
    assert done.checked == 8
