"""Submission files: read line by line and strictly, and written whole, as CSV and as archive."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from vesalius.errors import DatasetError
from vesalius.evaluation.submission.forms import TASKS, Fault, Form, Task
from vesalius.evaluation.submission.rows import Rows, Submission
from vesalius.system.files import write_atomic

ZIP = ".zip"
_BYTES = 2**20
"""Of a line at most: a field's characters in UTF-8, each quotation mark doubled, fit in."""


def read(path: Path, form: Form, ids: tuple[str, ...]) -> Submission:
    """A submission file of that form for the images ``ids``; an archive of it has the ending .zip.

    The file is UTF-8 without a byte order mark, its lines end alike (LF, or CR LF as RFC 4180 has
    it), the last one too, and none is empty. Every image has one row, in any order. DatasetError
    names the lines of the first faults and counts the others.
    """
    rows, number, first_end = Rows(form, ids), 0, ""
    with _opened(path, form) as file:
        for number, raw in enumerate(_lines(file), start=1):
            place = f"line {number}"
            try:
                text, end = _decoded(raw, number)
                first_end = first_end or end
                if end != first_end:
                    raise Fault("it does not end as the first line does")
                if number > 1 or not _is_header(text, form):
                    rows.add(place, *form.fields(text))
            except Fault as fault:
                rows.refuse(place, str(fault))
    if number == 0:
        rows.refuse("line 1", "the file is empty")
    return rows.submission(path)


def task_in(path: Path, number: int) -> Task | None:
    """The task whose header a file of that year begins with; None if it begins with none."""
    with _opened(path, Form("captions", number)) as file:
        line = file.readline(_BYTES).rstrip(b"\r\n").decode("utf-8-sig", errors="replace")
    return next((task for task in TASKS if _names(line, Form(task, number))), None)


def write(path: Path, submission: Submission, ids: tuple[str, ...]) -> None:
    """Write the rows in the order of ``ids``, all of the file or nothing, with LF at line ends."""
    form = submission.form
    content = "".join(form.lines(submission.values, ids)).encode()
    if path.suffix.lower() == ZIP:
        archive = BytesIO()
        with ZipFile(archive, "w") as folder:
            member = ZipInfo(str(form.year.archive))  # dated 1980: the same bytes each time
            folder.writestr(member, content, ZIP_DEFLATED)
        content = archive.getvalue()
    write_atomic(path, content)


def _is_header(text: str, form: Form) -> bool:
    """Whether a first line is the header; Fault where there must be one, or for another task's."""
    if _names(text, form):
        return True
    other = next((t for t in TASKS if _names(text, Form(t, form.number))), None)
    if other is not None:
        raise Fault(f"the header is that of {other}, not {form.header}")
    if form.year.header == "required":
        raise Fault(f"the header is not {form.header}")
    return False


def _names(text: str, form: Form) -> bool:
    try:
        return form.fields(text) == form.headings
    except Fault:
        return False


def _decoded(raw: bytes, number: int) -> tuple[str, str]:
    """A line's text and its end."""
    if number == 1 and raw.startswith(codecs.BOM_UTF8):
        raise Fault("a byte order mark; save the file as UTF-8 without one")
    if len(raw) >= _BYTES:
        raise Fault(f"more than {_BYTES:,} bytes, of which no field can be read")
    end = "\r\n" if raw.endswith(b"\r\n") else "\n" if raw.endswith(b"\n") else ""
    try:
        text = raw.removesuffix(end.encode()).decode()
    except UnicodeDecodeError as error:
        raise Fault("not UTF-8 text") from error
    if not end:
        raise Fault("the last line has no end: the file may be cut")
    if not text.strip():
        raise Fault("the line is empty")
    return text, end


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while raw := file.readline(_BYTES):
        yield raw


@contextmanager
def _opened(path: Path, form: Form) -> Iterator[IO[bytes]]:
    """The bytes of a file, or of the one that its archive holds."""
    try:
        if path.suffix.lower() != ZIP:
            with path.open("rb") as file:
                yield file
            return
        with ZipFile(path) as folder:
            if form.year.archive is None:
                raise DatasetError(f"the files of {form.number} are not zipped", where=path)
            if folder.namelist() != [form.year.archive]:
                what = f"an archive holds {form.year.archive} and nothing else"
                raise DatasetError(what, where=path)
            with folder.open(form.year.archive) as file:
                yield file
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror or 'cut'}", where=path) from error
    except (BadZipFile, RuntimeError, EOFError, zlib.error) as error:
        what = "not a zip archive that can be read: damaged or encrypted"
        raise DatasetError(what, where=path) from error
