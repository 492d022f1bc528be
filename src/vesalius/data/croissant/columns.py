"""A table's columns as Croissant's fields: where each value stands, and its type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vesalius.data.reading.rows import Cell
from vesalius.data.reading.tables import read_rows

_TYPES = {bool: "sc:Boolean", int: "sc:Integer", float: "sc:Float"}
_WHOLE = ".json"
_ROWS = {_WHOLE: None, ".jsonl": 1000, ".ndjson": 1000}
"""How many rows tell the columns: all of a list, the first ones of lines, else one."""


@dataclass(slots=True)
class Columns:
    """The fields of one table as JSON-LD; ``omissions`` counts columns and keys without one."""

    fields: list[dict[str, Any]] = field(default_factory=list)
    omissions: int = 0


def columns_of(path: Path, own: str, id_of: Callable[[str], str]) -> Columns:
    """The columns of a table by its first row, of JSON by more of them (:data:`_ROWS`).

    ``own`` is the table's ``@id``, ``id_of`` makes unused ones. A column of objects has a subfield
    for each of their keys. DatasetError where the file is no table of rows.
    """
    ending = path.suffix.lower()
    rows = [row for _, row in islice(read_rows(path), _ROWS.get(ending, 1))]
    names = list(dict.fromkeys(name for row in rows for name in row))
    result = Columns()
    stored = _structs(path) if ending == ".parquet" else set()
    for name in names:
        values = [row[name] for row in rows if row.get(name) is not None]
        # A path into a list finds nothing where one of its objects lacks the key, and so would join
        # values of different rows.
        if ending == _WHOLE and not (name.isidentifier() and all(name in row for row in rows)):
            result.omissions += 1
            continue
        extract = {"jsonPath": f"$[*].{name}"} if ending == _WHOLE else {"column": name}
        source = {"fileObject": {"@id": own}, "extract": extract}
        head = {"@type": "cr:Field", "@id": id_of(f"rows/{own}/{name}"), "name": name}
        if any(isinstance(value, Cell | bytes) for value in values):
            within = {"transform": {"jsonPath": "bytes"}} if name in stored else {}
            result.fields.append(head | {"dataType": "sc:ImageObject", "source": source | within})
        elif any(isinstance(value, dict) for value in _flat(values)):
            result.fields += _of_objects(head, source, values, result)
        else:
            result.fields.append(head | _types(values) | {"source": source})
    return result


def _structs(path: Path) -> set[str]:
    """The columns of pictures as the hub stores them, structs of bytes and path."""
    return {f.name for f in pq.read_schema(path) if pa.types.is_struct(f.type)}


def _of_objects(
    head: dict[str, Any], source: dict[str, Any], values: Sequence[Any], result: Columns
) -> list[dict[str, Any]]:
    """The field of a column of objects, or of lists of them, with a subfield for each plain key."""
    objects = [value for value in _flat(values) if isinstance(value, dict)]
    parts = []
    for key in dict.fromkeys(key for one in objects for key in one):
        inner = [one[key] for one in objects if one.get(key) is not None]
        if not key.isidentifier() or any(isinstance(value, dict) for value in _flat(inner)):
            result.omissions += 1
            continue
        part = {"@type": "cr:Field", "@id": f"{head['@id']}/{key}", "name": key}
        parts.append(
            part
            | {"dataType": _type_of(inner), "source": source | {"transform": {"jsonPath": key}}}
        )
    several = any(isinstance(value, list) for value in values)
    return [head | ({"repeated": True} if several else {}) | {"subField": parts}] if parts else []


def _types(values: Sequence[Any]) -> dict[str, Any]:
    several = bool(values) and all(isinstance(value, list) for value in values)
    array = {"isArray": True, "arrayShape": "-1"} if several else {}
    return {"dataType": _type_of(values)} | array


def _type_of(values: Sequence[Any]) -> str:
    """The one type that all values have; text for whatever else."""
    kinds = {type(value) for value in _flat(values)}
    if kinds == {int, float}:
        return "sc:Float"
    return _TYPES.get(next(iter(kinds)), "sc:Text") if len(kinds) == 1 else "sc:Text"


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        yield from _flat(value) if isinstance(value, list) else (value,)
