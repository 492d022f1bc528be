"""Pictures by name, in folders and zip archives below one root, none of them opened early."""

from __future__ import annotations

import os
import posixpath
import re
import zipfile
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

from vesalius.cases.case import Source
from vesalius.cases.picture import Picture
from vesalius.data.reading.archives import opened
from vesalius.data.reading.listings import Listing, Members
from vesalius.data.reading.rows import Cell
from vesalius.errors import DatasetError, ImageError, printable

DRIVE = re.compile(r"[A-Za-z]:/")
NAMED = 3
"""How many of the files that answer to one name an error names."""
MEMBER_LIMIT = 256 * 2**20
"""The most bytes one archived picture may unpack to: a zip bomb is refused before it is read."""


class Album:
    """Where a data set's rows find their pictures: ``places`` are folders or zips below ``root``.

    A name is a path below a place, or a bare image id without its ending. Names that lead out of
    the root, by ``..``, an absolute path or a link, raise DatasetError with the row. A name that
    nothing answers to, or several files, gives a picture that fails only when it is read
    (``vesalius data check`` lists those as ``missing`` and ``ambiguous``).
    """

    def __init__(self, root: Path, places: Sequence[Path] = (), base: Path | None = None) -> None:
        self.root, self._base = root, base or root
        self.places = tuple(places) or (root,)

    def picture(self, name: str, where: Source) -> Picture:
        """The picture called ``name`` in the row ``where``."""
        name = inside(self._relative(name), where)
        for place in self.places:
            files = self._indexes[place].files(name)
            if len(files) == 1:
                return self._in(place, files[0])
            if files:
                fault = f"{len(files)} files answer to it: {', '.join(sorted(files)[:NAMED])}"
                return _lost(self._key(place / name), "image_ambiguous", fault)
        return _lost(self._key(self.places[0] / name), "image_missing", self._absent(name))

    def by_its_end(self, name: str) -> str:
        """A path of another machine as the longest of its ends that is here; others as they are.

        Programs that annotate write ``C:/scans/a.png`` or ``/data/upload/3/a.png`` as often as not.
        """
        relative = self._relative(name)
        if not (relative.startswith(("/", "..")) or DRIVE.match(relative)):
            return name
        parts = [part for part in PurePosixPath(relative).parts if part not in ("/", "..")]
        tails = ("/".join(parts[at:]) for at in range(len(parts)))
        there = (t for t in tails if any(self._indexes[p].files(t) for p in self.places))
        return next(there, name)

    def _in(self, place: Path, name: str) -> Picture:
        if place.is_file():
            return Picture(f"{self._key(place)}/{name}", partial(read_member, place, name))
        path = place / name
        try:
            name.encode()
        except UnicodeEncodeError as error:
            fault = f"the file name {name!a} is not UTF-8"
            raise DatasetError(fault, where=place, hint="rename the file") from error
        if not path.resolve().is_relative_to(place.resolve()):
            raise DatasetError(f"{name!r} is a link that leads out of the data set", where=place)
        return Picture.from_file(path, self._key(path))

    def _absent(self, name: str) -> str:
        near = (self._indexes[place].alike(name) for place in self.places)
        alike = next((other for other in near if other is not None), None)
        return "there is no such file" + (f"; there is {alike}" if alike else "")

    def _relative(self, name: str) -> str:
        """A path that leads to one of the places, relative to it; other names as they are."""
        name = name.replace("\\", "/")
        plain = posixpath.normpath(name)
        if not plain.startswith(("/", "..")):
            return plain
        for place in self.places:
            path = Path(os.path.normpath(self._base.absolute() / name))
            within = Path(os.path.normpath(place.absolute()))
            if path.is_relative_to(within):
                return path.relative_to(within).as_posix()
        return name

    def names(self) -> list[str]:
        """The file names of all pictures directly in the places, sorted."""
        return sorted({name for index in self._indexes.values() for name in index.pictures()})

    def beside(self, name: str) -> bytes | None:
        """The content of a small file that lies with the pictures, or None if there is none."""
        for place in self.places:
            files = self._indexes[place].files(name)
            if len(files) == 1:
                inner = files[0]
                return (
                    read_member(place, inner) if place.is_file() else (place / inner).read_bytes()
                )
        return None

    @cached_property
    def _indexes(self) -> dict[Path, Listing | Members]:
        return {
            place: Members(opened(place).namelist()) if place.is_file() else Listing(place)
            for place in self.places
        }

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if self.root in path.parents else path.name


def inside(name: str, where: object) -> str:
    """``name`` as a relative POSIX path; DatasetError if it would leave the data set's folder."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", name):
        fault, hint = "a web address, not a file", "fetch the pictures yourself; nothing is fetched"
        if name.lower().startswith("file:"):
            fault, hint = "a file: address, not a path", "write the path alone"
        raise DatasetError(fault, where=where, hint=hint)
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts[:1] and ":" in path.parts[0]):
        fault = f"the path {name!r} leads out of the data set"
        hint = "paths are relative to the data set, or lie in the folder that --images names"
        raise DatasetError(fault, where=where, hint=hint)
    return path.as_posix()


def _lost(key: str, code: str, fault: str) -> Picture:
    key = printable(key)
    return Picture(key, partial(_refused, code, fault, key))


def _refused(code: str, fault: str, key: str) -> bytes:
    raise ImageError(code, fault, where=key)


def read_member(archive: Path, member: str) -> bytes:
    """The bytes of one file in a zip archive; ImageError names both."""
    where = f"{archive.name}/{member}"
    try:
        file = opened(archive)
        if file.getinfo(member).file_size > MEMBER_LIMIT:
            raise ImageError("image_too_large", "unpacks to more than 256 MiB", where=where)
        return file.read(member)
    except (KeyError, OSError, RuntimeError, zipfile.BadZipFile, DatasetError) as error:
        fault = f"not readable in the zip: {error}"
        raise ImageError("image_missing", fault, where=where) from error


def picture_in(value: object, name: str, album: Album, where: Source) -> Picture:
    """The picture in a row's cell, or else the one the album has under ``name``."""
    return Picture(name, value.read) if isinstance(value, Cell) else album.picture(name, where)
