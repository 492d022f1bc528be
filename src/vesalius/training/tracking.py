"""A fit's learning curve in trackers, through transformers' own callbacks.

A tracker is shown the rows of the run's log, and of the recipe its numbers and names of closed
lists. What the callbacks would send beside them, all arguments and the model's configuration, has
paths and words in it and does not reach them. A tracker that fails is left behind: the run's
folder has everything, whether one follows or none.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from os import environ
from typing import Any

from rich.console import Console

from vesalius.recipe import Recipe
from vesalius.run import Run, is_main
from vesalius.system.files import read_lines
from vesalius.training.trackers import LIBRARIES, PROJECT, environment

BLOCKS = (
    "model",
    "model.training",
    "model.adapter",
    "model.augmentation",
    "decoding",
    "evaluation",
)
"""The blocks of a recipe whose numbers and switches a tracker gets; all of their keys are ours."""
NAMES = (
    "data.dataset",
    "data.task",
    "model.name",
    "model.precision",
    "model.quantization",
    "model.training.optimizer",
    "model.training.schedule",
)
"""The words of a recipe that it gets: each is one of a closed list."""
LONG = 200
"""How many letters of a tracker's complaint are repeated."""


@contextmanager
def tracking(run: Run, recipe: Recipe) -> Iterator[Run]:
    """The run, with the recipe's trackers following its curve; in the main process alone.

    Each has a run of its own there, called as the recipe is. None of them can stop the fit.
    """
    names = dict.fromkeys(recipe.report_to if is_main() else ())
    trackers = [Tracker(name, run, recipe) for name in names]
    failed = True
    try:
        yield replace(run, followers=tuple(tracker.follow for tracker in trackers))
        failed = False
    finally:
        for tracker in trackers:
            tracker.close(failed=failed)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a callback learns of a fit, in the place of transformers' ``TrainingArguments``."""

    run_name: str
    settings: Mapping[str, Any]
    output_dir: str = ""
    trackio_space_id: None = None
    trackio_bucket_id: None = None
    trackio_static_space_id: bool = False
    hub_private_repo: bool = True

    @property
    def project(self) -> str:
        """Where trackio files the run."""
        return environ.get("TRACKIO_PROJECT", PROJECT)

    def to_dict(self) -> dict[str, Any]:
        """The settings that are shown."""
        return dict(self.settings)

    def to_json_string(self) -> str:
        """The same, as text."""
        return json.dumps(self.to_dict(), indent=2)


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The numbers and switches of a recipe, and its names of closed lists, by their full keys."""
    content = recipe.model_dump(mode="json")
    numbers = {
        f"{block}.{key}": value
        for block in BLOCKS
        for key, value in (_block(content, block) or {}).items()
        if isinstance(value, bool | int | float)
    }
    names = {name: _block(content, name) for name in NAMES}
    return {"seed": recipe.seed} | numbers | {k: v for k, v in names.items() if v is not None}


class Tracker:
    """One tracker of a fit. It begins at the first row, with all that the log has by then.

    So of a fit that goes on it gets the whole curve.
    """

    def __init__(self, name: str, run: Run, recipe: Recipe) -> None:
        self._name, self._library, self._run = name, LIBRARIES[name], run
        self._arguments = Arguments(f"{recipe.name}-{secrets.token_hex(3)}", settings_of(recipe))
        self._callback: Any = None
        self._lost = False
        self._environment = ExitStack()

    def follow(self, row: Mapping[str, Any]) -> None:
        """Show a row that was just written into the log."""
        if self._callback is not None:
            self._attempt(lambda: self._show(row))
        else:
            self._attempt(self._begin)

    def close(self, *, failed: bool) -> None:
        """End the tracker's run, or tell that there was nothing to show."""
        with self._environment:
            if self._callback is not None:
                self._attempt(lambda: self._end(failed=failed))
            elif not self._lost and not failed:
                self._print("was given nothing: this model has no learning curve")

    def _begin(self) -> None:
        from transformers.integrations import get_reporting_integration_callbacks

        (kind,) = get_reporting_integration_callbacks([self._name])
        self._environment.enter_context(environment(self._library))
        with self._library.opening(self._arguments.run_name, self._run.path) as options:
            callback = kind(**options)
            callback.on_train_begin(self._arguments, *_moment(0))
        self._callback = callback
        for _, row in read_lines(self._run.log):
            self._show(row)

    def _show(self, row: Mapping[str, Any]) -> None:
        # transformers' callbacks make a group of what is called eval_.
        logs = {
            f"eval_{key}" if key.startswith("validation") else key: value
            for key, value in row.items()
            if key != "step"
        }
        self._callback.on_log(self._arguments, *_moment(row["step"]), logs=logs)

    def _end(self, *, failed: bool) -> None:
        self._callback.on_train_end(self._arguments, *_moment(0))
        self._library.close(failed)

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do it, unless the tracker has failed before; if it fails now, tell so and leave it."""
        if self._lost:
            return
        try:
            with redirect_stdout(sys.stderr):
                action()
        except Exception as error:  # noqa: BLE001 (whatever a tracker raises, the fit goes on)
            self._lost = True
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:LONG]
            self._print(f"failed and is left behind: {reason}; the run's log has the whole curve")
            with suppress(Exception):  # it has failed; what it left open must not meet the next
                self._library.close(True)

    def _print(self, what: str) -> None:
        line = f"{self._name} {what}"
        Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)


def _block(content: Any, key: str) -> Any:
    """What stands at a dotted key; None where nothing does."""
    for part in key.split("."):
        content = (content or {}).get(part)
    return content


def _moment(step: int) -> tuple[Any, Any]:
    """The state and the control that a callback is called with."""
    from transformers import TrainerControl, TrainerState

    return TrainerState(global_step=step), TrainerControl()
