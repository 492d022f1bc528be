"""The files that a DICOMDIR lists, by their ids, as media and copies of media name them.

A file id has capitals and no ending (PS3.10 8.2, 8.5); ISO 9660 may show it in small letters or
with a version, and whoever copies a medium may add ``.dcm``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from vesalius.errors import DatasetError

_ADDED = re.compile(r"\.?(;\d+)?(\.dcm)?\Z")


def located(base: Path, file_id: Sequence[str]) -> Path:
    """The file below ``base`` that a file id means; where there is none, the path that it spells.

    Raises DatasetError where two names differ from the id in the same way.
    """
    spelled = base.joinpath(*file_id)
    if spelled.is_file():
        return spelled
    at = base
    for number, part in enumerate(file_id, start=1):
        name = _named(at, part, is_file=number == len(file_id))
        if name is None:
            return spelled
        at = at / name
    return at


def _named(folder: Path, part: str, is_file: bool) -> str | None:
    """The entry of a folder that a component means: as it is, in other case, with an ending."""
    try:
        entries, bare = _entries(folder, folder.stat().st_mtime_ns)
    except OSError:
        return None
    plain = part.casefold()
    same = entries.get(plain, []) or (bare.get(plain, []) if is_file else [])
    if len(same) > 1 and part not in same:
        both = " and ".join(sorted(same)[:2])
        hint = "remove the one that is not of the medium"
        raise DatasetError(f"{part!r} fits two files, {both}", where=folder, hint=hint)
    return part if part in same else same[0] if same else None


@lru_cache(maxsize=8)
def _entries(folder: Path, changed: int) -> tuple[dict[str, list[str]], dict[str, list[str]]]:  # noqa: ARG001
    """A folder's entries by their names in small letters, and by those without what is added.

    Kept while the folder does not change: a medium has thousands of files in one.
    """
    whole: dict[str, list[str]] = {}
    bare: dict[str, list[str]] = {}
    for path in folder.iterdir():
        plain = path.name.casefold()
        whole.setdefault(plain, []).append(path.name)
        bare.setdefault(_ADDED.sub("", plain, count=1), []).append(path.name)
    return whole, bare
