"""``fingerprints.jsonl``: what a data folder's pictures were when they were imported.

A row a picture: ``path`` below the folder, ``size`` in bytes, ``mtime_ns``, ``width``, ``height``,
``sha256``, ``thumbnail`` (48 x 48 grey levels in base64; empty for a blank picture), ``remarks`` if
there are any, and ``code`` and ``reason`` of one that cannot be read. A row counts while size and
time agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from vesalius.cases.picture import Picture
from vesalius.cases.view import OWN_VIEW
from vesalius.data.fingerprints import Inspected
from vesalius.errors import RunError
from vesalius.system.files import read_lines, write_atomic

NAME = "fingerprints.jsonl"


def write_fingerprints(folder: Path, pictures: Mapping[str, Inspected]) -> None:
    """Write the file into ``folder``; ``pictures`` are named by their path below it."""
    rows = (_row(folder, path, pictures[path]) for path in sorted(pictures))
    write_atomic(folder / NAME, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def recorded(picture: Picture) -> Inspected | None:
    """What is recorded of the picture's file, in its folder or the one above.

    None where nothing is, or where the file is another now. A frame or a window has no record.
    """
    path = picture.file
    if path is None or picture.view != OWN_VIEW:
        return None
    for folder in (path.parent, path.parent.parent):
        row = _rows_of(folder).get(path.relative_to(folder).as_posix())
        if row is not None:
            return _inspected(path, row)
    return None


def _rows_of(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    path = folder / NAME
    try:
        status = path.stat()
    except OSError:
        return {}
    return _rows(path.absolute(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _rows(path: Path, size: int, changed: int) -> Mapping[str, Mapping[str, Any]]:  # noqa: ARG001
    try:
        return {str(row.get("path")): row for _, row in read_lines(path)}
    except RunError:
        return {}  # another program's file of that name, or a damaged one: everything is computed


def _row(folder: Path, path: str, picture: Inspected) -> dict[str, Any]:
    status = (folder / path).stat()
    file = {"path": path, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    return file | picture.to_row()


def _inspected(path: Path, row: Mapping[str, Any]) -> Inspected | None:
    """The row as it was written, or None if the file changed since or the row is not ours."""
    try:
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) != (row["size"], row["mtime_ns"]):
            return None
        return Inspected.from_row(row)
    except (OSError, KeyError, ValueError, TypeError):
        return None
