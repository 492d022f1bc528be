"""Rows of JSON, whatever its file's ending says: lines, a list, columns, or rows by id or split."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from vesalius.cases.case import Source
from vesalius.data.reading.headings import require_distinct
from vesalius.data.reading.json_hints import json_hint
from vesalius.data.reading.rows import Located, Row
from vesalius.data.reading.texts import lines, text
from vesalius.errors import DatasetError

LINES = (".jsonl", ".ndjson")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""Escapes of surrogates, which are whole characters only in pairs."""


def json_rows(path: Path, encoding: str | None = None) -> Iterator[Located]:
    """The rows of a file of JSON lines or of one JSON value; DatasetError names file and row.

    One value is a list of rows, an object with one such list, columns (as pandas writes them) or
    rows by their id. Which it is, the content tells, not the ending.
    """
    if _is_lines(path, encoding):
        yield from _json_lines(path, encoding)
        return
    content = text(path, encoding)
    for number, row in enumerate(_rows_of(_parsed(content, path), path), start=1):
        where = Source(path.as_posix(), number)
        yield where, whole_row(row, where) if _HALF.search(content) else _object(row, where)


def read_json(path: Path, encoding: str | None = None) -> Any:
    """The content of a JSON file; DatasetError names the file and the line."""
    return _parsed(text(path, encoding), path)


def json_object(path: Path, encoding: str | None = None) -> dict[str, Any] | None:
    """The object that a JSON file holds; None for lines and lists, which are rows."""
    if _is_lines(path, encoding):
        return None
    status = path.stat()
    content = _held(path, encoding, status.st_size, status.st_mtime_ns)
    return content if isinstance(content, dict) else None


@lru_cache(maxsize=4)
def _held(
    path: Path,
    encoding: str | None,
    size: int,  # noqa: ARG001
    changed: int,  # noqa: ARG001
) -> Any:
    return read_json(path, encoding)


def _is_lines(path: Path, encoding: str | None) -> bool:
    given = (line for line in lines(path, encoding) if line.strip())
    first = next(given, "").strip()
    if first.startswith("["):
        return False
    if path.suffix.lower() in LINES:
        return first != "{"
    try:
        return isinstance(json.loads(first), dict) and next(given, None) is not None
    except (ValueError, RecursionError):
        return False


def _json_lines(path: Path, encoding: str | None) -> Iterator[Located]:
    for number, line in enumerate(lines(path, encoding), start=1):
        if line.strip():
            where = Source(path.as_posix(), number)
            row = _parsed(line, where)
            yield where, whole_row(row, where) if _HALF.search(line) else _object(row, where)


def _rows_of(content: Any, path: Path) -> list[Any]:
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        raise DatasetError("neither a list nor an object", where=path)
    within = [value for value in content.values() if _is_table(value)]
    if len(within) == 1:
        return list(within[0])
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
        return _split_oriented(content["columns"], content["data"], path)
    return _columns(content) or _by_id(content, path)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _columns(content: Mapping[str, Any]) -> list[Row]:
    """Rows of columns of equal length: lists, or mappings from the row's number (pandas)."""
    cells = [_cells(column) for column in content.values()]
    names = {tuple(column or ()) for column in cells}
    if None in cells or len(names) != 1:
        return []
    return [
        {name: (column or {})[row] for name, column in zip(content, cells, strict=True)}
        for row in next(iter(names))
    ]


def _split_oriented(names: list[Any], rows: list[Any], path: Path) -> list[Row]:
    """Rows of pandas' ``orient="split"``: the columns' names once, then each row's cells."""
    require_distinct(names, path)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list) or len(row) != len(names):
            fault = f"no list of as many cells as there are columns ({len(names)})"
            raise DatasetError(fault, where=Source(path.as_posix(), number))
    return [dict(zip(map(str, names), row, strict=True)) for row in rows]


def _cells(column: Any) -> dict[str, Any] | None:
    if isinstance(column, list):
        return {str(at): cell for at, cell in enumerate(column)}
    numbered = isinstance(column, dict) and all(name.isdecimal() for name in column)
    return column if numbered else None


def _by_id(content: Mapping[str, Any], path: Path) -> list[Row]:
    if not content or not all(isinstance(row, dict) for row in content.values()):
        hint = "a list of rows is read, rows by id or split, columns, COCO and VIA"
        raise DatasetError("a JSON object that is no table", where=path, hint=hint)
    return [{"id": name} | row for name, row in content.items()]


def _parsed(content: str, where: object) -> Any:
    try:
        # NaN and Infinity are not JSON, but pandas writes an empty cell as NaN.
        return json.loads(content, parse_constant=lambda _: None, object_pairs_hook=_once)
    except ValueError as error:
        fault, hint = f"not valid JSON: {error}", json_hint(content, error)
        raise DatasetError(fault, where=where, hint=hint) from error
    except RecursionError as error:
        raise DatasetError("JSON nested too deeply", where=where) from error


def _once(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("an object has one key twice; rename one")
    return row


def _object(row: Any, where: Source) -> Row:
    if not isinstance(row, dict):
        raise DatasetError("not a JSON object", where=where)
    return row


def whole_row(row: Any, where: Source) -> Row:
    """A row without half characters, which no file can hold; DatasetError names it."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        fault = "half a character (a surrogate without its pair, such as \\ud83d)"
        hint = "write the whole character, or leave the half out"
        raise DatasetError(fault, where=where, hint=hint) from error
    return _object(row, where)
