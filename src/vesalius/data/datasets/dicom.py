"""DICOM studies: a folder, a zip archive or a DICOMDIR, one case an image, under pseudonyms."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal

from pydantic import Field

from vesalius.cases.case import Case, Source
from vesalius.cases.decoded import DEFAULT_LIMITS
from vesalius.cases.headers import is_bare_dicom
from vesalius.cases.picture import Picture
from vesalius.cases.view import View
from vesalius.data.reading.album import inside, read_member
from vesalius.data.reading.dicom_headers import (
    Header,
    is_dicom,
    is_directory,
    listed_files,
    read_header,
)
from vesalius.data.reading.file_sets import located
from vesalius.data.reading.folders import is_left
from vesalius.data.reading.streams import ALL, Streams
from vesalius.errors import DatasetError, ImageError, RecipeError
from vesalius.settings import Frozen, validated

ENDINGS = (".dcm", ".dicom")
FROM_ENVIRONMENT = "env:"


class DicomOptions(Frozen):
    """Which frames are taken, how identities are replaced, and what becomes of broken files."""

    frames: Literal["first", "middle", "all"] = "middle"
    """Of a multi-frame image: its first frame, its middle one (n // 2 from 0), or all of them."""
    key: str = Field(default="vesalius", min_length=1, repr=False)
    """Keys the pseudonyms. The default is public, so anybody who guesses a patient's number can
    check the guess: real pseudonyms need a secret one. ``env:NAME`` reads it from the environment
    variable NAME, so that the recipe saved with a run does not hold it."""
    skip_unreadable: bool = False
    """Pass over files that cannot be read, and copies of an image, instead of stopping at them."""


class Dicom:
    """DICOM files anywhere below a folder, in zip archives, or listed in a DICOMDIR.

    One case an image object (SOP instance), in the order of the file names; the picture's key is
    study/series/instance. Its id, its key and its ``group`` (the patient, or the study where the
    header names no patient) are keyed BLAKE2b hashes, pseudonyms only as far as the option ``key``
    is secret. No identifier, name, date or free text is taken from a header; the file's own path,
    which may tell of a patient, stands in ``source`` and in errors and nowhere else.
    Other files, and objects without pixels such as structured reports, are passed over.
    """

    options = DicomOptions

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Streams:
        """The studies at ``root``: a folder, a zip archive or a DICOMDIR. There is no hub form.

        Raises DatasetError for paths that lead out of the folder or archive.
        """
        if root is None or hub:
            raise DatasetError("DICOM files are read from a folder, not from a hub", where=hub)
        chosen = validated(DicomOptions, options, where="options of dicom")
        return Streams("dicom", {ALL: partial(_cases, root, _listed(root), chosen)})


@dataclass(frozen=True, slots=True)
class _File:
    """A file, or a member of an archive; ``name`` is its path below the root."""

    name: str
    path: Path
    member: str | None = None

    def open(self) -> BinaryIO:
        if self.member is None:
            return self.path.open("rb")
        return BytesIO(read_member(self.path, self.member))

    def picture(self, key: str) -> Picture:
        if self.member is None:
            return Picture.from_file(self.path, key)
        return Picture(key, partial(read_member, self.path, self.member))


def _cases(root: Path, files: tuple[_File, ...], options: DicomOptions) -> Iterator[Case]:
    key = _key(options.key)
    seen: dict[str, str] = {}
    for file in files:
        try:
            header = _header(file, key)
            if header is None:
                continue
            if header.instance in seen:
                fault = f"the same image as {seen[header.instance]} (SOP Instance UID)"
                hint = "remove one, or set skip_unreadable: true to keep the first"
                raise DatasetError(fault, where=file.name, hint=hint)
            pictures = _pictures(file, header, options.frames)
        except DatasetError:
            if options.skip_unreadable:
                continue
            raise
        seen[header.instance] = file.name
        yield Case(
            id=header.instance,
            group=header.group,
            pictures=pictures,
            modality=header.modality,
            source=Source(file.name),
            split=ALL,
        )
    if not seen:
        raise DatasetError(f"no DICOM image among {len(files):,} files", where=root)


def _header(file: _File, key: bytes) -> Header | None:
    """The file's header; None where it is no DICOM image; DatasetError where it is a broken one."""
    try:
        with file.open() as opened:
            if is_dicom(opened):
                return None if is_directory(opened) else read_header(opened, key)
            opened.seek(0)
            bare = is_bare_dicom(opened.read(16))
    except DatasetError as error:
        # ``from None``: what stands behind the error is a parser's, and may quote the header.
        raise DatasetError(error.what, where=file.name, hint=error.hint) from None
    except (OSError, ImageError) as error:
        reason = error.what if isinstance(error, ImageError) else error.strerror
        raise DatasetError(f"cannot be read: {reason}", where=file.name) from error
    if bare or file.name.lower().endswith(ENDINGS):
        fault = "not a DICOM file: no DICM after the preamble (PS3.10)"
        hint = "mend or remove it, or set skip_unreadable: true"
        raise DatasetError(fault, where=file.name, hint=hint)
    return None


def _pictures(file: _File, header: Header, frames: str) -> tuple[Picture, ...]:
    picture = file.picture(f"{header.study}/{header.series}/{header.instance}")
    if header.frames == 1:
        return (picture,)
    if frames != "all":
        return (picture.at(View(0 if frames == "first" else header.frames // 2)),)
    most = DEFAULT_LIMITS.max_frames
    if header.frames > most:
        fault = f"{header.frames:,} frames; {most} are allowed"
        raise DatasetError(fault, where=file.name, hint="take its first or middle frame")
    return tuple(picture.at(View(frame)) for frame in range(header.frames))


def _key(secret: str) -> bytes:
    if secret.startswith(FROM_ENVIRONMENT):
        name = secret.removeprefix(FROM_ENVIRONMENT)
        secret = os.environ.get(name, "")
        if not secret:
            raise RecipeError(f"key: the environment variable {name} is not set", where="dicom")
    # BLAKE2b takes at most 64 bytes of key; a hash of it has as much of its strength as fits.
    return blake2b(secret.encode()).digest()


def _listed(root: Path) -> tuple[_File, ...]:
    """The files to look into, sorted by their path below the root."""
    if root.is_dir():
        files = list(_below(root))
    elif zipfile.is_zipfile(root):
        files = list(_members(root, ""))
    else:
        # A DICOMDIR's own order is that of its studies and series.
        return tuple(_of_directory(root))
    if not files:
        raise DatasetError("there are no files here", where=root)
    return tuple(sorted(files, key=lambda file: file.name))


def _below(root: Path) -> Iterator[_File]:
    inner = root.resolve()
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            below = path.relative_to(root).as_posix()
            if is_left(PurePosixPath(below)):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(inner):
                raise DatasetError("is a link that leads out of the data set", where=below)
            if name.lower().endswith(".zip"):
                yield from _members(path, f"{below}/")
            elif path.is_file():
                yield _File(below, path)


def _members(archive: Path, prefix: str) -> Iterator[_File]:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = opened.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise DatasetError("not a readable zip archive", where=archive.name) from error
    # Nothing is ever unpacked to disk; such names are refused because honest archives have none.
    for name in names:
        below = inside(name, archive.name)
        if not name.endswith("/") and not is_left(PurePosixPath(below)):
            yield _File(prefix + below, archive, name)


def _of_directory(path: Path) -> Iterator[_File]:
    base = path.parent
    with path.open("rb") as file:
        if not (is_dicom(file) and is_directory(file)):
            raise DatasetError("neither a folder, a zip archive nor a DICOMDIR", where=path)
        try:
            listed = listed_files(file)
        except DatasetError as error:
            raise DatasetError(error.what, where=path) from None
    for parts in listed:
        name = inside("/".join(parts), path.name)
        target = located(base, parts)
        if not target.resolve().is_relative_to(base.resolve()):
            raise DatasetError(f"{name!r} is a link that leads out of the data set", where=path)
        yield _File(target.relative_to(base).as_posix(), target)
