"""Hugging Face's imagefolder: a table ``metadata`` beside pictures that it calls ``file_name``.

Source: https://huggingface.co/docs/datasets/image_dataset
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from vesalius.cases.case import Source
from vesalius.data.reading.folders import entries
from vesalius.data.reading.placement import split_folders, unnamed
from vesalius.data.reading.rows import Row
from vesalius.data.reading.streams import SPLIT_NAMES
from vesalius.data.reading.tables import held_rows
from vesalius.errors import DatasetError

STEM = "metadata"
ENDINGS = (".csv", ".jsonl", ".parquet")
OURS = {"file_name": "image", "file_names": "images", "text": "caption"}
"""Its columns by our names; ``text`` is what its captioning sets call the caption."""


def is_metadata(row: Row, where: Source) -> bool:
    """Whether a row is one of such a table."""
    named = not OURS.keys().isdisjoint({"file_name", "file_names"} & row.keys())
    return named and PurePosixPath(where.file).stem.lower() == STEM


def in_our_names(row: Row) -> Row:
    """The row with its picture and caption under our names.

    Without a split of its own it is of that which its picture's first folder is called after.
    """
    named = {OURS.get(k, k) if OURS.get(k) not in row else k: v for k, v in row.items()}
    folder = str(row.get("file_name") or "").replace("\\", "/").removeprefix("./").split("/")[0]
    if folder.lower() in SPLIT_NAMES and "split" not in named:
        named["split"] = SPLIT_NAMES[folder.lower()]
    return named


def metadata_files(root: Path, encoding: str | None) -> dict[str, Path]:
    """The tables in the folders of splits, by split; none where they do not name files."""
    files = {split: _table(folder) for split, folder in split_folders(root).items()}
    return {
        split: path
        for split, path in files.items()
        if path and any(is_metadata(row, where) for where, row in _first(path, encoding))
    }


def names_in(path: Path, encoding: str | None) -> Iterator[str]:
    """All names of pictures in a table."""
    for where, row in held_rows(path, encoding):
        if is_metadata(row, where):
            named = row.get("file_names") or [row.get("file_name")]
            yield from (str(name) for name in named if name)


def loose_pictures(path: Path, encoding: str | None) -> str:
    """What is to be said of pictures beside those that the table names."""
    names = list(names_in(path, encoding)) if path.stem.lower() == STEM else []
    parents = {PurePosixPath(name.replace("\\", "/")).parent for name in names}
    below = [path.parent / p for p in parents if not p.is_absolute() and ".." not in p.parts]
    return unnamed(names, *(folder for folder in below if folder.is_dir()))


def _table(folder: Path) -> Path | None:
    tables = [p for p in entries(folder) if p.stem.lower() == STEM]
    tables = [p for p in tables if p.suffix.lower() in ENDINGS]
    if len(tables) > 1:
        fault = f"{' and '.join(p.name for p in tables)} stand here together"
        raise DatasetError(fault, where=folder, hint="keep one of them")
    return tables[0] if tables else None


def _first(path: Path, encoding: str | None) -> list[tuple[Source, Row]]:
    rows = partial(held_rows, path, encoding)
    return [located for _, located in zip(range(1), rows(), strict=False)]
