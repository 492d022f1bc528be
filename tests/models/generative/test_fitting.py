"""Training runs: the same twice, resumed where they were killed, and never without the image."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from vesalius import Recipe, Run
from vesalius.errors import ModelError, RecipeError
from vesalius.steps.fit import fit
from vesalius.steps.plan import mask, plan
from vesalius.system.files import read_lines
from vesalius.training.checkpoints import MARKER, last_complete

STEPS = 8


def recipe(**changes: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "tiny",
            "data": {
                "dataset": "phantom",
                "options": {"cases": {"train": 6, "validation": 2, "test": 2}, "size": 48},
            },
            "model": {
                "name": "generative",
                "tiny": True,
                "family": "llava",
                "roles": {"vision": "frozen", "projector": "full", "language": "adapter"},
                "adapter": {"r": 4, "dropout": 0.1},
                "training": {
                    "max_steps": STEPS,
                    "batch": 2,
                    "accumulate": 2,
                    "checkpoint_steps": 2,
                    "learning_rate": 0.01,
                },
                **changes,
            },
        }
    )


def weights(run: Run) -> dict[str, object]:
    return load_file(run.weights / "adapter" / "adapter_model.safetensors")


def losses(run: Run) -> list[float]:
    return [float(row["loss"]) for _, row in read_lines(run.log) if "loss" in row]


def equal(one: Run, other: Run) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first)
    assert losses(one) == losses(other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(recipe(), tmp_path_factory.mktemp("whole") / "run")


def test_a_seed_gives_the_same_run_twice(whole: Run, tmp_path: Path) -> None:
    equal(whole, fit(recipe(), tmp_path / "run"))


def test_a_stopped_run_goes_on_to_the_same_end(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vesalius.training import loop

    def stop(self: object, args: object, state: object, control: object, **_: object) -> None:
        if state.global_step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop.Marker, "on_step_end", stop, raising=False)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe(), tmp_path / "run")
    torn = tmp_path / "run" / "checkpoints" / "checkpoint-6"
    torn.mkdir()  # begun and never finished: it must be passed over
    assert last_complete(torn.parent) == torn.with_name("checkpoint-4")
    equal(whole, fit(recipe(), tmp_path / "run"))
    assert not (tmp_path / "run" / "checkpoints").exists()


def kill(fitted: Recipe, folder: Path) -> None:
    """Begin a fit in a process of its own, which dies after its first checkpoint."""
    file = folder.with_suffix(".yaml")
    file.write_text(fitted.to_yaml())
    command = [sys.executable, "-m", "vesalius", "fit", str(file), "--run", str(folder)]
    # As many threads as this process has: sums in another order are other sums.
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.time() + 240
    while not list(folder.glob(f"checkpoints/*/{MARKER}")) and time.time() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not Run.open(folder).fitted


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_end(whole: Run, tmp_path: Path) -> None:
    kill(recipe(), tmp_path / "run")
    equal(whole, fit(recipe(), tmp_path / "run"))


@pytest.mark.slow
def test_a_killed_fit_of_a_mixture_goes_on_to_the_same_end(tmp_path: Path) -> None:
    content = recipe().model_dump(mode="json")
    options = content["data"]["options"] | {"seed": 5}
    content["data"]["mix"] = [
        {"dataset": "phantom", "name": "more", "options": options, "weight": 0.5},
        {"dataset": "phantom", "name": "captions", "options": options, "task": "caption"},
    ]
    content["data"]["leaks"] = "allow"
    mixed = Recipe.model_validate(content)
    whole = fit(mixed, tmp_path / "whole")
    assert set(whole.status()["data"]["train"]["sets"]) == {"phantom", "more", "captions"}
    kill(mixed, tmp_path / "run")
    equal(whole, fit(mixed, tmp_path / "run"))


def test_what_trains_is_recorded_and_only_that(whole: Run) -> None:
    parts = whole.status()["parts"]
    assert parts["vision"]["trainable"] == 0
    assert parts["projector"]["trainable"] == parts["projector"]["parameters"]
    assert 0 < parts["language"]["trainable"] < parts["language"]["parameters"] / 2
    assert all("language_model" in n or "multi_modal_projector" in n for n in weights(whole))


def test_an_adapter_that_lands_nowhere_is_refused() -> None:
    with pytest.raises(ModelError, match="lands on no module"):
        plan(recipe(adapter={"targets": "no_such_layer"}))


def test_a_dialogue_that_does_not_fit_is_named_not_cut() -> None:
    with pytest.raises(ModelError, match=r"phantom.*tokens do not fit into 16"):
        plan(recipe(max_length=16))


def test_the_test_split_may_not_train() -> None:
    data = recipe().data.model_dump() | {"splits": {"train": "test", "test": "test"}}
    with pytest.raises(RecipeError, match="test split"):
        plan(Recipe.model_validate(recipe().model_dump() | {"data": data}))


def test_the_mask_shows_replies_and_nothing_else() -> None:
    shown = list(mask(recipe()))
    text = "".join(token for token, _ in shown)
    assert "image tokens]" in text
    borne = "".join(token for token, bears in shown if bears)
    assert "USER" not in borne
    assert "?" not in borne
    assert borne.count("</s>") == text.count("</s>") > 1
