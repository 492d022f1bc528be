"""What each tracker needs: how its run is opened for transformers' callback, and how it is closed.

A run is opened here, before the callback would do it, because opening is where trackers look
around by themselves: program, arguments, folders, the code's repository, the machine's and the
user's name, packages, what is printed. Their names and settings stand in no other module.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vesalius.errors import MissingExtra, install_command

PROJECT = "vesalius"
"""What a tracker's project or experiment is called, where its own variable names none."""
NOBODY = ""
"""Stands where a tracker would write a user, a machine or a commit."""
Opening = Callable[[str, Path], AbstractContextManager[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Library:
    """A tracker's package, as transformers' callback for it is used here."""

    install: str
    """The command that installs it."""
    opening: Opening
    """By a run's name, and a folder for its files: the block in which the callback begins, which
    gives what the callback is made with."""
    close: Callable[[bool], object] = bool
    """Closes what the callback leaves open; told whether the fit failed."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the environment has while a fit is followed, whatever was set outside."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """The same, unless it was set outside."""


def require_installed(names: tuple[str, ...]) -> None:
    """MissingExtra for the first tracker whose package is not here."""
    for name in names:
        spec = find_spec(name)
        if spec is None or spec.origin is None:  # none: a folder of its runs that has its name
            raise MissingExtra(name, name, command=LIBRARIES[name].install)


@contextmanager
def environment(library: Library) -> Iterator[None]:
    """A block with the library's variables, after which they are as they were."""
    own = {**library.defaults, **library.variables}
    before = {name: os.environ[name] for name in own if name in os.environ}
    os.environ.update({**library.defaults, **before, **library.variables})
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextmanager
def _tensorboard(run: str, folder: Path) -> Iterator[dict[str, Any]]:
    from tensorboard.summary.writer import event_file_writer
    from torch.utils.tensorboard import SummaryWriter

    place = Path(os.environ.get("TENSORBOARD_LOGGING_DIR") or folder / "tensorboard") / run
    network = event_file_writer.socket
    event_file_writer.socket = SimpleNamespace(gethostname=lambda: "fit")  # goes into file names
    try:
        yield {"tb_writer": SummaryWriter(str(place))}
    finally:
        event_file_writer.socket = network


@contextmanager
def _wandb(run: str, folder: Path) -> Iterator[dict[str, Any]]:
    import wandb

    settings = wandb.Settings(
        console="off",
        mode=os.environ.get("WANDB_MODE", "offline"),
        disable_code=True,
        disable_git=True,
        finish_timeout=60,  # without it a lost server is waited for until it is back
        host=NOBODY,
        program=PROJECT,
        save_code=False,
        silent=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    disabled = logging.root.manager.disable
    logging.disable(logging.INFO)  # the log that it keeps beside its run names folders
    try:
        wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run,
            dir=os.environ.get("WANDB_DIR", str(folder)),
            settings=settings,
        )
        yield {}
    finally:
        logging.disable(disabled)


def _close_wandb(failed: bool) -> None:
    import wandb

    wandb.finish(exit_code=int(failed))


@contextmanager
def _mlflow(run: str, _folder: Path) -> Iterator[dict[str, Any]]:
    import mlflow

    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT))
    git = (f"source.git.{fact}" for fact in ("branch", "commit", "repoURL"))
    tags = {f"mlflow.{name}": NOBODY for name in ("user", *git)}
    tags["mlflow.source.name"] = PROJECT
    mlflow.start_run(run_name=run, tags=tags, log_system_metrics=False)
    yield {}


def _close_mlflow(failed: bool) -> None:
    import mlflow

    mlflow.end_run("FAILED" if failed else "FINISHED")


@contextmanager
def _trackio(_run: str, _folder: Path) -> Iterator[dict[str, Any]]:
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    asked = any(os.environ.get(f"TRACKIO_{place}") for place in ("SPACE_ID", "SERVER_URL"))
    constants.HF_HUB_OFFLINE = offline or not asked  # it asks the hub for the user's name
    try:
        yield {}
    finally:
        constants.HF_HUB_OFFLINE = offline


LIBRARIES: Mapping[str, Library] = {
    "mlflow": Library(
        "pip install mlflow",
        _mlflow,
        _close_mlflow,
        variables={
            "HF_MLFLOW_LOG_ARTIFACTS": "false",
            "MLFLOW_NESTED_RUN": "false",
            "MLFLOW_RUN_ID": "",
        },
        # By itself it tries a server that is away for many minutes, and complains of each row.
        defaults={
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
            "MLFLOW_LOGGING_LEVEL": "CRITICAL",
        },
    ),
    "tensorboard": Library(install_command("tensorboard"), _tensorboard),
    "trackio": Library("pip install trackio", _trackio),
    "wandb": Library(
        install_command("wandb"),
        _wandb,
        _close_wandb,
        variables={"WANDB_LOG_MODEL": "false", "WANDB_WATCH": "false"},
    ),
}
"""By the name that a recipe's ``report_to`` and transformers have for it."""
