"""Rows of parquet files; pictures in them are read when somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from vesalius.cases.case import Source
from vesalius.data.reading.headings import require_distinct
from vesalius.data.reading.rows import Cell, Located, Row, none_if_nan, stored_bytes
from vesalius.errors import DatasetError, ImageError


def parquet_rows(path: Path, _: str | None = None) -> Iterator[Located]:
    """The rows of a parquet file; DatasetError names the file and the row group.

    A picture, or a list of pictures, is read when asked for; where only its path is stored, the
    row holds that.
    """
    file = _parquet_file(path)
    require_distinct(file.schema_arrow.names, path)
    kinds = {field.name: field.type for field in file.schema_arrow}
    pictures = [name for name, kind in kinds.items() if _is_picture(kind) or _is_list(kind)]
    words = [name for name in kinds if name not in pictures]
    number = 0
    for group in range(file.num_row_groups):
        stored = file.metadata.row_group(group)
        table = _parquet_group(path, group, words)
        whole = {n for n in pictures if not _is_list(kinds[n]) and _all_stored(stored, n)}
        for offset in range(stored.num_rows):
            number += 1
            where = Source(path.as_posix(), number)
            row: Row = {n: none_if_nan(table.column(n)[offset].as_py()) for n in words}
            for name in pictures:
                cell = partial(_parquet_cell, where, group, offset, name)
                held = None if name in whole else _parquet_pictures(path, group, name)[offset]
                row[name] = Cell(cell) if held is None else _value(held, cell)
            yield where, row


def _value(held: Any, cell: Callable[..., bytes]) -> Any:
    """A cell of parquet: pictures by their position where it is a list, or a path, or None."""
    if not held.is_valid:
        return None
    if _is_list(held.type):
        several = enumerate(held.values)
        return [_value(one, partial(cell, at=at)) for at, one in several]
    if _has_bytes(held.type) and not held["bytes"].is_valid:
        path = held.type.get_field_index("path")
        return None if path < 0 else held["path"].as_py()
    return Cell(cell)


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

    return _has_bytes(kind) or bool(types.is_binary(kind) or types.is_large_binary(kind))


def _has_bytes(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_struct(kind)) and kind.get_field_index("bytes") >= 0


def _is_list(kind: Any) -> bool:
    """Whether a column holds lists of pictures."""
    from pyarrow import types

    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(lists) and _is_picture(kind.value_type)


@lru_cache(maxsize=2)
def _parquet_pictures(path: Path, group: int, name: str) -> Any:
    # Parquet is decoded by row group; the last ones stay, as neighbours are asked for together.
    return _parquet_group(path, group, [name]).column(name)


def _parquet_cell(
    where: Source, group: int, offset: int, name: str, at: int | None = None
) -> bytes:
    try:
        held = _parquet_pictures(Path(where.file), group, name)[offset]
        value = (held if at is None else held.values[at]).as_py()
    except (DatasetError, IndexError) as error:
        raise ImageError("image_missing", str(error), where=where) from error
    return stored_bytes(value, where)


def _all_stored(stored: Any, name: str) -> bool:
    """Whether the statistics of a row group say that no picture of a column is null."""
    leaves = (stored.column(i) for i in range(stored.num_columns))
    counts = [leaf.statistics for leaf in leaves if leaf.path_in_schema in (name, f"{name}.bytes")]
    return bool(counts) and all(count is not None and count.null_count == 0 for count in counts)
