"""Rows of CSV, TSV, pipe-separated, JSON, JSON-lines and parquet files, with their numbers."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from vesalius.cases.case import Source
from vesalius.data.reading.rows import Cell, Located, Row, none_if_nan, stored_bytes
from vesalius.errors import DatasetError, ImageError

DELIMITERS = "\t|,;"
"""In order of trust: a caption often holds commas and semicolons, seldom tabs or pipes."""
HELD = 32 * 2**20
"""Bytes up to which a text table's rows are held; in memory they take some five times that."""
NAMES = {"\t": "tab", "|": "|", ",": "comma", ";": ";"}


def read_rows(path: Path) -> Iterator[Located]:
    """The rows of a table, by its file name's ending; DatasetError names the file and the row."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DatasetError("not a table", where=path, hint=f"known endings: {' '.join(READERS)}")
    return reader(path)


def held_rows(path: Path) -> Iterator[Located]:
    """As :func:`read_rows`; the rows of a small text table are parsed once and held in memory.

    For tables that several passes are made over, as one is for each split of a split column. The
    rows are shared: nobody changes them.
    """
    if path.suffix.lower() in TEXTS:
        try:
            status = path.stat()
        except OSError:
            return read_rows(path)  # it says why
        if status.st_size <= HELD:
            return iter(_held(path, status.st_size, status.st_mtime_ns))
    return read_rows(path)


@lru_cache(maxsize=4)
def _held(path: Path, size: int, changed: int) -> tuple[Located, ...]:  # noqa: ARG001
    return tuple(read_rows(path))


def named_rows(path: Path, columns: Mapping[str, Sequence[str]]) -> Iterator[Located]:
    """A delimited file's rows under our names; ``columns`` maps each to its possible headings.

    The delimiter is sniffed from the first line. That line is a header if it holds a heading of
    the first column; otherwise the columns are taken in the order given.
    """
    delimiter = sniff_delimiter(path)
    first = next(_records(path, delimiter))
    header = _header(first, columns, where=_first_line(path, delimiter))
    names = header or list(columns)
    skip = 0 if header is None else 1
    id_and_text = names == list(columns)
    for number, record in enumerate(_records(path, delimiter), start=1 - skip):
        if number > 0:
            where = Source(path.as_posix(), number)
            fields = _joined(record, names, delimiter) if id_and_text else record
            yield _named(where, names, fields, delimiter)


def delimited_lines(path: Path, delimiter: str, names: Sequence[str]) -> Iterator[Located]:
    """The rows of a file without a header; DatasetError names a row with too few fields."""
    for number, record in enumerate(_records(path, delimiter), start=1):
        fields = _joined(record, names, delimiter)
        yield _named(Source(path.as_posix(), number), names, fields, delimiter)


def split_lines(path: Path, delimiter: str) -> Iterator[tuple[Source, list[str]]]:
    """The fields of every line, however many; no header, no quoting."""
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            yield Source(path.as_posix(), number), line.rstrip("\r\n").split(delimiter)


def sniff_delimiter(path: Path) -> str:
    """The delimiter of a file, from its first line; DatasetError where none stands there."""
    line = next(_lines(path), "")
    for delimiter in DELIMITERS:
        if delimiter in line:
            return delimiter
    fault = "no tab, |, comma or ; in the first line" if line else "the file is empty"
    raise DatasetError(fault, where=f"{path} row 1")


def _first_line(path: Path, delimiter: str) -> str:
    return f"{path} (delimiter: {NAMES[delimiter]})"


def _header(
    first: list[str], columns: Mapping[str, Sequence[str]], *, where: str
) -> list[str] | None:
    cells = [cell.strip().lower() for cell in first]
    ours = {heading.lower(): name for name, headings in columns.items() for heading in headings}
    anchor = next(iter(columns))
    if anchor not in [ours.get(cell) for cell in cells]:
        return None
    names = [ours.get(cell, cell) for cell in cells]
    missing = [name for name in columns if name not in names]
    if missing:
        hint = f"the header has {', '.join(first)}; looked for {', '.join(columns[missing[0]])}"
        raise DatasetError(f"there is no {missing[0]} column", where=where, hint=hint)
    return names


def _joined(record: list[str], names: Sequence[str], delimiter: str) -> list[str]:
    # Ids, then a text: only the text, the last, may hold the delimiter unquoted.
    last = len(names) - 1
    return record if len(record) <= len(names) else [*record[:last], delimiter.join(record[last:])]


def _named(where: Source, names: Sequence[str], record: list[str], delimiter: str) -> Located:
    if len(record) != len(names):
        fault = f"{len(record)} fields where {len(names)} are expected ({', '.join(names)})"
        quote = "; quote the field that holds it" if len(record) > len(names) else ""
        raise DatasetError(fault, where=where, hint=f"the delimiter is {NAMES[delimiter]}{quote}")
    return where, dict(zip(names, record, strict=True))


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise DatasetError("not UTF-8 text", where=path) from error
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror}", where=path) from error


def _records(path: Path, delimiter: str) -> Iterator[list[str]]:
    """The fields of every row. Only comma files are read with CSV's quoting across lines.

    Tab and pipe files are often raw dumps in which a quotation mark is only a quotation mark.
    """
    if delimiter in "\t|":
        for line in _lines(path):
            if line.strip():
                yield [_unquoted(field) for field in line.rstrip("\r\n").split(delimiter)]
        return
    reader = csv.reader(_lines(path), delimiter=delimiter, strict=True)
    number = 0
    try:
        for record in reader:
            if record:
                number += 1
                yield record
    except csv.Error as error:
        fault = f"not valid CSV: {error}"
        raise DatasetError(fault, where=f"{path} row {number} or after it") from error


def _unquoted(field: str) -> str:
    inner = field.strip()[1:-1]
    if re.fullmatch(r'\s*".*"\s*', field) and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return field


def _delimited(path: Path) -> Iterator[Located]:
    delimiter = sniff_delimiter(path)
    names = [cell.strip() for cell in next(_records(path, delimiter))]
    for number, record in enumerate(_records(path, delimiter)):
        if number:
            yield _named(Source(path.as_posix(), number), names, record, delimiter)


def _json_lines(path: Path) -> Iterator[Located]:
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            where = Source(path.as_posix(), number)
            yield where, _object(_parsed(line, where), where)


def read_json(path: Path) -> Any:
    """The content of a JSON file; DatasetError names the file and the line."""
    return _parsed("".join(_lines(path)), path)


def _json_list(path: Path) -> Iterator[Located]:
    content = read_json(path)
    if not isinstance(content, list):
        raise DatasetError("not a JSON list of rows", where=path)
    for number, row in enumerate(content, start=1):
        where = Source(path.as_posix(), number)
        yield where, _object(row, where)


def _parsed(text: str, where: object) -> Any:
    try:
        # NaN and Infinity are not JSON, but pandas writes an empty cell as NaN.
        return json.loads(text, parse_constant=lambda _: None)
    except ValueError as error:
        raise DatasetError(f"not valid JSON: {error}", where=where) from error
    except RecursionError as error:
        raise DatasetError("JSON nested too deeply", where=where) from error


def _object(row: Any, where: Source) -> Row:
    if not isinstance(row, dict):
        raise DatasetError("not a JSON object", where=where)
    return row


def _parquet(path: Path) -> Iterator[Located]:
    file = _parquet_file(path)
    names = file.schema_arrow.names
    pictures = [n for n in names if _is_picture(file.schema_arrow.field(n).type)]
    words = [n for n in names if n not in pictures]
    number = 0
    for group in range(file.num_row_groups):
        table = _parquet_group(path, group, words)
        empty = {
            n: _without_picture(path, file.metadata.row_group(group), group, n) for n in pictures
        }
        for offset in range(file.metadata.row_group(group).num_rows):
            number += 1
            where = Source(path.as_posix(), number)
            row: Row = {n: none_if_nan(table.column(n)[offset].as_py()) for n in words}
            for name in pictures:
                cell = Cell(partial(_parquet_cell, where, group, offset, name))
                row[name] = None if offset in empty[name] else cell
            yield where, row


def _parquet_file(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError("cannot be read as parquet", where=path) from error


def _parquet_group(path: Path, group: int, columns: list[str]) -> Any:
    import pyarrow as pa

    try:
        return _parquet_file(path).read_row_group(group, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"row group {group} is damaged: {error}", where=path) from error


def _is_picture(kind: Any) -> bool:
    from pyarrow import types

    stored = types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    return bool(stored or types.is_binary(kind) or types.is_large_binary(kind))


@lru_cache(maxsize=2)
def _parquet_pictures(path: Path, group: int, name: str) -> Any:
    # Parquet is decoded by row group; the last ones stay, as neighbours are asked for together.
    return _parquet_group(path, group, [name]).column(name)


def _parquet_cell(where: Source, group: int, offset: int, name: str) -> bytes:
    try:
        value = _parquet_pictures(Path(where.file), group, name)[offset].as_py()
    except (DatasetError, IndexError) as error:
        raise ImageError("image_missing", str(error), where=where) from error
    return stored_bytes(value, where)


def _without_picture(path: Path, stored: Any, group: int, name: str) -> set[int]:
    """The rows of a group whose cell is null; its pictures are read only if there may be some."""
    leaves = (stored.column(i) for i in range(stored.num_columns))
    counts = [leaf.statistics for leaf in leaves if leaf.path_in_schema in (name, f"{name}.bytes")]
    if counts and all(count is not None and count.null_count == 0 for count in counts):
        return set()
    valid = _parquet_pictures(path, group, name).is_valid().to_pylist()
    return {offset for offset, there in enumerate(valid) if not there}


READERS = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".jsonl": _json_lines,
    ".json": _json_list,
    ".parquet": _parquet,
}
TEXTS = (".csv", ".tsv", ".jsonl", ".json")
