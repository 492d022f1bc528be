"""Manifests: what a folder held when it was whole, to know later whether it still does."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

Files = dict[str, dict[str, Any]]
"""``bytes`` and ``sha256`` by path below the folder, with forward slashes."""


def manifest(folder: Path, *, without: str = "") -> Files:
    """Size and SHA-256 of each file below a folder, once it is safely on the disk.

    Files called ``without`` are left out.
    """
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _synced(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != without
    }


def missing(folder: Path, files: Files) -> str | None:
    """What a folder has lost since its manifest was made: a file, or a file's end."""
    for name, noted in files.items():
        path = folder / name
        if not path.is_file():
            return f"has lost {name}"
        if path.stat().st_size != noted["bytes"]:
            return f"holds {path.stat().st_size:,} of the {noted['bytes']:,} bytes of {name}"
    return None


def altered(folder: Path, files: Files) -> str | None:
    """The first file whose content is not what the manifest says."""
    return next((name for name in files if _digest(folder / name) != files[name]["sha256"]), None)


def _synced(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
