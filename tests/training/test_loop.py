"""An interrupted run ends as an uninterrupted one does, to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.conftest import RECIPE, STEPS, Fitted, fit, network, same

from vesalius import Run
from vesalius.training import callbacks
from vesalius.training.checkpoints import last_complete
from vesalius.training.interrupt import Interrupt


class Killed(Exception):
    """Stands for the process being killed: nothing of ours runs behind it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    def die(self: object, args: object, state: object, control: object, **_: object) -> None:
        if state.global_step == step:
            raise Killed

    monkeypatch.setattr(callbacks.Log, "on_step_end", die, raising=False)


SLOW = [pytest.param(step, marks=pytest.mark.slow) for step in (1, 3, 6, 8, 9)]


@pytest.mark.parametrize("step", [4, *SLOW])
def test_a_killed_run_goes_on_to_the_same_bits(
    whole: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    # 3 steps an epoch and a checkpoint every 2: from the start (1), in mid-epoch (3 -> 2, 6 -> 4),
    # at an epoch's last step (8 -> 6), and after the last but one checkpoint (9 -> 8).
    with monkeypatch.context() as patched:
        kill_at(patched, step)
        with pytest.raises(Killed):
            fit(tmp_path / "run")
    resumed = last_complete(tmp_path / "run" / "checkpoints")
    assert (resumed and resumed.name) == (f"checkpoint-{(step - 1) // 2 * 2}" if step > 2 else None)
    again = fit(tmp_path / "run")
    same(whole, again)
    assert again.facts["train_loss"] == whole.facts["train_loss"]
    assert [row["step"] for row in again.log] == list(range(1, STEPS + 1))


def test_the_data_order_hangs_on_the_recipes_seed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = Interrupt.__enter__

    def reseed(self: Interrupt) -> Interrupt:
        torch.manual_seed(99)  # between Trainer() and train(): it would shuffle by this
        return entered(self)

    plain = fit(tmp_path / "plain", model=network(dropout=0.0))
    monkeypatch.setattr(Interrupt, "__enter__", reseed)
    same(plain, fit(tmp_path / "run", model=network(dropout=0.0)))


def test_a_run_stopped_after_its_last_step_trains_no_further(
    whole: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 8 steps end in mid-epoch (3 an epoch): Trainer alone would take a ninth.
    first = fit(tmp_path / "run", max_steps=8)
    again = fit(tmp_path / "run", max_steps=8)
    assert again.facts["steps"] == 8
    same(first, again)


def test_the_weights_are_written_where_the_learner_wants_them(tmp_path: Path) -> None:
    target = Run.create(tmp_path / "run", RECIPE).weights / "adapter"
    target.mkdir(parents=True)
    (target / "old").touch()
    done = fit(tmp_path / "run", save_to=target)
    assert {p.name for p in target.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    saved = load_file(target / "adapter_model.safetensors")
    assert all((saved[name] == weight).all() for name, weight in done.weights.items())


def test_the_facts_say_how_much_in_how_long(whole: Fitted) -> None:
    # 10 rows of 4, 5, 6, 7, 8, 4 ... tokens are 60 tokens; 3 epochs: 30 rows, 180 tokens.
    facts = whole.facts
    assert facts["steps"] == STEPS
    assert facts["processes"] == 1
    assert facts["tokens_per_second"] / facts["samples_per_second"] == pytest.approx(6, rel=0.01)
    assert facts["train_loss"] == pytest.approx(sum(r["loss"] for r in whole.log) / STEPS)
    assert facts["memory_peak_mb"] >= facts["memory_before_mb"] > 0
    assert facts["memory_peak_mb"] - facts["memory_before_mb"] == pytest.approx(
        facts["training_memory_mb"], abs=1
    )


def test_counts_reach_a_model_that_declares_it_takes_none(tmp_path: Path) -> None:
    # Below the adapters: Trainer looks there, and would fall back to a mean of means.
    model = network()
    model.get_base_model().accepts_loss_kwargs = False
    seen: list[object] = []
    forward = model.get_base_model().forward

    def spy(**batch: object) -> object:
        seen.append(batch.get("num_items_in_batch"))
        return forward(**batch)

    model.get_base_model().forward = spy
    fit(tmp_path / "run", model=model, max_steps=1)
    assert len(seen) == 2
    assert all(count is not None for count in seen)
