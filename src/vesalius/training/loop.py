"""The training loop: transformers' Trainer with our rows, log, checkpoints and resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from vesalius.errors import ModelError
from vesalius.files import append_lines, mend_lines, read_lines, write_atomic, write_json
from vesalius.run import Run
from vesalius.training.memory import device_memory, peak_memory_mb
from vesalius.training.settings import Training

MARKER = "complete.json"


def train(
    model: nn.Module,
    items: Any,
    collate: Callable[[Sequence[Any]], dict[str, Any]],
    settings: Training,
    run: Run,
    *,
    dtype: torch.dtype,
    seed: int,
    validate: Callable[[], dict[str, float]] | None = None,
) -> dict[str, Any]:
    """Train in place and return the facts (steps, loss, seconds, peak memory).

    A killed run goes on from its last complete checkpoint, with the same data order. ``validate``
    runs after each epoch; what it returns is logged.
    """
    checkpoints = run.path / "checkpoints"
    resume = last_complete(checkpoints)
    arguments = _arguments(settings, checkpoints, len(items), dtype=dtype, seed=seed)
    _rewind_log(run, resume)
    # Some families declare that they take no token counts; ours always do (packed rows weigh by
    # their labels, not by their number).
    model.accepts_loss_kwargs = True  # type: ignore[assignment]
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=items,
        data_collator=collate,
        callbacks=[Log(run), Marker(), Bar(), *([Validation(run, validate)] if validate else [])],
    )
    trainer.remove_callback(PrinterCallback)  # our bar and log.jsonl say it already
    started = time.perf_counter()
    result = trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return {
        "steps": int(trainer.state.global_step),
        "train_loss": float(result.training_loss),
        "fit_seconds": round(time.perf_counter() - started, 1),
        "peak_memory_mb": round(peak_memory_mb()),
        **device_memory(),
    }


def last_complete(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; torn ones are passed over."""
    found = [p.parent for p in folder.glob(f"checkpoint-*/{MARKER}")]
    return max(found, key=lambda p: int(p.name.rsplit("-", 1)[1]), default=None)


def _arguments(
    settings: Training, folder: Path, rows: int, *, dtype: torch.dtype, seed: int
) -> TrainingArguments:
    stable = settings.schedule == "stable"
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="warmup_stable_decay" if stable else settings.schedule,
        lr_scheduler_kwargs={"num_decay_steps": settings.steps(rows) // 5} if stable else {},
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulate,
        max_grad_norm=settings.clip,
        optim=settings.optimizer,
        activation_checkpointing=settings.gradient_checkpointing,
        save_strategy="steps",
        save_steps=settings.checkpoint_steps,
        save_total_limit=2,
        logging_steps=1,  # a window's mean would change where a resumed run begins
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,  # without it the data order hangs on torch's global seed and resume breaks
        dataloader_num_workers=settings.workers,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        label_names=["labels"],
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _rewind_log(run: Run, resume: Path | None) -> None:
    """Forget what was logged after the checkpoint that training goes on from."""
    step = 0 if resume is None else int(resume.name.rsplit("-", 1)[1])
    mend_lines(run.log)
    kept = (
        [row for _, row in read_lines(run.log) if row["step"] <= step] if run.log.exists() else []
    )
    write_atomic(run.log, "")
    append_lines(run.log, kept)


class Log(TrainerCallback):
    """The learning curve, a JSON line per logged step; a loss that is no number stops the run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Append what matters of a log entry."""
        found = logs or {}
        said = {k: float(found[k]) for k in ("loss", "grad_norm", "learning_rate") if k in found}
        if not said:
            return
        if math.isnan(said.get("loss", 0.0)):
            raise ModelError(f"the loss is not a number at step {state.global_step}")
        row: dict[str, Any] = {"step": state.global_step, "epoch": state.epoch}
        append_lines(self._run.log, [row | said])


class Marker(TrainerCallback):
    """Marks a checkpoint as complete, once all of its files are written."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Write the marker into the newest checkpoint."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        write_json(folder / MARKER, {"step": state.global_step})


class Validation(TrainerCallback):
    """Scores the validation split after each epoch."""

    def __init__(self, run: Run, validate: Callable[[], dict[str, float]]) -> None:
        self._run, self._validate = run, validate

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Append the scores to the log."""
        scores = self._validate()
        append_lines(self._run.log, [{"step": state.global_step, "epoch": state.epoch, **scores}])


class Bar(TrainerCallback):
    """A progress bar with loss and time left."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("fitting"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Show the bar."""
        self._task = self._bar.add_task("fit", total=state.max_steps, loss="-")
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
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Show the loss."""
        if logs and "loss" in logs:
            self._bar.update(self._task, loss=f"{float(logs['loss']):.3f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Leave the finished bar on the screen."""
        self._bar.stop()
