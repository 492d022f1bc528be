"""A detector whose fit is killed in the middle, for real, is the one of a fit that was not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import safe_open

RECIPE = """
name: killed
data:
  dataset: phantom
  options: {cases: {train: 12, validation: 3, test: 3}, size: 64}
  task: detect
  leaks: allow
model:
  name: nanodet
  size: tiny
  image_size: 64
  training: {max_steps: 30, batch: 4, checkpoint_steps: 5}
evaluation: {metrics: [detection], resamples: 0}
"""


def start(recipe: Path, run: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vesalius", "fit", str(recipe), "--run", str(run)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def weights(run: Path) -> dict[str, list[float]]:
    with safe_open(run / "weights" / "model" / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name).flatten().tolist() for name in file.keys()}  # noqa: SIM118


@pytest.mark.slow
def test_a_fit_that_is_killed_goes_on_to_the_same_weights_and_point(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    first = start(recipe, killed)
    # The moment is told by what is on the disk: a machine's speed decides nothing.
    while first.poll() is None and not list(killed.glob("checkpoints/checkpoint-*")):
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    assert first.wait(60) == -signal.SIGKILL, first.stderr and first.stderr.read()[-2000:]
    assert not (killed / "weights" / "model").exists()
    for path in (killed, whole):
        process = start(recipe, path)
        assert process.wait(600) == 0, process.stderr and process.stderr.read()[-2000:]
    assert weights(killed) == weights(whole)
    tables = [(path / "weights" / "detector.json").read_text() for path in (killed, whole)]
    assert tables[0] == tables[1]
