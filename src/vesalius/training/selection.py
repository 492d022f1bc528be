"""Choosing by validation scores: early stopping, and the best weights kept."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from vesalius.errors import RecipeError, RunError
from vesalius.run import Run
from vesalius.system.files import read_json, write_json
from vesalius.system.manifest import altered, manifest, missing
from vesalius.training.checkpoints import PROGRESS
from vesalius.training.disk import writing
from vesalius.training.processes import on_main
from vesalius.training.settings import Training

SCORE = "score.json"


@dataclass
class Standing:
    """Where the choice stands; saved with each checkpoint, so a resumed run goes on with it."""

    validated: int = 0
    """The step of the last validation."""
    stale: int = 0
    """Validations in a row that did not improve on the best."""
    best_step: int | None = None
    best_score: float | None = None
    kept: list[tuple[float, int]] = field(default_factory=list)
    """(score, step) of the weights that are kept, best first; the earlier of equals."""

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> Standing:
        """A standing from its saved form."""
        ranking = [(float(score), int(step)) for score, step in saved["kept"]]
        return cls(**(dict(saved) | {"kept": ranking}))

    def note(self, step: int, score: float, keep: int) -> bool:
        """Take in a score; whether its weights are to be kept. One that is NaN never wins."""
        self.validated = step
        better = not math.isnan(score) and (self.best_score is None or score > self.best_score)
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best_step, self.best_score = step, score
        if math.isnan(score):
            return False
        ranked = sorted([*self.kept, (score, step)], key=lambda pair: (-pair[0], pair[1]))
        self.kept = ranked[:keep]
        return (score, step) in self.kept


class Selection(TrainerCallback):
    """Validates as training goes on, keeps the best weights, stops when nothing gets better.

    ``watch`` names the score that decides; higher is better. ``save`` writes the model's weights
    into a folder. ``shared``: every process takes part in validating (weights are sharded), else
    the main one does and the others are told. ``stopping``: whether training was told to stop;
    the validation that is due then is done when it goes on.
    """

    def __init__(
        self,
        run: Run,
        settings: Training,
        validate: Callable[[], dict[str, float]],
        *,
        watch: str,
        save: Callable[[Path], None],
        shared: bool,
        stopping: Callable[[], bool],
    ) -> None:
        self._run, self._settings, self._validate = run, settings, validate
        self._watch, self._save, self._shared, self._stopping = watch, save, shared, stopping
        self.standing = Standing()

    def restore(self, saved: Mapping[str, Any] | None) -> None:
        """Go on from a checkpoint's standing; RunError if weights it counts on are not there."""
        self.standing = Standing() if saved is None else Standing.read(saved)
        for _, step in self.standing.kept:
            _require_whole(self._folder(step))

    @property
    def exhausted(self) -> bool:
        """Whether there were too many validations without improvement."""
        patience = self._settings.patience
        return patience is not None and self.standing.stale >= patience

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Do what a stopped run left undone at its last step."""
        on_main(self.prune)
        if self._due(state) and self.standing.validated < state.global_step:
            self._measure(state)
        if self.exhausted:
            control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Validate if it is time: after the step is logged, and before a checkpoint is saved."""
        if "loss" not in (logs or {}) or self._stopping() or not self._due(state):
            return
        self._measure(state)
        if self.exhausted:
            control.should_save = control.should_training_stop = True

    def prune(self, *, finished: bool = False) -> None:
        """Remove weights that are not among the best, and that no checkpoint counts on.

        A ``finished`` training goes on from none but its last checkpoint.
        """
        steps = {str(step) for _, step in self.standing.kept}
        pattern = f"checkpoint-[0-9]*/{PROGRESS}"
        older = [] if finished else (self._run.path / "checkpoints").glob(pattern)
        for file in older:
            counted = read_json(file).get("selection")
            steps |= {str(step) for _, step in Standing.read(counted).kept} if counted else set()
        for folder in self._folder(0).parent.glob("*"):
            if folder.name not in steps:
                shutil.rmtree(folder)

    def best(self) -> Path | None:
        """The folder of the best weights, whole; None if none are kept."""
        if not self.standing.kept:
            return None
        folder = self._folder(self.standing.kept[0][1])
        _require_whole(folder)
        return folder

    def facts(self) -> dict[str, Any]:
        """What was chosen."""
        standing = self.standing
        return {
            "best_step": standing.best_step,
            "best_score": standing.best_score,
            "stopped_early": self.exhausted,
        }

    def saved(self) -> dict[str, Any]:
        """The standing, as a checkpoint keeps it."""
        return asdict(self.standing)

    def _due(self, state: TrainerState) -> bool:
        step, every = state.global_step, self._settings.validate_every
        if step == 0:
            return False
        regular = step % every == 0 if every else float(state.epoch or 0).is_integer()
        return regular or step >= state.max_steps

    def _measure(self, state: TrainerState) -> None:
        scores = self._scores()
        row = {"step": state.global_step, "epoch": state.epoch, **scores}
        on_main(lambda: self._log(row))
        if self._watch not in scores:
            raise RecipeError(
                f"validation gives no score called {self._watch!r}",
                where="training",
                hint=f"it gives: {', '.join(sorted(scores))}",
            )
        score = float(scores[self._watch])
        if self.standing.note(state.global_step, score, self._settings.keep_best):
            self._keep(state.global_step, score)

    def _scores(self) -> dict[str, float]:
        """Validate without touching the randomness that training draws from."""
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices):
            if not self._shared:
                return on_main(self._validate)
            mine = self._validate()
            return on_main(lambda: mine)

    def _log(self, row: Mapping[str, Any]) -> None:
        with writing("the log", self._run.log):
            self._run.record(row)

    def _keep(self, step: int, score: float) -> None:
        folder = self._folder(step)
        beside = folder.with_name(f".{folder.name}")
        on_main(lambda: shutil.rmtree(beside, ignore_errors=True))
        self._save(beside)
        on_main(lambda: _finish(beside, folder, {"step": step, "score": score}))

    def _folder(self, step: int) -> Path:
        return self._run.path / "best" / str(step)


def _finish(beside: Path, folder: Path, facts: Mapping[str, Any]) -> None:
    with writing(f"the weights of step {folder.name}", folder):
        write_json(beside / SCORE, {**facts, "files": manifest(beside)})
        shutil.rmtree(folder, ignore_errors=True)
        beside.replace(folder)


def _require_whole(folder: Path) -> None:
    """RunError unless kept weights are as they were saved."""
    files = read_json(folder / SCORE)["files"]
    reason = missing(folder, files)
    changed = None if reason else altered(folder, files)
    if reason or changed:
        raise RunError(
            reason or f"{changed} was altered since it was saved",
            where=folder,
            hint="restore it, or delete best/ and checkpoints/ of the run to start again",
        )
