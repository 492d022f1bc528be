"""A data set as a folder that the Hugging Face hub and ``datasets.load_dataset`` take."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from vesalius.cases.case import Case
from vesalius.data.cards import Card
from vesalius.data.datasets import Dataset
from vesalius.data.reading.listings import stem_of
from vesalius.data.staging import require_empty, staged
from vesalius.data.writing.hub_rows import COLUMNS, HubRows, columns_of
from vesalius.data.writing.plain import FileNames, PlainPicture, plain
from vesalius.errors import DatasetError
from vesalius.system.files import json_line, write_atomic
from vesalius.system.parallel import progress_bar

GROUP_BYTES = 32 * 2**20
"""Of pictures that wait for the next row group of a Parquet file."""
SHARD_BYTES = 450 * 2**20
"""Of pictures in one Parquet file: the hub's viewer wants files below 500 MB."""
_SPLIT = re.compile(r"\w+(\.\w+)*")
"""Names that ``datasets`` takes for splits."""
README = """---
{metadata}---

# {title}

{summary}

| split | rows | pictures |
| --- | --- | --- |
{rows}

Written by `vesalius data export`. {columns}

- Licence: {licence}
- Citation: {citation}
- Intended use: {use}

`group` names what splits must keep whole: the patient, as the source calls them, where they are
known. Look at it, and at text burned into the pictures, before these files go to anybody.
"""
_NESTED = """Each row is a case: its pictures, and {names}."""
_TEXTS = """Each row of `metadata.jsonl` is a case: {names}. Lists (`concepts`, `boxes`,
`questions`) and `context` are JSON within text; an empty text says that nothing is annotated."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: rows and pictures by split, and in words what is not in it, how often."""

    rows: Mapping[str, int]
    pictures: Mapping[str, int]
    as_decoded: int
    losses: Mapping[str, int]


class _Writer(Protocol):
    """Writes the rows of one split, and keeps no more than a few of them."""

    def add(self, case: Case, pictures: Sequence[PlainPicture]) -> None:
        """Write a row."""


def export_hub_folder(
    dataset: Dataset, target: Path, *, card: Card | None = None, parquet: bool = False
) -> Exported:
    """Write ``dataset`` to the new folder ``target``, each split in a folder of its name.

    An imagefolder (``<split>/images`` and ``<split>/metadata.jsonl``), or with ``parquet`` files
    that hold the pictures; and a ``README.md`` with what ``card`` says. Cases are read twice, first
    for the columns that they fill, pictures once. PNG and JPEG are copied byte for byte, all others
    written as decoded (PNG). Cases without a picture are left out and counted. Raises DatasetError
    for a split whose name the hub does not take, ImageError for a picture that cannot be read; the
    target is then as it was.
    """
    require_empty(target)
    _require_split_names(dataset)
    rows = _surveyed(dataset)
    count = _Count()
    with staged(target) as folder:
        for split in dataset.splits():
            writing: AbstractContextManager[_Writer]
            writing = (_ParquetFiles if parquet else _ImageFolder)(folder / split, rows)
            with writing as writer:
                for case in _pictured(dataset, split, rows):
                    pictures = [plain(picture) for picture in case.pictures]
                    writer.add(case, pictures)
                    count.add(split, pictures)
        if not count.rows:
            raise DatasetError("no case has a picture, and rows of the hub's need one")
        write_atomic(folder / "README.md", _readme(card, count, rows, parquet=parquet))
    losses = {words: number for words, number in rows.losses.items() if number}
    return Exported(dict(count.rows), dict(count.pictures), count.as_decoded, losses)


class _Count:
    """Rows and pictures by split, and those that were not copied."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.pictures: Counter[str] = Counter()
        self.as_decoded = 0

    def add(self, split: str, pictures: Sequence[PlainPicture]) -> None:
        """One more row with its pictures."""
        self.rows[split] += 1
        self.pictures[split] += len(pictures)
        self.as_decoded += sum(not picture.copied for picture in pictures)


def _require_split_names(dataset: Dataset) -> None:
    other = next((name for name in dataset.splits() if not _SPLIT.fullmatch(name)), None)
    if other is not None:
        hint = "deal it anew: `vesalius data split`, and --split-file"
        raise DatasetError(f"the hub takes no split called {other!r}", hint=hint)


def _surveyed(dataset: Dataset) -> HubRows:
    """The columns of all splits' cases, and whether any of these has several pictures."""
    filled: set[str] = set()
    several = False
    for split in dataset.splits():
        for case in dataset.cases(split):
            filled |= columns_of(case)
            several |= len(case.pictures) > 1
    return HubRows([name for name in COLUMNS if name in filled], several=several)


