"""A data set as named streams of cases, and the names that publishers give to splits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vesalius.cases.case import Case, Source
from vesalius.data.reading.folders import below
from vesalius.data.reading.json_rows import json_object, whole_row
from vesalius.data.reading.rows import Located, Rows, chained
from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError, UnknownName

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "validate": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
ORDER = ("train", "validation", "test")
ALL = "all"
"""The one split of a set that has none; ``vesalius data split`` makes some."""


@dataclass(frozen=True)
class Streams:
    """A Dataset: for every split, a function that starts a fresh stream of its cases."""

    name: str
    starts: Mapping[str, Callable[[], Iterator[Case]]]
    layout: str = ""
    """What the folder or file was taken for, in words, where that had to be recognised."""
    mapping: Path | None = None
    """The publisher's table of concepts and their names, where there is one."""

    def __post_init__(self) -> None:
        if not self.starts:
            raise DatasetError("no split was found", where=self.name)

    def splits(self) -> tuple[str, ...]:
        """The splits that are there, ``train`` first."""
        return tuple(in_order(self.starts))

    def cases(self, split: str) -> Iterator[Case]:
        """The split's cases; UnknownName at once for a split that is not there."""
        start = self.starts.get(split)
        if start is None:
            raise UnknownName("split", split, self.starts, where=self.name)
        return start()


def in_order(splits: Iterable[str]) -> list[str]:
    """Split names: train, validation, test, then the rest by name."""
    return sorted(splits, key=lambda s: (ORDER.index(s) if s in ORDER else len(ORDER), s))


def split_of(text: str) -> str | None:
    """The split a file or folder name speaks of (``Val_images`` -> ``validation``), or None."""
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def split_files(root: Path, ending: str, prefix: str = "") -> dict[str, Path]:
    """Files called ``<prefix><split><ending>`` directly in ``root``, by split.

    DatasetError for two of one split, such as ``val`` and ``dev``.
    """
    named = [p for p in sorted(root.glob(f"{prefix}*")) if p.name.lower().endswith(ending)]
    return one_a_split((p.name[len(prefix) : len(p.name) - len(ending)], p) for p in named)


def one_a_split(named: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Paths by the split that they are called after; others left out, DatasetError for two of one.

    Of ``val`` and ``dev`` only one would be read.
    """
    paths: dict[str, Path] = {}
    for name, path in named:
        split = SPLIT_NAMES.get(name.lower())
        if split in paths:
            fault = f"{paths[split].name} and {path.name} are both of the split {split}"
            raise DatasetError(fault, where=path.parent, hint="rename or move away one of them")
        if split is not None:
            paths[split] = path
    return paths


def parquet_splits(root: Path) -> dict[str, Rows]:
    """A downloaded hub repository: ``**/<split>-00000-of-00001.parquet``, shards in order."""
    shards: dict[str, list[Path]] = {}
    for path in (p for p in below(root, "**/*.*") if p.suffix.lower() == ".parquet"):
        shards.setdefault(split_of(path.stem) or ALL, []).append(path)
    return {
        split: partial(chained, tuple(partial(read_rows, path) for path in paths))
        for split, paths in shards.items()
    }


def json_splits(path: Path, encoding: str | None = None) -> dict[str, Rows]:
    """A JSON object of ``{split: [row, ...]}`` as rows by split; empty for any other file.

    DatasetError for two keys of one split.
    """
    content = json_object(path, encoding) if path.suffix.lower() == ".json" else None
    if not content or not all(
        name.lower() in SPLIT_NAMES and isinstance(rows, list) for name, rows in content.items()
    ):
        return {}
    names: dict[str, str] = {}
    for name in content:
        split = SPLIT_NAMES[name.lower()]
        if split in names:
            fault = f"the keys {names[split]} and {name} are both of the split {split}"
            raise DatasetError(fault, where=path, hint="rename or remove one of them")
        names[split] = name
    return {split: partial(_keyed_rows, path, encoding, name) for split, name in names.items()}


def _keyed_rows(path: Path, encoding: str | None, name: str) -> Iterator[Located]:
    content = json_object(path, encoding) or {}
    for number, row in enumerate(content[name], start=1):
        where = Source(f"{path.as_posix()} {name}", number)
        yield where, whole_row(row, where)


def unknown_layout(root: Path, *layouts: str) -> DatasetError:
    """The error for a folder in which none of a reader's layouts was recognised."""
    return DatasetError("no known layout here", where=root, hint=f"looked for {'; '.join(layouts)}")
