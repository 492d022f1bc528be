"""Drawn data sets kept in the user's cache, each drawn once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from vesalius.data.synthetic.draw import draw
from vesalius.errors import DatasetError
from vesalius.system.cache import CACHE, cache_folder

DRAWN_BY = ("data/synthetic", "data/phantoms")
"""Code that decides what a drawing looks like: when it changes, so does the folder's name."""


def cached(dataset: str, *, cases: Mapping[str, int], seed: int) -> Path:
    """The folder of :func:`draw`'s files in the cache, drawn at the first call.

    It is whole or absent, also when several processes ask at once. DatasetError where the cache
    cannot be written, UnknownName where the set has no drawn form.
    """
    target = cache_folder() / "drawn" / f"{dataset}-{_digest(cases, seed)}"
    if target.is_dir():
        return target
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draw(dataset, beside, cases=cases, seed=seed)
        beside.rename(target)
    except OSError as error:
        if not target.is_dir():  # else another process was first
            hint = f"set {CACHE} to a folder that can be written"
            raise DatasetError(f"cannot be drawn: {error}", where=target, hint=hint) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


def _digest(cases: Mapping[str, int], seed: int) -> str:
    """Of all that decides what is drawn."""
    digest = hashlib.sha256(json.dumps([dict(cases), seed]).encode())
    for place in DRAWN_BY:
        folder = files("vesalius") / place
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".yaml")):
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
