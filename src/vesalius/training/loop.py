"""The training loop: transformers' Trainer with our rows, log, checkpoints and resume."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments
from transformers.trainer_utils import unwrap_peft_model

from vesalius.run import Run
from vesalius.system.files import mend_lines, read_json, read_lines, write_atomic
from vesalius.training.callbacks import Bar, Log, Marker
from vesalius.training.checkpoints import PROGRESS, belonging, resume_from, step_of
from vesalius.training.disk import writing
from vesalius.training.interrupt import Interrupt, Stopped
from vesalius.training.memory import Pace, report, snapshot
from vesalius.training.preflight import require
from vesalius.training.processes import (
    PATIENCE,
    cpu_only,
    gathered,
    join,
    on_main,
    sharded,
    world_size,
)
from vesalius.training.selection import Selection
from vesalius.training.settings import Training
from vesalius.training.trainer import WatchedTrainer

Validation = Callable[[], dict[str, float]]

SCHEDULES = {"stable": "warmup_stable_decay", "constant": "constant_with_warmup"}
"""Our names for transformers' schedules, where they differ."""


def train(  # noqa: PLR0913 (what every learner hands over; all but five by name)
    model: nn.Module,
    items: Any,
    collate: Callable[[Sequence[Any]], dict[str, Any]],
    settings: Training,
    run: Run,
    *,
    dtype: torch.dtype,
    seed: int,
    validate: Validation | None = None,
    watch: str = "validation",
    save_to: Path | None = None,
) -> dict[str, Any]:
    """Train in place and return the facts (steps, loss, speed, memory, what was chosen).

    A killed run goes on from its last complete checkpoint, in the same data order; told to stop
    (SIGINT, SIGTERM), it saves one and raises Stopped. ``validate`` runs as ``settings`` say and
    returns scores; the one called ``watch`` decides on early stopping and the best weights, with
    which the model ends. ``save_to``: the folder that the trained weights (adapters, or the whole
    model) are written to, gathered if they are sharded. Of several processes the main one writes.

    RecipeError, MissingExtra: these settings cannot be trained with here. RunError: a checkpoint
    of another run, or altered; a full disk. ModelError: a loss that is not a number.
    """
    require(settings, dtype=dtype, validated=validate is not None)
    join()
    before, started = snapshot(cpu=cpu_only()), time.perf_counter()
    folder = run.path / "checkpoints"
    belongs = belonging(run.recipe(), rows=len(items), batch=settings.batch)
    resume = on_main(lambda: resume_from(folder, belongs))
    on_main(lambda: _rewind_log(run, resume))
    saved = {} if resume is None else read_json(resume / PROGRESS)
    arguments = _arguments(settings, folder, len(items), dtype=dtype, seed=seed)
    trainer = _trainer(model, items, collate, arguments)
    interrupt, bar = Interrupt(), Bar()
    selection = _selection(
        run, settings, validate, watch=watch, trainer=trainer, interrupt=interrupt
    )
    if selection is not None:
        selection.restore(saved.get("selection"))
    pace = partial(_pace, trainer, Pace(**saved.get("pace", {})), started)
    callbacks = [Log(run), selection, interrupt, _marker(belongs, pace, selection), bar]
    for callback in (c for c in callbacks if c is not None):
        trainer.add_callback(callback)
    with interrupt, bar:
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    number = interrupt.signal_number()  # also while the last step was validated or saved
    if number:
        raise Stopped(trainer.state.global_step, number, where=run.path)
    facts = _facts(trainer, pace()) | report(before, snapshot(cpu=cpu_only()))
    if selection is not None:
        facts |= _choose(trainer, selection)
    if save_to is not None:
        _save(trainer, save_to)
    return facts


def _trainer(
    model: nn.Module,
    items: Any,
    collate: Callable[[Sequence[Any]], dict[str, Any]],
    arguments: TrainingArguments,
) -> WatchedTrainer:
    # Some families declare that they take no token counts; ours always do (packed rows weigh by
    # their labels, not by their number). Trainer looks at the model below the adapters.
    unwrap_peft_model(model).accepts_loss_kwargs = True
    return WatchedTrainer(model=model, args=arguments, train_dataset=items, data_collator=collate)


