"""Several files on their way into one study: a folder, a series, a zip. Knows nothing of Streamlit.

Each file goes through the upload alone, in the order of its name, and no name goes with it. What
was sent stays sent: after an error, or in another run of the page, the rest follows.
"""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Protocol

from vesalius.cases.headers import is_bare_dicom, kind_of
from vesalius.data.reading.archives import require_honest
from vesalius.errors import DatasetError
from vesalius.service.http.study_schemas import StudyOut
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api

HEAD = 256
"""Bytes that tell a picture's kind."""
ONE_FILE = {413, 415, 422}
"""Statuses that are about one file: the others go on."""
MOST_FILES = 10_000
"""Files that are looked into; a study has fewer, as the service says."""
_ZIP = b"PK\x03\x04"
_NUMBERS = re.compile(r"(\d+)")
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
    OSError, RuntimeError, NotImplementedError, EOFError, ValueError,
)  # fmt: skip
"""What the library raises for a torn, encrypted or foreign archive."""


class InMemory(Protocol):
    """A file as the browser gave it, or bytes; it may have a ``name``."""

    def getvalue(self) -> bytes:
        """Its bytes."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a member of an archive: where it stands among the others, and its bytes.

    ``head`` reads the first of them only: most of an archive need not be unpacked to be listed.
    """

    place: tuple[object, ...]
    head: Callable[[], bytes]
    read: Callable[[], bytes]


@dataclass(slots=True, eq=False, weakref_slot=True)
class Batch:
    """Pictures to be sent; ``others`` are files that are no pictures read here.

    ``size``: bytes of all files. ``missing``: files that there was no room for.

    ``refused`` counts files by why the service did not take them; ``new_ids`` are the pictures that
    were not there before.
    """

    waiting: deque[Source]
    others: int = 0
    mask: bool = False
    size: int = 0
    missing: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    image_ids: list[str] = field(default_factory=list)
    new_ids: list[str] = field(default_factory=list)
    study_id: str | None = None
    error: ApiError | None = None

    @classmethod
    def of(cls, files: Iterable[InMemory], *, most: int, mask: bool = False) -> Batch:
        """All pictures in the files, by name; DatasetError for an archive that cannot be trusted.

        Archives are opened; of a file or member no more than ``most`` bytes are read.
        """
        files = list(files)
        sources = [source for file in files for source in _sources(file, most)]
        if len(sources) > MOST_FILES:
            raise DatasetError(f"these are {len(sources):,} files; send the series that matter")
        # What a single file is, the service says in its own words.
        pictures = sources if len(sources) == 1 else [one for one in sources if _is_picture(one)]
        ordered = deque(sorted(pictures, key=lambda one: one.place))
        size = sum(len(file.getvalue()) for file in files)
        return cls(ordered, len(sources) - len(pictures), mask, size)

    @property
    def total(self) -> int:
        """All pictures, sent or not."""
        return len(self.waiting) + len(self.image_ids) + self.refused.total()

    def send(self, api: Api) -> Iterator[int]:
        """Send what is left, and say after each how many are done.

        Raises the ApiError of a service that takes none, or not the only one; else what is about
        one file is counted.
        """
        if self.study_id is None and self.total > 1:
            self.study_id = api.open_study(self.total).study_id
        while self.waiting:
            try:
                sent = api.upload(self.waiting[0].read(), mask=self.mask, study=self.study_id)
                self.image_ids.append(sent.image_id)
                if sent.is_new:
                    self.new_ids.append(sent.image_id)
            except ApiError as error:
                if error.status not in ONE_FILE or self.total == 1:
                    raise
                self.refused[error.what] += 1
            except _UNREADABLE:
                self.refused["a member of the archive cannot be unpacked"] += 1
            self.waiting.popleft()
            yield self.total - len(self.waiting)

    def study(self, api: Api) -> StudyOut | None:
        """The study of what was sent; None where that is one picture, or none. ApiError."""
        if len(set(self.image_ids)) < 2 or self.study_id is None:
            return None
        return api.set_study(self.image_ids, study_id=self.study_id)

    def notes(self) -> list[str]:
        """What did not become a picture, in a line for each reason."""
        whole = self.total + self.others + self.missing
        lines = [f"{_files(n)} of {whole} not taken: {why}" for why, n in self.refused.items()]
        if self.missing:
            what = "too many were on their way at once"
            lines.append(f"{_files(self.missing)} of {whole} not taken: {what}")
        if self.others:
            what = "no picture of a kind that is read here"
            lines.append(f"{_files(self.others)} of {whole} left out: {what}")
        return lines


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _sources(file: InMemory, most: int) -> Sequence[Source]:
    data, name = file.getvalue(), getattr(file, "name", "")
    if not data.startswith(_ZIP):
        return [Source(_place(name), lambda: data[:HEAD], lambda: data)]
    try:
        archive = zipfile.ZipFile(BytesIO(data))
    except _UNREADABLE as error:
        raise DatasetError("an archive cannot be opened: is it whole?") from error
    members = [info for info in archive.infolist() if not info.is_dir()]
    require_honest(members, len(data), "an archive")
    # One byte more than a picture may have: the service refuses it then, as any other.
    return [
        Source(
            _place(name, info.filename),
            partial(_member, archive, info, HEAD),
            partial(_member, archive, info, most + 1),
        )
        for info in members
    ]


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, count: int) -> bytes:
    with archive.open(info) as inner:
        return inner.read(count)


def _is_picture(source: Source) -> bool:
    try:
        head = source.head()
    except _UNREADABLE:
        return True  # that it cannot be read is told where it is sent
    return kind_of(head) is not None or is_bare_dicom(head)


def _place(*names: str) -> tuple[object, ...]:
    """Names in the order of people: ``slice 2`` before ``slice 10``."""
    parts = (part for name in names for part in _NUMBERS.split(name.casefold()))
    return tuple(_rank(part) for part in parts)


def _rank(part: str) -> tuple[bool, int, str]:
    """Numbers by size, of any length: an archive's names may have 65,535 digits."""
    if not part.isdecimal():
        return True, 0, part
    digits = part.lstrip("0")
    return False, len(digits), digits
