"""Settings that cannot be trained with are refused in words, before any long work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.conftest import fit

from vesalius.errors import MissingExtra, RecipeError, UnknownName
from vesalius.training import preflight
from vesalius.training.preflight import require
from vesalius.training.settings import Training


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")


def test_half_precision_on_the_cpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"fp16 is for CUDA.*bf16, fp32 or auto"):
        fit(tmp_path / "run", dtype=torch.float16)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_an_eight_bit_optimizer_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Training(optimizer="adamw_8bit")
    require(settings, dtype=torch.float32, validated=False)
    monkeypatch.setattr(preflight, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"bitsandbytes.*vesalius\[train\]"):
        require(settings, dtype=torch.float32, validated=False)


def test_an_eight_bit_optimizer_trains(tmp_path: Path) -> None:
    done = fit(tmp_path / "run", optimizer="adamw_8bit", max_steps=2)
    assert done.facts["steps"] == 2


def test_an_unknown_optimizer_is_named_with_its_neighbours() -> None:
    with pytest.raises(UnknownName, match=r"no optimizer called 'adamw_torhc'.*adamw_torch"):
        require(Training(optimizer="adamw_torhc"), dtype=torch.float32, validated=False)


def test_the_best_are_not_kept_of_sharded_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(RecipeError, match="keep_best: the best weights cannot be kept"):
        require(Training(keep_best=1), dtype=torch.float32, validated=True)
    require(Training(patience=1), dtype=torch.float32, validated=True)
