"""What a challenge's files are checked against: the images of a split, the concepts there are."""

from __future__ import annotations

import re
from pathlib import Path

from vesalius.data.reading.captions import ID
from vesalius.data.reading.delimited import DELIMITERS, named_rows
from vesalius.data.reading.rows import required
from vesalius.data.reading.texts import lines
from vesalius.errors import DatasetError

MAPPING = re.compile(r"mapping.*\.(csv|tsv|txt)", re.IGNORECASE)
"""``cui_mapping.csv`` and its like, which ROCOv2 and ImageCLEF ship beside their tables."""
_CONCEPT = ("CUI", "concept", "concept_id", "ID")
_NAME = ("Canonical name", "canonical_name", "name", "concept_name")


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
    if root is None or not root.is_dir():
        return None
    tables = sorted(
        path for path in (*root.glob("*.*"), *root.glob("*/*.*")) if MAPPING.search(path.name)
    )
    of_year = [path for path in tables if str(year) in path.relative_to(root).as_posix()]
    tables = of_year or tables
    if len(tables) > 1:
        hint = "name the one to use with --mapping"
        raise DatasetError(f"{len(tables)} tables of concepts", where=root, hint=hint)
    return next(iter(tables), None)


def concepts_in(path: Path) -> frozenset[str]:
    """The concepts (CUIs) of a mapping: a table of concepts and their names."""
    columns = {"concept": _CONCEPT, "name": _NAME}
    concepts = frozenset(required(row, at, "concept") for at, row in named_rows(path, columns))
    if not concepts:
        raise DatasetError("it has no concept", where=path)
    return concepts
