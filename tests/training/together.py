"""What each of two processes goes through; test_processes starts them and reads what they say."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from tests.training.conftest import RECIPE, fit, network, rows
from tests.training.test_trainer import poisoned

from vesalius import Run
from vesalius.errors import RunError, VesaliusError
from vesalius.run import is_main
from vesalius.training import callbacks
from vesalius.training.processes import gathered, highest, main_first, on_main
from vesalius.training.trainer import WatchedTrainer

RANK = int(os.environ["RANK"])


def made(path: Path) -> Path:
    with main_first():
        Run.create(path, RECIPE)
    return path


def curve(folder: Path) -> dict[str, Any]:
    """12 rows, one a batch in each process: as two a batch in one."""
    met: list[str] = []
    collected = WatchedTrainer.get_batch_samples

    def spy(self: WatchedTrainer, iterator: Any, count: int, device: Any) -> Any:
        found = collected(self, iterator, count, device)
        met.extend(name for ids in self._ids for name in ids or ())
        return found

    WatchedTrainer.get_batch_samples = spy
    try:
        done = fit(made(folder), model=network(0.0), items=rows(12), batch=1)
    finally:
        WatchedTrainer.get_batch_samples = collected
    weights = {name: float(weight.double().sum()) for name, weight in done.weights.items()}
    return {"met": met, "facts": done.facts, "weights": weights}


def uneven(folder: Path) -> list[str]:
    """11 rows: the last round has one too few."""
    met: list[str] = []
    collected = WatchedTrainer.get_batch_samples

    def spy(self: WatchedTrainer, iterator: Any, count: int, device: Any) -> Any:
        found = collected(self, iterator, count, device)
        met.extend(name for ids in self._ids for name in ids or ())
        return found

    WatchedTrainer.get_batch_samples = spy
    try:
        fit(made(folder), items=rows(11), batch=1, epochs=1)
    finally:
        WatchedTrainer.get_batch_samples = collected
    return met


def nan(folder: Path) -> str:
    """The second process meets a loss that is no number."""
    model = poisoned(lambda loss: loss * (float("nan") if RANK == 1 else 1.0))
    items = rows(12)
    for row in items:
        row["tokens"][1] = 31  # every batch is poisoned, but only one process minds
    try:
        fit(made(folder), model=model, items=items, batch=1)
    except VesaliusError as error:
        return str(error)
    return "went on"


def stop(folder: Path) -> list[Any]:
    """The second process alone is told to stop in step 4; then the same command goes on."""

    def on_step_begin(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 3 and RANK == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    callbacks.Log.on_step_begin = on_step_begin
    try:
        fit(made(folder), items=rows(12), batch=1)
        said = "went on"
    except VesaliusError as error:
        said = f"{error.exit_code} {error}"
    finally:
        del callbacks.Log.on_step_begin
    resumed = fit(folder, items=rows(12), batch=1)
    straight = fit(made(folder.with_name("straight")), items=rows(12), batch=1)
    equal = all(torch.equal(resumed.weights[n], straight.weights[n]) for n in straight.weights)
    return [said, equal, resumed.log == straight.log]


def choose(folder: Path) -> dict[str, Any]:
    """Only the main process validates; both stop where its scores say."""
    calls: list[int] = []
    scores = iter([0.5, 0.4, 0.3, 0.2])

    def validate() -> dict[str, float]:
        calls.append(RANK)
        return {"validation": next(scores)}

    done = fit(made(folder), items=rows(12), batch=1, validate=validate, patience=1, keep_best=1)
    weight = next(iter(done.weights.values()))
    return {"calls": calls, "facts": done.facts, "sums": gathered(float(weight.sum()))}


def refused() -> list[str]:
    """What fails in the main process fails in all."""

    def fail() -> None:
        raise RunError("no such thing")

    try:
        on_main(fail)
    except RunError as error:
        return [str(error)]
    return []


def main() -> None:
    folder = Path(sys.argv[1])
    said = {
        "curve": curve(folder / "curve"),
        "uneven": uneven(folder / "uneven"),
        "nan": nan(folder / "nan"),
        "stop": stop(folder / "stop"),
        "choose": choose(folder / "choose"),
        "refused": refused(),
        "highest": highest(RANK * 15),
        "on_main": on_main(lambda: RANK),
        "is_main": is_main(),
    }
    (folder / f"said-{RANK}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main()
