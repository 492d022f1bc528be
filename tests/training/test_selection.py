"""Early stopping and the best weights, also over an interruption."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model_state_dict
from safetensors.torch import load_file
from tests.training.conftest import Fitted, fit, network, same

from vesalius.errors import RecipeError, RunError
from vesalius.system.files import read_lines
from vesalius.training import callbacks
from vesalius.training.interrupt import Stopped
from vesalius.training.selection import Standing

NAN = float("nan")


class Killed(Exception):
    """Stands for the process being killed."""


def scripted(path: Path, scores: dict[int, float]) -> Callable[[], dict[str, float]]:
    """A validation whose score at each step is written down beforehand."""

    def validate() -> dict[str, float]:
        *_, (_, last) = read_lines(path / "log.jsonl")
        torch.rand(3)  # a validation may draw; training must not notice
        return {"validation": scores[last["step"]], "other": -float(last["step"])}

    return validate


def kept(path: Path) -> list[str]:
    return sorted(p.name for p in (path / "best").iterdir())


def validated(done: Fitted) -> list[int]:
    return [row["step"] for row in done.log if "validation" in row]


def test_the_best_weights_become_the_model(whole: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "run"
    seen: dict[int, dict[str, torch.Tensor]] = {}
    model = network()
    scores = scripted(path, {3: 0.2, 6: 0.5, 9: 0.4})

    def validate() -> dict[str, float]:
        state = get_peft_model_state_dict(model)
        seen[len(seen)] = {name: weight.clone() for name, weight in state.items()}
        return scores()

    done = fit(path, model=model, validate=validate, keep_best=2)
    assert (done.facts["best_step"], done.facts["best_score"]) == (6, 0.5)
    assert done.facts["steps"] == 9
    assert done.facts["stopped_early"] is False
    assert kept(path) == ["6", "9"]
    assert json.loads((path / "best" / "6" / "score.json").read_text())["score"] == 0.5
    second = seen[1]  # epochs end at steps 3, 6 and 9
    assert all(torch.equal(done.weights[name], second[name]) for name in second)
    assert not all(torch.equal(done.weights[name], seen[2][name]) for name in second)
    # Validating changed nothing of the training itself.
    assert [r for r in done.log if "loss" in r] == whole.log


def test_what_is_saved_is_the_best(tmp_path: Path) -> None:
    path = tmp_path / "run"
    done = fit(
        path,
        validate=scripted(path, {3: 0.9, 6: 0.5, 9: 0.4}),
        keep_best=1,
        save_to=path / "weights",
    )
    best = load_file(path / "best" / "3" / "adapter_model.safetensors")
    saved = load_file(path / "weights" / "adapter_model.safetensors")
    assert all(torch.equal(saved[name], best[name]) for name in best)
    assert done.facts["best_step"] == 3


def test_without_improvement_it_stops(tmp_path: Path) -> None:
    path = tmp_path / "run"
    scores = {2: 0.5, 4: 0.6, 6: 0.6, 8: 0.1, 9: 1.0}
    done = fit(path, validate=scripted(path, scores), patience=2, validate_every=2)
    # An equal score is no improvement: 6 and 8 make two in a row, and 9 is never seen.
    assert done.facts["steps"] == 8
    assert done.facts["stopped_early"] is True
    assert validated(done) == [2, 4, 6, 8]
    again = fit(path, validate=scripted(path, scores), patience=2, validate_every=2)
    assert again.facts["steps"] == 8  # it is over: the same command trains no further
    same(done, again)


def test_a_score_that_is_no_number_never_wins(tmp_path: Path) -> None:
    path = tmp_path / "run"
    done = fit(path, validate=scripted(path, {3: NAN, 6: 0.1, 9: NAN}), keep_best=3)
    assert (done.facts["best_step"], done.facts["best_score"]) == (6, 0.1)
    assert kept(path) == ["6"]


def test_with_nothing_measured_the_last_weights_stay(whole: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "run"
    done = fit(path, validate=scripted(path, dict.fromkeys((3, 6, 9), NAN)), keep_best=1)
    assert done.facts["best_step"] is None
    assert all(torch.equal(done.weights[n], whole.weights[n]) for n in whole.weights)


def test_the_watched_score_decides(tmp_path: Path) -> None:
    path = tmp_path / "run"
    scores = scripted(path, {3: 0.1, 6: 0.2, 9: 0.3})
    done = fit(path, validate=scores, watch="other", keep_best=1)
    assert (done.facts["best_step"], done.facts["best_score"]) == (3, -3.0)
    with pytest.raises(RecipeError, match=r"no score called 'acc'.*other, validation"):
        fit(tmp_path / "again", validate=scripted(tmp_path / "again", {3: 0.1}), watch="acc")


SLOW = [pytest.param(step, marks=pytest.mark.slow) for step in (4, 5, 9)]


@pytest.mark.parametrize("kill", [7, *SLOW])
def test_a_killed_run_chooses_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: int
) -> None:
    # Killed at 5 it goes on from 4, one validation (2 or 3) short of patience having run out; at 7
    # from 6, when 3 may have been dropped already for something better.
    settings: dict[str, Any] = {"patience": 3, "keep_best": 2, "validate_every": 1}
    scores = {1: 0.1, 2: 0.5, 3: 0.2, 4: 0.2, 5: 0.6, 6: 0.7, 7: 0.4, 8: 0.3, 9: 0.2}
    straight = tmp_path / "straight"
    done = fit(straight, validate=scripted(straight, scores), **settings)

    def die(self: object, args: object, state: Any, control: object, **_: object) -> None:
        if state.global_step == kill:
            raise Killed

    path = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(callbacks.Log, "on_step_end", die, raising=False)
        with pytest.raises(Killed):
            fit(path, validate=scripted(path, scores), **settings)
    again = fit(path, validate=scripted(path, scores), **settings)
    same(done, again)
    assert kept(path) == kept(straight) == ["5", "6"]
    chosen = ("best_step", "best_score", "stopped_early", "steps")
    assert [again.facts[n] for n in chosen] == [done.facts[n] for n in chosen] == [6, 0.7, True, 9]


def test_told_to_stop_where_a_validation_is_due_it_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_step_begin(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    scores = {3: 0.5, 6: 0.4, 9: 0.3}
    path, straight = tmp_path / "run", tmp_path / "straight"
    with monkeypatch.context() as patched:
        patched.setattr(callbacks.Log, "on_step_begin", on_step_begin, raising=False)
        with pytest.raises(Stopped):
            fit(path, validate=scripted(path, scores), keep_best=1)
    assert not (path / "best").exists()
    done = fit(straight, validate=scripted(straight, scores), keep_best=1)
    same(done, fit(path, validate=scripted(path, scores), keep_best=1))


def test_told_to_stop_in_the_last_validation_it_stops_too(tmp_path: Path) -> None:
    path = tmp_path / "run"
    scores = scripted(path, {3: 0.5, 6: 0.4, 9: 0.3})

    def validate() -> dict[str, float]:
        found = scores()
        if found["other"] == -9:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    with pytest.raises(Stopped, match="stopped at step 9"):
        fit(path, validate=validate, keep_best=1)
    again = fit(path, validate=scripted(path, {}), keep_best=1)  # nothing is left to validate
    assert (again.facts["best_step"], again.facts["steps"]) == (3, 9)


@pytest.mark.parametrize("harm", [shutil.rmtree, lambda f: (f / "README.md").write_text("?")])
def test_kept_weights_that_went_missing_or_changed_are_refused(
    tmp_path: Path, harm: Callable[[Path], Any]
) -> None:
    path = tmp_path / "run"
    scores = scripted(path, {3: 0.5, 6: 0.4, 9: 0.3})
    fit(path, validate=scores, keep_best=1)
    harm(path / "best" / "3")
    with pytest.raises(RunError, match="best/3"):
        fit(path, validate=scores, keep_best=1)


@pytest.mark.parametrize("name", ["patience", "keep_best"])
def test_choosing_without_validating_is_refused_before_any_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError, match=f"training.{name}: chooses by validation scores"):
        fit(tmp_path / "run", **{name: 1})
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_the_best_are_ranked_and_the_earlier_of_equals_stays() -> None:
    standing = Standing()
    for step, score in enumerate([0.3, 0.5, NAN, 0.5, 0.4], start=1):
        standing.note(step, score, keep=2)
    assert standing.kept == [(0.5, 2), (0.5, 4)]
    assert (standing.best_step, standing.best_score) == (2, 0.5)
    assert (standing.stale, standing.validated) == (3, 5)  # NaN, the equal one, the lower one
    assert Standing.read(json.loads(json.dumps(standing.__dict__))) == standing
    assert not math.isnan(standing.best_score)
