"""Text files in whatever encoding they say, line by line; any other fault names its line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from vesalius.errors import DatasetError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks, the longer first: UTF-32's begins as UTF-16's does."""
SIGNATURES = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save its sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Office file", "save its sheet as CSV (UTF-8)"),
    (b"\x1f\x8b", "compressed (gzip)", "unpack it with gunzip"),
    (b"%PDF", "a PDF", "save its table as CSV (UTF-8)"),
    (b"PAR1", "a parquet file", "give it the ending .parquet"),
)
WAY_OUT = (
    "save it as UTF-8, or name its encoding with --encoding: cp1252 (Western Windows), cp1251 "
    "(Cyrillic), gb18030 (Chinese), cp932 (Japanese)"
)
_HEAD = 512


def lines(path: Path, encoding: str | None = None) -> Iterator[str]:
    """The lines of a text file with their ends: LF, CR LF or CR.

    A byte order mark decides the encoding, then ``encoding``, then UTF-8; UTF-16 without a mark is
    known by its zeros. DatasetError names the file and the line.
    """
    try:
        with path.open("rb") as file:
            name = _encoding(file.read(_HEAD), path, encoding)
        with path.open(encoding=name, newline="") as file:
            # Files put one behind the other have marks in their midst, too.
            yield from (line.lstrip("\ufeff") for line in file)
    except UnicodeError as error:
        raise _undecodable(path, name) from error
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror}", where=path) from error


def text(path: Path, encoding: str | None = None) -> str:
    """The whole of a text file; see :func:`lines`."""
    return "".join(lines(path, encoding))


def _encoding(head: bytes, path: Path, chosen: str | None) -> str:
    for signature, what, hint in SIGNATURES:
        if head.startswith(signature):
            raise DatasetError(f"not text but {what}", where=path, hint=hint)
    marked = next((name for mark, name in MARKS if head.startswith(mark)), None)
    if marked or chosen:
        return marked or str(chosen)
    # Every second byte of Latin letters in UTF-16 is zero; UTF-8 text has none.
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = head[start::2]
        if half and half.count(0) > len(half) * 0.6 and head[1 - start :: 2].count(0) == 0:
            return name
    return "utf-8"


def _undecodable(path: Path, encoding: str) -> DatasetError:
    if encoding not in ("utf-8", "utf-8-sig"):
        hint = "is that its encoding? Excel's CSV is often cp1252, and saves as UTF-8, too"
        return DatasetError(f"not {encoding} text", where=path, hint=hint)
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                fault = f"not UTF-8 text: byte 0x{line[error.start]:02x}"
                return DatasetError(fault, where=f"{path} line {number}", hint=WAY_OUT)
    return DatasetError("not UTF-8 text", where=path, hint=WAY_OUT)
