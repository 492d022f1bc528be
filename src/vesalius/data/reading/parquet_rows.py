"""Rows of parquet files; pictures in them are read when somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from vesalius.cases.case import Source
from vesalius.data.reading.rows import Cell, Located, Row, none_if_nan, stored_bytes
from vesalius.errors import DatasetError, ImageError


def parquet_rows(path: Path, _: str | None = None) -> Iterator[Located]:
    """The rows of a parquet file; DatasetError names the file and the row group."""
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
