"""A run that stands alone: copied with its members, for models that no other library could load."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from vesalius.recipe import RUN, Reference
from vesalius.run import CONCEPTS, Run
from vesalius.steps.members import FOLDER, digest, member_path, member_runs
from vesalius.system.files import write_atomic, write_json

WHOLE = ("weights", "index", "stages")
"""Folders of a run that its model may read; what it predicted and its folds stay behind."""
NOTES = ("environment.json", "status.json")


def copy(run: Run, folder: Path) -> Run:
    """A copy of a fitted run in a new folder, finished runs that are its members inside it.

    It is a run like any other: ``vesalius predict --run`` and ``serve --run`` take it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in WHOLE:
        if (run.path / name).is_dir():
            shutil.copytree(run.path / name, folder / name)
    for key, member in member_runs(run).items():
        copy(member, member_path(folder, key))
    for name in NOTES:
        shutil.copyfile(run.path / name, folder / name)
    if (run.path / CONCEPTS).exists():
        shutil.copyfile(run.path / CONCEPTS, folder / CONCEPTS)
    recipe = run.recipe()
    content = recipe.model_dump(mode="json")
    references = [key for key, one in recipe.members().items() if isinstance(one, Reference)]
    for key in references:
        content["model"]["members"][key] = {"run": f"{RUN}/{FOLDER}/{key}"}
    write_atomic(
        folder / "recipe.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    )
    copied = Run(folder)
    status = {k: v for k, v in run.status().items() if k not in ("predictions", "members")}
    if references:
        status["members"] = {
            key: {
                "run": f"{RUN}/{FOLDER}/{key}",
                "digest": digest(Run(member_path(folder, key))),
            }
            for key in references
        }
    write_json(folder / "status.json", status)
    return copied
