"""Which files of a folder or an archive a written name means: that file alone, never a likeness.

One file may be written in several ways: another case of the ending (``.PNG``), accents composed or
not (NFC, NFD), backslashes, ``./`` and ``..``. Another ending or a longer name is another file.
"""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".dcm")
Index = dict[str, list[str]]


def is_picture(name: str) -> bool:
    """Whether a file name has the ending of a picture, in any case."""
    return name.lower().endswith(ENDINGS)


def same_name(name: str) -> str:
    """What all ways of writing one relative path have in common."""
    path = posixpath.normpath(unicodedata.normalize("NFC", name.replace("\\", "/")))
    head, dot, ending = path.rpartition(".")
    return f"{head}.{ending.lower()}" if dot and "/" not in ending else path


class Listing:
    """The files of one folder, whatever lies below it, by name; each level is read once."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._levels: dict[str, tuple[Index, Index]] = {}

    def files(self, name: str) -> list[str]:
        """The files that ``name`` means: one, none, or several between which it does not tell.

        A name without a picture's ending also means pictures that are called so but for theirs.
        """
        if _is_file(self._place / name):
            return [name]
        *folders, last = same_name(name).split("/")
        above = [""]
        for folder in folders:
            above = [
                f"{at}{entry}/" for at in above for entry in self._level(at)[0].get(folder, ())
            ]
        named = [f"{at}{entry}" for at in above for entry in self._level(at)[0].get(last, ())]
        if not named and not is_picture(last):
            named = [f"{at}{entry}" for at in above for entry in self._level(at)[1].get(last, ())]
        return [path for path in named if _is_file(self._place / path)]

    def pictures(self) -> list[str]:
        """The pictures directly in the folder."""
        return [name for names in self._level("")[1].values() for name in names]

    def alike(self, name: str) -> str | None:
        """A file that differs from ``name`` in case or ending alone: to be told, never taken."""
        folder, _, last = same_name(name).rpartition("/")
        entries = self._level(f"{folder}/" if folder else "")[0]
        stem = stem_of(last).casefold()
        close = (e for names in entries.values() for e in names if stem_of(e).casefold() == stem)
        return next((e for e in close if same_name(e) != last), None)

    def _level(self, below: str) -> tuple[Index, Index]:
        if below not in self._levels:
            try:
                entries = sorted(os.listdir(self._place / below))  # noqa: PTH208
            except (OSError, ValueError):
                entries = []
            self._levels[below] = _indexes((entry, [entry]) for entry in entries)
        return self._levels[below]


class Members:
    """The files of an archive, which a row may name by any trailing part of their path."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = [
            name
            for name in names
            if not name.endswith("/") and "__MACOSX" not in PurePosixPath(name).parts
        ]
        self._whole = {same_name(name): name for name in self._names}
        self._named, self._stems = _indexes((name, _tails(same_name(name))) for name in self._names)

    def files(self, name: str) -> list[str]:
        """The members that ``name`` means; see :meth:`Listing.files`."""
        same = same_name(name)
        if same in self._whole:
            return [self._whole[same]]
        return self._named.get(same) or ([] if is_picture(same) else self._stems.get(same, []))

    def pictures(self) -> list[str]:
        """The pictures in the archive."""
        return [name for name in self._names if is_picture(name)]

    def alike(self, name: str) -> str | None:
        """A member that differs from ``name`` in its ending alone."""
        return next(iter(self._stems.get(stem_of(same_name(name)), ())), None)


def _indexes(entries: Iterable[tuple[str, Iterable[str]]]) -> tuple[Index, Index]:
    """Entries by how they may be called, and pictures by that without their ending."""
    named: Index = {}
    stems: Index = {}
    for entry, calls in entries:
        for call in calls:
            named.setdefault(same_name(call), []).append(entry)
            if is_picture(entry):
                stems.setdefault(stem_of(same_name(call)), []).append(entry)
    return named, stems


def _tails(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[at:]) for at in range(len(parts)))


def stem_of(name: str) -> str:
    """A name without a picture's ending; other ends, as in UIDs, are part of the name."""
    return name[: name.rindex(".")] if is_picture(name) else name


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  (a name that is too long is no file, no error)
