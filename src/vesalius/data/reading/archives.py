"""Zip archives: each opened once a process, and refused whole where it is made to swell."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from vesalius.errors import DatasetError

MOST_MEMBERS = 1_000_000
MOST_RATIO = 200
"""How many times its own size an archive may unpack to: pictures shrink by 2 to 20."""
HARMLESS = 2**30
"""So many bytes may be unpacked whatever the ratio: a set of empty masks shrinks by a thousand."""


class Swelling(DatasetError):
    """An archive that holds too much for what it is; ``kind`` is a word for reports."""

    def __init__(self, kind: str, what: str, where: object) -> None:
        super().__init__(what, where=where, hint="unpack it yourself, if you trust it")
        self.kind = kind


def opened(path: Path) -> zipfile.ZipFile:
    """The archive, kept open: reading a large directory for each member would take hours.

    Raises DatasetError where it is none, and Swelling where it has too many members, members that
    share their bytes, or unpacks to too much.
    """
    return _opened(path, os.getpid())


@lru_cache(maxsize=8)
def _opened(path: Path, process: int) -> zipfile.ZipFile:  # noqa: ARG001
    # One open archive a process: forked workers that shared a handle would share its position.
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DatasetError(f"not a readable zip archive: {error}", where=path) from error
    try:
        require_honest(archive.infolist(), path.stat().st_size, path)
    except Swelling:
        archive.close()
        raise
    return archive


def require_honest(members: Sequence[zipfile.ZipInfo], size: int, where: object) -> None:
    """Swelling where an archive of ``size`` bytes has members that make it more than it seems."""
    packed = sum(info.compress_size for info in members)
    whole = sum(info.file_size for info in members)
    if len(members) > MOST_MEMBERS:
        raise Swelling("too_many", f"has more than {MOST_MEMBERS:,} members", where)
    if packed > size:
        # Fifield, A better zip bomb (WOOT 2019): many members whose bytes are the same ones.
        raise Swelling("overlapping", "has members that share their bytes", where)
    if whole > HARMLESS and whole > MOST_RATIO * size:
        what = f"unpacks to {whole / size:,.0f} times its size"
        raise Swelling("too_dense", what, where)
