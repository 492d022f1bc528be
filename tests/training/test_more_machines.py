"""A recipe under a launcher: the loss curve of one process with the same global batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vesalius import Recipe, Run
from vesalius.steps.fit import fit
from vesalius.steps.prepare import to_fit_on
from vesalius.system.files import read_lines

ROOT = Path(__file__).resolve().parents[2]
CASES = 8


def recipe(batch: int) -> Recipe:
    """Packed rows, one an image: an epoch is 8 rows, and with 2 a step 4 steps."""
    return Recipe.model_validate(
        {
            "name": "tiny",
            "data": {
                "dataset": "phantom",
                "options": {"cases": {"train": CASES, "validation": 4, "test": 2}, "size": 48},
                "leaks": "allow",
            },
            "model": {
                "name": "generative",
                "tiny": True,
                "family": "llava",
                "roles": {"vision": "frozen", "projector": "full", "language": "adapter"},
                "adapter": {"r": 4, "dropout": 0.0},
                "training": {
                    "epochs": 2,
                    "batch": batch,
                    "learning_rate": 0.01,
                    "checkpoint_steps": 3,
                    "keep_best": 1,
                },
                "device": "cpu",
                "precision": "fp32",  # bf16 rounds rows of two processes another way
            },
            "evaluation": {"validate_on": 4},
        }
    )


def launch(folder: Path, batch: int) -> Run:
    """The same command, started twice by accelerate."""
    file = folder / "recipe.yaml"
    file.write_text(recipe(batch).to_yaml())
    config = ROOT / "recipes" / "accelerate" / "cpu-2.yaml"
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    command += [str(ROOT / "tests/training/spied.py"), "fit", str(file)]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "GLOO_SOCKET_IFNAME": "lo",
        "SPIED": str(folder),
    }
    done = subprocess.run(
        [*command, "--run", str(folder / "run")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return Run.open(folder / "run")


@pytest.mark.slow
def test_a_recipe_under_a_launcher_learns_as_in_one_process(tmp_path: Path) -> None:
    two = launch(tmp_path, batch=1)
    one = fit(recipe(batch=2), tmp_path / "alone")
    curves = [[row for _, row in read_lines(run.log)] for run in (one, two)]
    assert [row["step"] for row in curves[0]] == [row["step"] for row in curves[1]]
    assert len([row for row in curves[0] if "loss" in row]) == 8
    for alone, together in zip(*curves, strict=True):
        names = [name for name in ("loss", "grad_norm", "validation") if name in alone]
        told = {name: together.get(name) for name in names}
        assert told == pytest.approx({name: alone[name] for name in names}, rel=1e-5, abs=1e-5)
    status = two.status()
    assert (status["state"], status["processes"], status["steps"]) == ("fitted", 2, 8)
    assert status["best_step"] in (4, 8)
    assert (two.weights / "adapter" / "adapter_model.safetensors").exists()
    assert not (two.path / "checkpoints").exists()

    # Packing survives sharding: over an epoch every dialogue once, in one process or the other.
    met = [json.loads((tmp_path / f"ids-{rank}.json").read_text()) for rank in (0, 1)]
    everything = sorted(dialogue.id for dialogue in to_fit_on(recipe(1).data, "train"))
    assert len(everything) > CASES
    for epoch in (slice(0, 4), slice(4, 8)):
        seen = [name for process in met for step in process[epoch] for name in step]
        assert sorted(seen) == everything


def test_the_package_can_be_started_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vesalius", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.strip()