def _pictured(dataset: Dataset, split: str, rows: HubRows) -> Iterator[Case]:
    with progress_bar(f"writing {split}", None) as advance:
        for case in dataset.cases(split):
            advance(1)
            if case.pictures:
                yield case
            else:
                rows.losses["cases without a picture"] += 1


class _ImageFolder(ExitStack):
    """``images/`` and ``metadata.jsonl`` of one split."""

    def __init__(self, folder: Path, rows: HubRows) -> None:
        super().__init__()
        self._folder, self._rows, self._names = folder, rows, FileNames()
        (folder / "images").mkdir(parents=True)
        self._file = self.enter_context((folder / "metadata.jsonl").open("w", encoding="utf-8"))

    def add(self, case: Case, pictures: Sequence[PlainPicture]) -> None:
        """Write a row."""
        names = [f"images/{name}" for name in _names(case, pictures, self._names)]
        for name, picture in zip(names, pictures, strict=True):
            write_atomic(self._folder / name, picture.data)
        self._file.write(json_line(self._rows.metadata(case, names)))


class _ParquetFiles(ExitStack):
    """Parquet files of one split, called as the hub calls them when their number is known."""

    def __init__(self, folder: Path, rows: HubRows) -> None:
        super().__init__()
        folder.mkdir(parents=True)
        self._folder, self._rows, self._schema = folder, rows, rows.schema()
        self._names = FileNames()
        self._waiting: list[dict[str, Any]] = []
        self._bytes = self._shard_bytes = 0
        self._shards: list[Path] = []
        self._file: pq.ParquetWriter | None = None
        self.push(self._end)

    def add(self, case: Case, pictures: Sequence[PlainPicture]) -> None:
        """Write a row."""
        names = _names(case, pictures, self._names)
        self._waiting.append(self._rows.parquet(case, names, [one.data for one in pictures]))
        self._bytes += sum(len(picture.data) for picture in pictures)
        if self._bytes >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        if self._file is None:
            self._shards.append(self._folder / f"{len(self._shards):05d}")
            self._file = pq.ParquetWriter(self._shards[-1], self._schema)
        self._file.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._shard_bytes += self._bytes
        self._waiting, self._bytes = [], 0
        if self._shard_bytes >= SHARD_BYTES:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._shard_bytes = None, 0

    def _end(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._waiting and kind is None:
            self._write_group()
        self._close()
        for number, path in enumerate(self._shards):
            name = f"{self._folder.name}-{number:05d}-of-{len(self._shards):05d}.parquet"
            path.rename(self._folder / name)


def _names(case: Case, pictures: Sequence[PlainPicture], names: FileNames) -> list[str]:
    """Plain, unused file names of a case's pictures."""
    stems = [stem_of(picture.key.rpartition("/")[2]) for picture in case.pictures]
    letters = [re.sub(r"[^A-Za-z0-9._-]+", "_", stem) or "picture" for stem in stems]
    return [names.unused(s, one.ending) for s, one in zip(letters, pictures, strict=True)]


def _readme(card: Card | None, count: _Count, rows: HubRows, *, parquet: bool) -> str:
    """The set's card on the hub, with the metadata that says where its splits lie."""
    ending = "*.parquet" if parquet else "**"
    files = [{"split": split, "path": f"{split}/{ending}"} for split in count.rows]
    metadata: dict[str, Any] = {"license": "other", "tags": ["medical", "vesalius"]}
    if card is not None:
        metadata |= {"pretty_name": card.title, "license_name": card.licence}
    metadata["configs"] = [{"config_name": "default", "data_files": files}]
    pictures = ("image" if parquet else "file_name") + "s" * rows.several
    names = ", ".join(f"`{name}`" for name in (pictures, *rows.columns))
    return README.format(
        metadata=yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True),
        title=card.title if card else "A data set",
        summary=card.summary if card else "",
        rows="\n".join(f"| {s} | {n:,} | {count.pictures[s]:,} |" for s, n in count.rows.items()),
        columns=(_NESTED if parquet else _TEXTS).format(names=names),
        licence=card.licence if card else "not stated",
        citation=card.citation if card else "not stated",
        use=card.intended_use if card else "not stated",
    )
