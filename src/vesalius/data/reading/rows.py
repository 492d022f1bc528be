"""Rows with their place, and how the rows of one image are brought together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import isnan
from typing import Any

from vesalius.cases.case import Source
from vesalius.data.reading.json_hints import json_hint
from vesalius.errors import DatasetError, ImageError

Row = dict[str, Any]
Located = tuple[Source, Row]
Rows = Callable[[], Iterator[Located]]
"""Starts a fresh pass over the rows; a picture in a row is a name or a :class:`Cell`."""


class Cell:
    """The bytes of a picture that lies inside a row, fetched when asked for."""

    __slots__ = ("read",)

    def __init__(self, read: Callable[[], bytes]) -> None:
        self.read = read

    @classmethod
    def of(cls, value: Any) -> Cell:
        """The cell of a stored image: ``{bytes, path}`` (the hub's form) or bare bytes."""
        return cls(partial(stored_bytes, value))

    def digest(self) -> str:
        """The SHA-256 of the bytes: an image's identity where a set gives it no name."""
        return hashlib.sha256(self.read()).hexdigest()


def stored_bytes(value: Any, where: Source | None = None) -> bytes:
    """The bytes of a stored image; ImageError names the row where there are none.

    A ``path`` beside the bytes is only the publisher's name for them and is never opened.
    """
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise ImageError("image_missing", "the row holds no picture bytes", where=where)
    return data


def none_if_nan(value: Any) -> Any:
    """The value, or None for NaN: that is how tables of numbers write an empty cell."""
    return None if isinstance(value, float) and isnan(value) else value


def text_in(row: Row, *names: str) -> str | None:
    """The first non-empty value among the columns ``names`` as stripped text, or None."""
    for name in names:
        value = none_if_nan(row.get(name))
        if value is None or isinstance(value, dict | list | Cell):
            continue
        text = str(value).strip()
        if text:
            return text
    return None


def text_or_empty(row: Row, where: Source, *names: str) -> str:
    """As :func:`text_in`, but empty text stays (``vesalius data check`` reports it).

    DatasetError where none of the columns exists.
    """
    if not any(name in row for name in names):
        hint = f"columns: {', '.join(map(str, row))}"
        raise DatasetError(f"there is no column {' or '.join(names)}", where=where, hint=hint)
    return text_in(row, *names) or ""


def image_id(row: Row, where: Source, *names: str) -> str:
    """What the row calls its image, in the first of the columns ``names`` that says so.

    For a picture stored in the row it is the hash of its bytes.
    """
    for name in names:
        value = row.get(name)
        text = value.digest()[:16] if isinstance(value, Cell) else text_in(row, name)
        if text is not None:
            return text
    return required(row, where, *names)


def required(row: Row, where: Source, *names: str) -> str:
    """As :func:`text_in`, but DatasetError names the file, the row and the columns looked for."""
    text = text_in(row, *names)
    if text is None:
        hint = f"columns: {', '.join(map(str, row))}"
        raise DatasetError(f"{' or '.join(names)} is missing or empty", where=where, hint=hint)
    return text


def chained(parts: Sequence[Rows]) -> Iterator[Located]:
    """The rows of several files, one after another."""
    for part in parts:
        yield from part()


def gathered(rows: Rows, key: Callable[[Source, Row], str]) -> Iterator[tuple[str, list[Located]]]:
    """(key, its rows) for every key, streamed.

    The first pass notes where each key ends; the second lets a key go as soon as its last row is
    read. Consecutive rows so cost one image's worth of memory, scattered ones only their text.
    """
    keys = [key(*located) for located in rows()]
    last = {name: number for number, name in enumerate(keys)}
    waiting: dict[str, list[Located]] = {}
    for number, (name, located) in enumerate(zip(keys, rows(), strict=True)):
        waiting.setdefault(name, []).append(located)
        if last[name] == number:
            yield name, waiting.pop(name)


def listed(value: Any, name: str, where: Source, separator: str | None = None) -> list[Any] | None:
    """A list as it is, as JSON text in a cell, or as text with a separator; None if not given."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        if separator and not value.lstrip().startswith("["):
            return [part for part in value.split(separator) if part.strip()]
        value = json_in(value, name, where)
    if not isinstance(value, list):
        raise DatasetError(f"{name} is not a list", where=where)
    return value


def json_in(text: str, name: str, where: Source) -> Any:
    """What JSON text holds; DatasetError names the field."""
    try:
        return json.loads(text)
    except ValueError as error:
        fault, hint = f"{name} is not valid JSON: {error}", json_hint(text, error)
        raise DatasetError(fault, where=where, hint=hint) from error


def mapping(value: Any, where: Source) -> Row:
    """A value that is a mapping; DatasetError for anything else."""
    if not isinstance(value, dict):
        raise DatasetError(f"a mapping is expected, not {str(value)[:40]!r}", where=where)
    return value
