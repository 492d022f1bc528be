"""Rows of delimited, JSON and parquet files, with their numbers, by the file name's ending."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from vesalius.data.reading.delimited import delimited_rows
from vesalius.data.reading.json_rows import json_rows
from vesalius.data.reading.parquet_rows import parquet_rows
from vesalius.data.reading.rows import Located
from vesalius.errors import DatasetError

HELD = 32 * 2**20
"""Bytes up to which a text table's rows are held; in memory they take some five times that."""
READERS = {
    ".csv": delimited_rows,
    ".tsv": delimited_rows,
    ".jsonl": json_rows,
    ".ndjson": json_rows,
    ".json": json_rows,
    ".parquet": parquet_rows,
}
ALONE = READERS | {".txt": delimited_rows, ".tab": delimited_rows, ".psv": delimited_rows}
"""What a file that is named itself may end in; in a folder a .txt is often no table."""
TEXTS = tuple(ending for ending in ALONE if ending != ".parquet")
_SHEET = "an Excel workbook", "save its sheet as CSV (UTF-8)"
_ARCHIVE = "an archive", "unpack it and name the folder, or the table in it"
_PYTHON = "a file of Python objects", "write its rows with pandas: to_parquet or to_json"
UNREAD = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb"), _SHEET),
    ".ods": ("a spreadsheet", _SHEET[1]),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), _ARCHIVE),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst"), ("compressed", "unpack it first")),
    **dict.fromkeys((".pkl", ".pickle", ".npy", ".npz", ".pt", ".mat", ".h5", ".hdf5"), _PYTHON),
    **dict.fromkeys((".arrow", ".feather"), ("an Arrow file", "save it as parquet")),
    **dict.fromkeys((".yaml", ".yml"), ("a file of settings", "name the folder that holds it")),
    ".xml": ("XML", "write a table or COCO json of it"),
}
"""Endings of files that hold tables and are not read: what they are, and the way out."""


def read_rows(path: Path, encoding: str | None = None) -> Iterator[Located]:
    """The rows of a table, by its file name's ending; DatasetError names the file and the row.

    ``encoding`` of a text file that is not UTF-8 and has no byte order mark.
    """
    ending = path.suffix.lower()
    reader = ALONE.get(ending)
    if reader is None:
        known = f"known endings: {' '.join(ALONE)}"
        what, hint = UNREAD.get(ending, ("of no known ending", known))
        raise DatasetError(f"not a table but {what}", where=path, hint=hint)
    return reader(path, encoding)


def held_rows(path: Path, encoding: str | None = None) -> Iterator[Located]:
    """As :func:`read_rows`; the rows of a small text table are parsed once and held in memory.

    For tables that several passes are made over, as one is for each split of a split column. The
    rows are shared: nobody changes them.
    """
    if path.suffix.lower() in TEXTS:
        try:
            status = path.stat()
        except OSError:
            return read_rows(path, encoding)  # it says why
        if status.st_size <= HELD:
            return iter(_held(path, encoding, status.st_size, status.st_mtime_ns))
    return read_rows(path, encoding)


@lru_cache(maxsize=4)
def _held(
    path: Path,
    encoding: str | None,
    size: int,  # noqa: ARG001
    changed: int,  # noqa: ARG001
) -> tuple[Located, ...]:
    return tuple(read_rows(path, encoding))
