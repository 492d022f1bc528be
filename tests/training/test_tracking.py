"""Trackers follow a fit: they get its curve and its numbers, change nothing, and cannot stop it."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, ClassVar

import pytest
import transformers.integrations
from tests.training.conftest import RECIPE, Fitted, fit, same
from tests.training.tracked import (
    by_name,
    expected,
    tensorboard_scalars,
    wandb_config,
    wandb_curve,
)

from vesalius import Recipe, Run
from vesalius.errors import MissingExtra, RecipeError
from vesalius.training import callbacks, trackers
from vesalius.training.trackers import LIBRARIES, require_installed
from vesalius.training.tracking import settings_of, tracking

VARIABLES = ("WANDB_", "TRACKIO_", "MLFLOW_", "TENSORBOARD_")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(VARIABLES) and name != "WANDB_ERROR_REPORTING":
            monkeypatch.delenv(name)


def followed_by(*names: str) -> Recipe:
    return RECIPE.model_copy(update={"report_to": names})


def validation() -> Any:
    scores = iter((0.2, 0.5, 0.4))
    return lambda: {"validation": next(scores)}


def only(folder: Path, pattern: str) -> Path:
    (file,) = folder.glob(pattern)
    return file


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type:
    """Stands in trackio's place: notes what it is called with, and raises where a test wants it."""

    class Scripted:
        calls: ClassVar[list[Any]] = []
        closed: ClassVar[list[bool]] = []
        fails: ClassVar[str] = ""

        def _note(self, what: str, value: Any = None) -> None:
            if what == Scripted.fails:
                raise ConnectionError("the server\nis away")
            Scripted.calls.append((what, value))

        def on_train_begin(self, args: Any, state: Any, control: Any) -> None:
            sys.stdout.write("* a banner\n")
            self._note("begin", args)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any) -> None:
            self._note("log", (state.global_step, logs))

        def on_train_end(self, args: Any, state: Any, control: Any) -> None:
            self._note("end")

    name = "get_reporting_integration_callbacks"
    monkeypatch.setattr(transformers.integrations, name, lambda names: [Scripted])
    library = trackers.Library("", LIBRARIES["trackio"].opening, Scripted.closed.append)
    monkeypatch.setitem(LIBRARIES, "trackio", library)
    return Scripted


def test_tensorboards_file_is_the_runs_log(tmp_path: Path) -> None:
    done = fit(tmp_path / "run", recipe=followed_by("tensorboard"), validate=validation())
    folder = only(done.run.path / "tensorboard", "r-*")
    scalars, wanted = tensorboard_scalars(folder), by_name(expected(done.log))
    assert set(scalars) == {
        "eval/validation",
        *(f"train/{key}" for key in ("epoch", "loss", "grad_norm", "learning_rate")),
    }
    # A scalar is a float32 there: equal to seven digits.
    for name, rows in wanted.items():
        assert [step for step, _ in scalars[name]] == [step for step, _ in rows]
        assert [v for _, v in scalars[name]] == pytest.approx([v for _, v in rows], rel=1e-6)


def test_wandbs_offline_file_is_the_runs_log(tmp_path: Path) -> None:
    done = fit(tmp_path / "run", recipe=followed_by("wandb"), validate=validation())
    file = only(done.run.path / "wandb", "offline-run-*/*.wandb")
    assert wandb_curve(file) == expected(done.log)
    assert wandb_config(file) == settings_of(followed_by("wandb"))


def test_a_run_is_the_same_with_trackers_and_without(whole: Fitted, tmp_path: Path) -> None:
    done = fit(tmp_path / "run", recipe=followed_by("tensorboard", "wandb"))
    same(whole, done)
    assert done.run.status().keys() == whole.run.status().keys()
    assert not set(LIBRARIES["wandb"].variables) & set(os.environ)


