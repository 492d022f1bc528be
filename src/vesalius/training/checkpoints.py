"""Checkpoints: complete and of this run, or passed over, or refused; never half of one.

A checkpoint counts once its marker is there, and the marker is written last. It holds what the
checkpoint belongs to, and the size and hash of each of its files.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

from vesalius.errors import RunError
from vesalius.recipe import Recipe
from vesalius.system.files import read_json, write_json
from vesalius.system.manifest import altered, manifest, missing
from vesalius.training.processes import world_size

MARKER = "complete.json"
PROGRESS = "progress.json"
KEEP = 2
OURS = {
    "recipe": "recipe",
    "rows": "number of training rows",
    "processes": "number of processes",
    "batch": "batch size",
}
"""What must be the same for training to go on from a checkpoint, in words."""


def belonging(recipe: Recipe, *, rows: int, batch: int) -> dict[str, Any]:
    """What a checkpoint belongs to: recipe, training rows, processes, package versions."""
    packages = {name: metadata.version(name) for name in ("torch", "transformers", "peft")}
    return {
        "recipe": recipe.digest(),
        "rows": rows,
        "processes": world_size(),
        "batch": world_size() * batch,
        "packages": packages,
    }


def step_of(checkpoint: Path) -> int:
    """The optimizer steps behind a checkpoint, read off its name."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def mark(checkpoint: Path, belongs: Mapping[str, Any]) -> None:
    """Declare a checkpoint complete: its files synced to disk, their sizes and hashes noted."""
    content = {
        "step": step_of(checkpoint),
        "belongs": belongs,
        "files": manifest(checkpoint, without=MARKER),
    }
    write_json(checkpoint / MARKER, content)


def last_complete(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; torn ones are passed over."""
    return max(
        (p.parent for p in folder.glob(f"checkpoint-[0-9]*/{MARKER}")), key=step_of, default=None
    )


def resume_from(folder: Path, belongs: Mapping[str, Any]) -> Path | None:
    """The checkpoint that training goes on from; None: from the beginning.

    One that was not written to its end is passed over with a sentence, and removed. RunError: one
    that is complete but altered, of another recipe, of other data or of another number of
    processes; or one that lost a file when there is no older one.
    """
    torn: dict[Path, str] = {}
    chosen = None
    for checkpoint in sorted(folder.glob("checkpoint-[0-9]*"), key=step_of, reverse=True):
        reason = _torn(checkpoint)
        if reason is None:
            chosen = checkpoint
            break
        torn[checkpoint] = reason
    if chosen is not None:
        _require_ours(chosen, belongs)
    for checkpoint, reason in torn.items():
        if chosen is None and (checkpoint / MARKER).exists():
            hint = f"restore it, or delete {folder} to start from the beginning"
            raise RunError(
                f"{reason}, and no older checkpoint is whole", where=checkpoint, hint=hint
            )
    for checkpoint, reason in torn.items():
        onward = "from the beginning" if chosen is None else f"from {chosen.name}"
        say(f"{checkpoint.name} {reason}: passed over, going on {onward}")
        shutil.rmtree(checkpoint)
    return chosen


def keep_newest(folder: Path, count: int = KEEP) -> None:
    """Remove all but the newest complete checkpoints."""
    complete = sorted((p.parent for p in folder.glob(f"checkpoint-[0-9]*/{MARKER}")), key=step_of)
    for checkpoint in complete[:-count]:
        (checkpoint / MARKER).unlink()  # first: what is half removed must not count as complete
        shutil.rmtree(checkpoint, ignore_errors=True)


def say(sentence: str) -> None:
    """Tell the user, on standard error."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(sentence, markup=False)


def _torn(checkpoint: Path) -> str | None:
    """Why a checkpoint is not whole; None if it is."""
    if not (checkpoint / MARKER).exists():
        return "was not written to its end"
    try:
        files = read_json(checkpoint / MARKER)["files"]
    except (RunError, KeyError, TypeError):
        return f"has an unreadable {MARKER}"
    return missing(checkpoint, files)


def _require_ours(checkpoint: Path, belongs: Mapping[str, Any]) -> None:
    marker = read_json(checkpoint / MARKER)
    restart = f"delete {checkpoint.parent} to start from the beginning"
    changed = altered(checkpoint, marker["files"])
    if changed is not None:
        raise RunError(
            f"{changed} was altered since it was saved (its hash differs from {MARKER})",
            where=checkpoint,
            hint=f"restore it, delete {checkpoint.name} to go on from an older one, or {restart}",
        )
    saved = marker["belongs"]
    for key, name in OURS.items():
        if saved.get(key) != belongs[key]:
            what = f"belongs to another {name} ({saved.get(key)}, here {belongs[key]})"
            alike = f"launch {saved.get(key)}, or " if key == "processes" else ""
            raise RunError(what, where=checkpoint, hint=alike + restart)
    for package, version in belongs["packages"].items():
        before = saved["packages"].get(package)
        if before != version:
            say(
                f"{checkpoint.name} was saved with {package} {before}, this is {version}: results"
                " may differ from those of an uninterrupted run"
            )
