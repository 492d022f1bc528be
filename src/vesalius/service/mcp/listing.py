"""What there is in the folders: runs, data sets and recipes, by what agents call them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from vesalius.data.reading.streams import SPLIT_NAMES
from vesalius.errors import RecipeError, VesaliusError
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.service.mcp.folders import RECIPE, Folders

DEPTH = 4
"""Folders below the named ones that are looked into."""
MOST = 500
"""Entries of each kind that are told."""
TABLES = {".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow"}
STEMS = {*SPLIT_NAMES, "metadata"}
"""What the tables of data sets are called."""


def listing(folders: Folders) -> dict[str, Any]:
    """Runs with their sets of answers, data sets and recipes; ``left_out`` counts what is more."""
    rows: dict[str, list[dict[str, Any]]] = {"runs": [], "data_sets": [], "recipes": []}
    left_out = 0
    for root in folders.roots.values():
        for kind, row in _entries(folders, root, DEPTH):
            if len(rows[kind]) < MOST:
                rows[kind].append(row)
            else:
                left_out += 1
    return {"folders": list(folders.roots), **rows, "left_out": left_out}


def _entries(folders: Folders, folder: Path, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    name = folders.name(folder)
    if (folder / RECIPE).is_file():
        yield "runs", {"name": name} | _run(folders, Run(folder))
        return
    with os.scandir(folder) as entries:
        below = sorted(entries, key=lambda entry: entry.name)
    if any(map(_has_table, (folder, *_splits(below)))):
        yield "data_sets", {"name": name}
        return
    for entry in below:
        if entry.is_file(follow_symlinks=False) and entry.name.endswith((".yaml", ".yml")):
            with suppress(RecipeError):  # a file of another kind
                yield "recipes", {"name": f"{name}/{entry.name}"} | _recipe(Path(entry.path))
        elif entry.is_dir(follow_symlinks=False) and depth and not entry.name.startswith("."):
            yield from _entries(folders, Path(entry.path), depth - 1)


def _splits(entries: Iterable[os.DirEntry[str]]) -> Iterator[Path]:
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and entry.name.lower() in SPLIT_NAMES:
            yield Path(entry.path)


def _has_table(folder: Path) -> bool:
    names = (Path(path.name.lower()) for path in folder.iterdir() if path.is_file())
    return any(name.suffix in TABLES and name.stem in STEMS for name in names)


def _recipe(path: Path) -> dict[str, Any]:
    recipe = Recipe.read(path)
    return {
        "recipe": recipe.name,
        "model": recipe.model.get("name"),
        "data_set": recipe.data.dataset,
        "task": recipe.data.task,
        "claims": len(recipe.claims),
    }


def _run(folders: Folders, run: Run) -> dict[str, Any]:
    """Of a run that cannot be read, or may not be, its name alone, with the kind of error."""
    try:
        folders.require_links(run.path)
        return _recipe(run.path / RECIPE) | {"fitted": run.fitted, "answers": _sets(run)}
    except VesaliusError as error:
        return {"unreadable": type(error).__name__}


def _sets(run: Run) -> dict[str, int]:
    """How many answers each set has; the unnamed one is called ``""``."""
    files = run.path.glob("predictions*.jsonl")
    names = {path.stem.removeprefix("predictions").removeprefix("-"): path for path in files}
    return {name: _lines(path) for name, path in sorted(names.items())}


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())