def _selection(
    run: Run,
    settings: Training,
    validate: Validation | None,
    *,
    watch: str,
    trainer: WatchedTrainer,
    interrupt: Interrupt,
) -> Selection | None:
    if validate is None:
        return None
    return Selection(
        run,
        settings,
        validate,
        watch=watch,
        save=trainer.save_weights,
        shared=sharded(),
        stopping=lambda: interrupt.stopping,
    )


def _marker(
    belongs: dict[str, Any], pace: Callable[[], Pace], selection: Selection | None
) -> Marker:
    def progress() -> dict[str, Any]:
        chosen = {} if selection is None else {"selection": selection.saved()}
        return {"pace": asdict(pace()), **chosen}

    return Marker(belongs, progress, after=selection.prune if selection else lambda: None)


def _pace(trainer: WatchedTrainer, earlier: Pace, started: float) -> Pace:
    """All processes' samples and tokens, those of earlier sessions of this run included."""
    seen = gathered(trainer.seen)
    return Pace(
        samples=earlier.samples + sum(s.samples for s in seen),
        tokens=earlier.tokens + sum(s.tokens for s in seen),
        seconds=earlier.seconds + time.perf_counter() - started,
    )


def _facts(trainer: WatchedTrainer, pace: Pace) -> dict[str, Any]:
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return {
        "steps": int(trainer.state.global_step),
        "processes": world_size(),
        "train_loss": sum(losses) / len(losses),
        "fit_seconds": round(pace.seconds, 1),
        "samples_per_second": round(pace.samples / pace.seconds, 2),
        "tokens_per_second": round(pace.tokens / pace.seconds, 1),
    }


def _choose(trainer: WatchedTrainer, selection: Selection) -> dict[str, Any]:
    """Put the best weights that were kept into the model."""
    best = selection.best()
    if best is not None:
        trainer.load_weights(best)
    on_main(partial(selection.prune, finished=True))
    return selection.facts()


def _save(trainer: WatchedTrainer, folder: Path) -> None:
    """Write the trained weights beside ``folder``, then put them in its place."""
    beside = folder.with_name(f".{folder.name}")
    on_main(lambda: shutil.rmtree(beside, ignore_errors=True))
    trainer.save_weights(beside)
    on_main(lambda: _replace(beside, folder))


def _replace(beside: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    beside.replace(folder)


def _arguments(
    settings: Training, folder: Path, rows: int, *, dtype: torch.dtype, seed: int
) -> TrainingArguments:
    stable = settings.schedule == "stable"
    steps = settings.steps(rows, world_size())
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=SCHEDULES.get(settings.schedule, settings.schedule),
        lr_scheduler_kwargs={"num_decay_steps": steps // 5} if stable else {},
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulate,
        average_tokens_across_devices=True,  # a step weighs by its labels in all processes
        max_grad_norm=settings.clip,
        optim=settings.optimizer,
        activation_checkpointing=settings.gradient_checkpointing,
        save_strategy="steps",
        save_steps=settings.checkpoint_steps,
        save_total_limit=None,  # older ones go when a newer one is complete, not before
        logging_steps=1,  # a window's mean would change where a resumed run begins
        logging_nan_inf_filter=False,  # it would hide what must stop the run
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        use_cpu=cpu_only(),
        seed=seed,
        data_seed=seed,  # without it the data order hangs on torch's global seed and resume breaks
        dataloader_num_workers=settings.workers,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        label_names=["labels"],
        dataloader_pin_memory=not cpu_only(),
        ddp_timeout=int(PATIENCE.total_seconds()),
    )
    # Several GPUs in one process would be torch's DataParallel, which cuts packed rows apart.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def _rewind_log(run: Run, resume: Path | None) -> None:
    """Forget what was logged after the checkpoint that training goes on from."""
    step = 0 if resume is None else step_of(resume)
    with writing("the log", run.log):
        mend_lines(run.log)
        rows = read_lines(run.log) if run.log.exists() else []
        lines = [json.dumps(row, ensure_ascii=False) for _, row in rows if row["step"] <= step]
        write_atomic(run.log, "".join(f"{line}\n" for line in lines))
