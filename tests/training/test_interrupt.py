"""Told to stop: the step is finished, a checkpoint saved, and the same command goes on."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.training.conftest import STEPS, Fitted, fit, same

from vesalius.errors import RunError
from vesalius.training import callbacks
from vesalius.training.checkpoints import last_complete
from vesalius.training.interrupt import Interrupt, Stopped


def signal_in(monkeypatch: pytest.MonkeyPatch, step: int, number: int, times: int = 1) -> None:
    """Send this process a signal while the given step is under way."""

    def on_step_begin(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == step - 1:
            for _ in range(times):
                # To this thread: one sent to the process may be heard after the next, as one.
                signal.raise_signal(number)

    monkeypatch.setattr(callbacks.Log, "on_step_begin", on_step_begin, raising=False)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"]
)
@pytest.mark.parametrize("step", [5, 6, STEPS], ids=["mid-epoch", "epoch's end", "last"])
def test_a_signal_ends_the_step_and_the_run_goes_on_to_the_same_bits(
    whole: Fitted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    code: int,
    step: int,
) -> None:
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patched:
        signal_in(patched, step, number)
        with pytest.raises(
            Stopped, match=f"stopped at step {step}; the same command goes on"
        ) as caught:
            fit(tmp_path / "run")
    assert caught.value.exit_code == code
    assert isinstance(caught.value, RunError)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    last = last_complete(tmp_path / "run" / "checkpoints")
    assert last is not None
    assert last.name == f"checkpoint-{step}"
    same(whole, fit(tmp_path / "run"))


def test_the_second_signal_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_in(monkeypatch, 5, signal.SIGINT, times=2)
    # As a program begins; one that a shell starts in the background ignores this signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run")
    finally:
        signal.signal(signal.SIGINT, before)
    last = last_complete(tmp_path / "run" / "checkpoints")
    assert last is not None
    assert last.name == "checkpoint-4"


def test_the_handlers_are_put_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def break_down() -> None:
        with Interrupt():
            assert signal.getsignal(signal.SIGTERM) != before
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        break_down()
    assert signal.getsignal(signal.SIGTERM) == before


def test_in_another_thread_nothing_is_listened_for() -> None:
    before, during = signal.getsignal(signal.SIGTERM), []

    def enter() -> None:
        with Interrupt():
            during.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert during == [before]
