"""What a challenge's files are checked against: the images of a split, the concepts there are."""

from __future__ import annotations

import re
from pathlib import Path

from vesalius.data.reading.captions import ID
from vesalius.data.reading.delimited import DELIMITERS, named_rows
from vesalius.data.reading.mapping import mapping_names, mappings_in
from vesalius.data.reading.rows import required
from vesalius.data.reading.texts import lines
from vesalius.errors import DatasetError


def listed_ids(path: Path) -> tuple[str, ...]:
    """The ids of images in a file's order: a table with an ID column, or one id a line."""
    first = next(lines(path), "")
    if not any(delimiter in first for delimiter in DELIMITERS):
        ids = tuple(line.strip() for line in lines(path) if line.strip())
        return ids[1:] if ids[:1] and ids[0] in ID else ids
    if not set(re.split(r'[\t|,;"\s]+', first.strip().removeprefix("\ufeff"))) & set(ID):
        hint = f"its first line names the columns, one of them {', '.join(ID[:3])} or the like"
        raise DatasetError("there is no column of ids", where=path, hint=hint)
    return tuple(required(row, where, "id") for where, row in named_rows(path, {"id": ID}))


def mapping_in(root: Path | None, year: int | None = None) -> Path | None:
    """The data set's table of concepts, in its folder or one below it, if it has one.

    DatasetError where several are there; with a ``year``, those whose path names it are looked at.
    """
    tables = mappings_in(root, year)
    if len(tables) > 1:
        hint = "name the one to use with --mapping"
        raise DatasetError(f"{len(tables)} tables of concepts", where=root, hint=hint)
    return next(iter(tables), None)


def concepts_in(path: Path) -> frozenset[str]:
    """The concepts (CUIs) of a mapping: a table of concepts and their names."""
    return frozenset(mapping_names(path))
