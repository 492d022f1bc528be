"""Files that are whole or absent: atomic writes, and JSON lines that survive a torn last line."""

from __future__ import annotations

import json
import os
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from vesalius.errors import RunError

OTHERS = (
    (b"PK\x03\x04", b"", "an Excel workbook or a zip archive: write its rows as JSON lines"),
    ((b"\xff\xfe", b"\xfe\xff"), b"", "it is UTF-16: save it as UTF-8"),
    (b"{", b",", "no comma stands between the lines: remove it"),
    (b"[", b"", "a JSON list: write each of its rows as a line of its own"),
    ((b"{", b'"'), b"", "a JSON object in each line is read, whole and in one line"),
    (b"", b"", "a JSON object in each line is read; a table's rows are written as such"),
)
"""How a file that is no JSON lines begins and ends, and what to do with it; the first decides."""


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write all of ``content`` or nothing: a sibling file, synced, then renamed over ``path``."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes ``path``'s place when all went well, and is gone otherwise.

    A device or a pipe (``/dev/stdout``) is written into: a file in its place would end it for all.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Indented JSON, written atomically; NaN becomes null."""
    write_atomic(path, json.dumps(_finite(content), indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file; RunError names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"cannot be read as JSON: {error}", where=path) from error


def append_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows to a JSON-lines file, one write for all of them."""
    text = "".join(map(json_line, rows))
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def json_line(row: Mapping[str, Any]) -> str:
    """A row as a line of such a file, with its end; NaN becomes null."""
    return json.dumps(_finite(row), ensure_ascii=False) + "\n"


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of a JSON-lines file; RunError names the file and the line."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate((one.removeprefix(BOM_UTF8) for one in file), start=1):
                if line.strip():
                    yield number, _row(path, number, line)
    except OSError as error:
        raise RunError(f"cannot be read: {error.strerror}", where=path) from error


def mend_lines(path: Path) -> None:
    """Cut a last line that a killed process left half-written, so that appending can go on."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            file.truncate(whole)


def _row(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.decode())
    except UnicodeDecodeError as error:
        fault = f"line {number} is not UTF-8 text"
        raise RunError(fault, where=path, hint=_way_out(line)) from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"line {number} is not JSON", where=path, hint=_way_out(line)) from error
    if not isinstance(row, dict):
        fault = f"line {number} is not a JSON object"
        raise RunError(fault, where=path, hint=_way_out(line))
    return row


def _way_out(line: bytes) -> str:
    """What to do with a line that is none of JSON lines, by how it begins and ends."""
    text = line.strip()
    return next(h for begins, ends, h in OTHERS if text.startswith(begins) and text.endswith(ends))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
