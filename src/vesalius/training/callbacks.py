"""What happens beside training: the log, the checkpoint's marker, the progress bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from vesalius.run import Run, is_main
from vesalius.system.console import progress_console
from vesalius.system.files import write_json
from vesalius.training.checkpoints import PROGRESS, keep_newest, mark
from vesalius.training.disk import writing
from vesalius.training.processes import on_main, wait_for_everyone

LOGGED = ("loss", "grad_norm", "learning_rate")


class Log(TrainerCallback):
    """The learning curve, a JSON line per step."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Append what matters of a log entry."""
        values = {name: float(value) for name, value in (logs or {}).items() if name in LOGGED}
        if values:
            row = {"step": state.global_step, "epoch": state.epoch, **values}
            on_main(lambda: self._append(row))

    def _append(self, row: Mapping[str, Any]) -> None:
        with writing("the log", self._run.log):
            self._run.record(row)


class Marker(TrainerCallback):
    """Marks a checkpoint as complete, once all of its files are written.

    ``progress`` is what goes into it of ours; ``after`` runs when it is complete.
    """

    def __init__(
        self,
        belongs: Mapping[str, Any],
        progress: Callable[[], Mapping[str, Any]],
        after: Callable[[], None],
    ) -> None:
        self._belongs, self._progress, self._after = belongs, progress, after

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Write the marker into the newest checkpoint, and let go of older ones."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        progress = self._progress()
        wait_for_everyone()  # each process writes its own random state
        on_main(lambda: self._mark(folder, progress))

    def _mark(self, folder: Path, progress: Mapping[str, Any]) -> None:
        with writing(folder.name, folder.parent, "make room; the same command goes on"):
            write_json(folder / PROGRESS, progress)
            mark(folder, self._belongs)
        keep_newest(folder.parent)
        self._after()


class Bar(TrainerCallback):
    """A progress bar with loss and time left, in the main process, while it is entered."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("fitting"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=progress_console(),
            disable=not is_main(),
        )
        self._task = self._bar.add_task("fit", total=1, loss="-")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Show the bar."""
        self._bar.update(self._task, total=state.max_steps, completed=state.global_step)
        self._bar.start()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Move on."""
        self._bar.update(self._task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Show the loss."""
        if logs and "loss" in logs:
            self._bar.update(self._task, loss=f"{float(logs['loss']):.3f}")