def test_a_fit_that_goes_on_has_its_whole_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: object, args: object, state: Any, control: object, **_: object) -> None:
        if state.global_step == 4:
            raise KeyboardInterrupt

    recipe = followed_by("tensorboard")
    with monkeypatch.context() as patched:
        patched.setattr(callbacks.Log, "on_step_end", die, raising=False)
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run", recipe=recipe)
    (first,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert [step for step, _ in tensorboard_scalars(first)["train/loss"]] == [1, 2, 3]
    done = fit(tmp_path / "run", recipe=recipe)
    (second,) = set((tmp_path / "run" / "tensorboard").iterdir()) - {first}
    losses = tensorboard_scalars(second)["train/loss"]
    assert losses == [(row["step"], pytest.approx(row["loss"])) for row in done.log]


@pytest.mark.parametrize("moment", ["begin", "log", "end"])
def test_a_tracker_that_raises_is_left_behind_with_one_line(
    whole: Fitted,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    scripted: Any,
    moment: str,
) -> None:
    scripted.fails = moment
    done = fit(tmp_path / "run", recipe=followed_by("trackio"))
    same(whole, done)
    assert len(scripted.calls) == {"begin": 0, "log": 1, "end": 1 + len(done.log)}[moment]
    assert scripted.closed == [True]
    output = capfd.readouterr()
    line = "trackio failed and is left behind: ConnectionError: the server is away; the run's log"
    assert [one for one in output.err.splitlines() if "trackio" in one] == [
        f"{line} has the whole curve"
    ]
    assert "banner" not in output.out


@pytest.mark.slow
def test_a_wandb_that_is_away_costs_one_line(
    whole: Fitted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    away = {"MODE": "online", "BASE_URL": "http://127.0.0.1:9", "API_KEY": "0" * 40}
    for name, value in (away | {"INIT_TIMEOUT": "5"}).items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    same(whole, fit(tmp_path / "run", recipe=followed_by("wandb")))
    errors = capfd.readouterr().err
    assert errors.count("wandb failed and is left behind: CommError") == 1


def test_a_fit_that_fails_closes_its_tracker_as_failed(tmp_path: Path, scripted: Any) -> None:
    with pytest.raises(RecipeError, match="no score called"):
        fit(tmp_path / "run", recipe=followed_by("trackio"), validate=lambda: {"other": 1.0})
    assert scripted.calls[-1][0] == "end"
    assert scripted.closed == [True]


def test_a_model_without_a_curve_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], scripted: Any
) -> None:
    run = Run.create(tmp_path / "run", followed_by("trackio"))
    with tracking(run, followed_by("trackio")):
        pass
    assert scripted.calls == []
    assert "trackio was given nothing: this model has no learning curve" in capfd.readouterr().err


def test_other_processes_follow_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted: Any
) -> None:
    run = Run.create(tmp_path / "run", followed_by("trackio"))
    monkeypatch.setenv("RANK", "1")
    with tracking(run, followed_by("trackio")) as followed:
        assert followed.followers == ()


def test_a_tracker_gets_numbers_and_names_of_closed_lists() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "description": "Mueller",
            "seed": 3,
            "data": {
                "dataset": "folder",
                "root": "/wards/Mueller",
                "instruction": "What has Mueller?",
                "context": ["Mueller"],
                "options": {"columns": {"patient": "Mueller"}, "Mueller": 5},
                "limit": {"train": 7},
            },
            "model": {
                "name": "generative",
                "weights": "/wards/Mueller",
                "precision": "bf16",
                "members": {"Mueller": {"name": "majority", "Mueller": 1}},
                "roles": {"Mueller": 1},
                "system": "Mueller",
                "tiny": True,
                "adapter": {"r": 4, "targets": "Mueller"},
                "training": {
                    "learning_rate": 0.5,
                    "optimizer": "adamw_torch",
                    "schedule": "linear",
                },
            },
            "evaluation": {"metrics": [{"Mueller": {}}]},
            "claims": [{"better_than": "runs/Mueller"}],
        }
    )
    settings = settings_of(recipe)
    assert "Mueller" not in json.dumps(settings)
    assert {key: value for key, value in settings.items() if key.startswith(("model", "data"))} == {
        "data.dataset": "folder",
        "data.task": "vqa",
        "model.adapter.r": 4,
        "model.name": "generative",
        "model.precision": "bf16",
        "model.tiny": True,
        "model.training.learning_rate": 0.5,
        "model.training.optimizer": "adamw_torch",
        "model.training.schedule": "linear",
    }
    assert settings["seed"] == 3
    assert settings["decoding.max_new_tokens"] == 64


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_a_tracker_that_is_not_installed_is_refused_with_the_command(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()  # a folder of runs, which Python would take for a package
    nowhere = partial(PathFinder.find_spec, path=[str(tmp_path)])
    monkeypatch.setattr(trackers, "find_spec", nowhere)
    with pytest.raises(MissingExtra, match="pip install") as caught:
        require_installed((name,))
    assert name in str(caught.value)
