"""scripts/gpu-check proves itself on a CPU, says what it leaves out, and ends with its children."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from vesalius.models.generative.weights.sizes import published

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "gpu-check"
SHAPES = ROOT / "benchmarks" / "gpu" / "shapes.yaml"


def check(out: Path, *options: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, str(SCRIPT), "--tiny", "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    printed: dict[str, Any] = json.loads(done.stdout)
    assert printed == json.loads(out.read_text())
    return done.returncode, printed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_what_needs_a_gpu_is_skipped_with_its_reason(tmp_path: Path) -> None:
    code, report = check(tmp_path / "out.json", "--only", "scaler")
    assert code == 0
    assert report["parts"]["scaler"]["rows"][0]["skipped"] == "loss scaling needs a CUDA device"
    assert report["machine"]["packages"]["torch"] == torch.__version__.split("+")[0]


def test_a_part_that_has_no_time_is_told(tmp_path: Path) -> None:
    code, report = check(tmp_path / "out.json", "--only", "exact", "--minutes", "0")
    assert code == 0
    assert report["parts"]["exact"]["rows"] == [{"skipped": "no time was left"}]


def test_shapes_are_those_of_published_models() -> None:
    shapes = yaml.safe_load(SHAPES.read_text())
    assert {row["weights"] for row in shapes.values()} <= set(published())
    wanted = {"llava-1.5-7b", "llama-3.2-11b-vision", "blip2-flan-t5-xl", "qwen3-vl-4b"}
    assert wanted <= set(shapes)


@pytest.mark.slow
def test_every_part_runs_at_toy_size(tmp_path: Path) -> None:
    code, report = check(tmp_path / "out.json", "--minutes", "14")
    rows = [(name, row) for name, part in report["parts"].items() for row in part["rows"]]
    assert [row for row in rows if "failed" in row[1] or row[1].get("ok") is False] == []
    assert code == 0
    assert len(rows) > 100
