"""The files of a folder, a zip archive or a DICOMDIR, one by one, none of them trusted."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vesalius.data.deidentify.reading import is_dicom
from vesalius.data.reading.album import inside
from vesalius.data.reading.archives import Swelling, opened
from vesalius.data.reading.dicom_headers import is_directory, listed_files
from vesalius.data.reading.file_sets import located
from vesalius.errors import DatasetError

_UNREADABLE = (
    *(OSError, RuntimeError, NotImplementedError, EOFError, IndexError),
    *(zipfile.BadZipFile, zlib.error),
)
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class File:
    """A file, or a member of an archive, by its ``name`` below the source.

    ``member`` is its place in the archive's directory, since two members may have one name.
    ``stamp`` changes when the file does. ``fault`` is why it is not even opened, or None.
    """

    name: str
    path: Path
    member: int | None
    stamp: str
    fault: str | None = None

    def read(self, most: int) -> bytes:
        """All bytes; DatasetError where there are more than ``most``, or none can be read."""
        try:
            if self.member is None:
                with self.path.open("rb") as file:
                    data = file.read(most + 1)
            else:
                archive = opened(self.path)
                with archive.open(archive.infolist()[self.member]) as inner:
                    data = inner.read(most + 1)
        except _UNREADABLE as error:
            raise DatasetError("cannot be read") from error
        if len(data) > most:
            raise DatasetError(f"has more than {most:,} bytes")
        return data


def root_of(source: Path) -> Path:
    """The folder that belongs to a source: itself, a DICOMDIR's, or the file alone."""
    return source.parent if _is_directory_file(source) else source


def listed(source: Path) -> Iterator[File]:
    """Every file below a folder in the order of the names, archives' members in the archive's.

    Raises DatasetError where the source is not there, or no archive can be read at all.
    """
    if not source.exists():
        raise DatasetError("there is no such file or folder", where=source)
    if source.is_dir():
        yield from _below(source)
    elif zipfile.is_zipfile(source):
        yield from _members(source, "")
    elif _is_directory_file(source):
        yield from _of_directory(source)
    else:
        yield _lying(source.name, source)


def _lying(name: str, path: Path, fault: str | None = None) -> File:
    try:
        status = path.stat()
    except OSError:
        return File(name, path, None, "", fault or "unreadable")
    return File(name, path, None, f"{status.st_size} {status.st_mtime_ns}", fault)


def _below(root: Path) -> Iterator[File]:
    inner = root.resolve()
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            below = path.relative_to(root).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(inner):
                yield _lying(below, path, "outside")
            elif not path.is_file():
                continue
            elif name.lower().endswith(".zip") and zipfile.is_zipfile(path):
                yield from _members(path, f"{below}/")
            else:
                yield _lying(below, path)


def _members(archive: Path, prefix: str) -> Iterator[File]:
    try:
        members = opened(archive).infolist()
    except DatasetError as error:
        kind = error.kind if isinstance(error, Swelling) else "unreadable"
        yield _lying(prefix or archive.name, archive, kind)
        return
    for number, info in enumerate(members):
        if info.is_dir() or "__MACOSX" in PurePosixPath(info.filename).parts:
            continue
        stamp = f"{info.CRC} {info.file_size}"
        fault = "unreadable" if info.flag_bits & _ENCRYPTED else None
        try:
            inside(info.filename, archive.name)
        except DatasetError:
            # Nothing is unpacked by its name, but honest archives have no such names.
            fault = "outside"
        yield File(prefix + info.filename, archive, number, stamp, fault)


def _is_directory_file(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return is_dicom(file.read(132)) and is_directory(file)


def _of_directory(path: Path) -> Iterator[File]:
    base = path.parent
    with path.open("rb") as file:
        parts = listed_files(file)
    for names in parts:
        name = "/".join(names)
        try:
            inside(name, path.name)
        except DatasetError:
            yield File(name, path, None, "", "outside")
            continue
        try:
            target = located(base, names)
        except DatasetError:
            yield File(name, path, None, "", "ambiguous")
            continue
        within = target.resolve().is_relative_to(base.resolve())
        yield _lying(name, target, None if within else "outside")
