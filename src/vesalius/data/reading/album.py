"""Pictures by name, in folders and zip archives below one root, none of them opened early."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path, PurePosixPath

from vesalius.cases.case import Source
from vesalius.cases.picture import Picture
from vesalius.data.reading.rows import Cell
from vesalius.errors import DatasetError, ImageError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".dcm")
MEMBER_LIMIT = 256 * 2**20
"""The most bytes one archived picture may unpack to: a zip bomb is refused before it is read."""


class Album:
    """Where a data set's rows find their pictures: ``places`` are folders or zips below ``root``.

    A name is a path below a place, or a bare image id without its ending. Names that lead out of
    the root, by ``..``, an absolute path or a link, raise DatasetError with the row. A name that
    nothing answers to gives a picture that fails only when it is read (``vesalius data check``
    lists those).
    """

    def __init__(self, root: Path, places: Sequence[Path] = ()) -> None:
        self.root = root
        self.places = tuple(places) or (root,)

    def picture(self, name: str, where: Source) -> Picture:
        """The picture called ``name`` in the row ``where``."""
        name = inside(self._relative(name), where)
        for place in self.places:
            picture = self._archived(place, name) if place.is_file() else self._lying(place, name)
            if picture is not None:
                return picture
        path = self.places[0] / name
        return Picture.from_file(path, self._key(path))

    def _relative(self, name: str) -> str:
        """A full path that lies in one of the places, relative to it; other names as they are."""
        path = Path(name)
        within = (p.absolute() for p in self.places if path.is_absolute())
        place = next((place for place in within if path.is_relative_to(place)), None)
        return name if place is None else path.relative_to(place).as_posix()

    def names(self) -> list[str]:
        """The file names of all pictures directly in the places, sorted."""
        names = {n for index in self._indexes.values() for n in index.values() if _is_picture(n)}
        return sorted(names)

    def _lying(self, place: Path, name: str) -> Picture | None:
        path = place / name
        if not path.is_file():
            stem = PurePosixPath(name)
            bare = self._indexes[place].get(stem.name) or self._indexes[place].get(stem.stem)
            if bare is None or len(stem.parts) > 1:
                return None
            path = place / bare
        if not path.resolve().is_relative_to(place.resolve()):
            raise DatasetError(f"{name!r} is a link that leads out of the data set", where=place)
        return Picture.from_file(path, self._key(path))

    def _archived(self, archive: Path, name: str) -> Picture | None:
        index = self._indexes[archive]
        member = index.get(name)
        if member is None and PurePosixPath(name).suffix.lower() not in ENDINGS:
            member = index.get(f"{PurePosixPath(name).name}.")
        if member is None:
            return None
        return Picture(f"{self._key(archive)}/{member}", partial(read_member, archive, member))

    def beside(self, name: str) -> bytes | None:
        """The content of a small file that lies with the pictures, or None if there is none."""
        for place in self.places:
            if place.is_file():
                member = self._indexes[place].get(name)
                if member is not None:
                    return read_member(place, member)
            elif (place / name).is_file():
                return (place / name).read_bytes()
        return None

    @cached_property
    def _indexes(self) -> dict[Path, dict[str, str]]:
        return {place: _index(place) for place in self.places}

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if self.root in path.parents else path.name


def inside(name: str, where: object) -> str:
    """``name`` as a relative POSIX path; DatasetError if it would leave the data set's folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts[:1] and ":" in path.parts[0]):
        fault = f"the path {name!r} leads out of the data set"
        hint = "paths are relative to the data set, or lie in the folder that --images names"
        raise DatasetError(fault, where=where, hint=hint)
    return path.as_posix()


def _index(place: Path) -> dict[str, str]:
    """What a row may call a file, and what the file is called in ``place``."""
    if place.is_file():
        return _members(place)
    if not place.is_dir():
        return {}
    with os.scandir(place) as entries:
        return {Path(e.name).stem: e.name for e in entries if _is_picture(e.name)}


def _members(archive: Path) -> dict[str, str]:
    """Every trailing part of a member's path, and ``stem.`` for pictures, where unambiguous."""
    known: dict[str, str] = {}
    shared: set[str] = set()
    for member in _archive(archive, os.getpid()).namelist():
        path = PurePosixPath(member)
        if member.endswith("/") or path.parts[0] == "__MACOSX":
            continue
        names = {"/".join(path.parts[at:]) for at in range(len(path.parts))}
        for name in names | ({f"{path.stem}."} if _is_picture(member) else set()):
            if known.setdefault(name, member) != member:
                shared.add(name)
    return {name: member for name, member in known.items() if name not in shared}


def _is_picture(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def read_member(archive: Path, member: str) -> bytes:
    """The bytes of one file in a zip archive; ImageError names both."""
    where = f"{archive.name}/{member}"
    try:
        file = _archive(archive, os.getpid())
        if file.getinfo(member).file_size > MEMBER_LIMIT:
            raise ImageError("image_too_large", "unpacks to more than 256 MiB", where=where)
        return file.read(member)
    except (KeyError, OSError, RuntimeError, zipfile.BadZipFile, DatasetError) as error:
        fault = f"not readable in the zip: {error}"
        raise ImageError("image_missing", fault, where=where) from error


@lru_cache(maxsize=8)
def _archive(path: Path, process: int) -> zipfile.ZipFile:  # noqa: ARG001
    # One open archive a process: forked workers that shared a handle would share its position.
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DatasetError(f"not a readable zip archive: {error}", where=path) from error


def picture_in(value: object, name: str, album: Album, where: Source) -> Picture:
    """The picture in a row's cell, or else the one the album has under ``name``."""
    return Picture(name, value.read) if isinstance(value, Cell) else album.picture(name, where)
