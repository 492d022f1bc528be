"""Your own images with their words: a table of rows, LLaVA conversations, or text files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field as PydanticField

from vesalius.cases.case import Case, Source
from vesalius.data.fingerprint_file import NAME as FINGERPRINTS
from vesalius.data.folder_format import FIELDS, Field, from_rows, key_of
from vesalius.data.reading.album import ENDINGS, Album
from vesalius.data.reading.hub import hub_splits
from vesalius.data.reading.rows import Located, Rows, gathered, text_in
from vesalius.data.reading.streams import (
    ALL,
    SPLIT_NAMES,
    Streams,
    parquet_splits,
    split_files,
    unknown_layout,
)
from vesalius.data.reading.tables import READERS, held_rows
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated


class FolderOptions(Frozen):
    """What your columns are called, and where the pictures lie."""

    columns: dict[Field, str] = PydanticField(default_factory=dict)
    """Our field -> your column, e.g. ``{image: path, question: q, patient: pseudonym}``."""
    images: str | None = None
    """The folder that picture paths are relative to; by default the table's own."""


class Folder:
    """CSV, TSV, JSON lines, JSON or parquet rows, one file a split or with a split column."""

    options = FolderOptions

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Streams:
        """The rows in folder (or file) ``root``, or on the hub; see :class:`FolderOptions`."""
        chosen = validated(FolderOptions, options, where="options of folder")
        if root is None or hub:
            return _streams(hub_splits(str(hub)), Album(Path()), chosen)
        if root.is_file():
            return _streams(_by_column(root, chosen), _album(root.parent, chosen), chosen)
        parts = _tables(root, chosen)
        if parts:
            return _streams(parts, _album(root, chosen), chosen)
        captioned = _captioned(root)
        if not captioned:
            raise unknown_layout(
                root, "<split>.jsonl or .csv", "one table", "parquet", "images with .txt captions"
            )
        return Streams("folder", captioned)


def _album(base: Path, options: FolderOptions) -> Album:
    named = [] if options.images is None else [base / options.images]
    root = named[0] if named and base not in named[0].parents else base
    return Album(root, [*named, base, base / "images"])


def _streams(parts: Mapping[str, Rows], album: Album, options: FolderOptions) -> Streams:
    return Streams(
        "folder",
        {s: partial(_cases, rows, album, options, split=s) for s, rows in parts.items()},
    )


def _cases(rows: Rows, album: Album, options: FolderOptions, *, split: str) -> Iterator[Case]:
    for _, located in gathered(partial(_mapped, rows, options), key_of):
        yield from_rows(located, album, split)


def _mapped(rows: Rows, options: FolderOptions) -> Iterator[Located]:
    """The rows under our names; a mapped column that is not there raises DatasetError."""
    for where, row in rows():
        missing = [own for own in options.columns.values() if own not in row]
        if missing:
            hint = f"columns: {', '.join(row)}"
            raise DatasetError(f"there is no column {missing[0]!r}", where=where, hint=hint)
        ours = {field: row[own] for field, own in options.columns.items()}
        others = {name: v for name, v in row.items() if name not in options.columns.values()}
        mapped = others | ours
        if not any(name in FIELDS for name in mapped):
            hint = "name yours with the option columns, e.g. {image: path, caption: report}"
            raise DatasetError(f"no known column among {', '.join(row)}", where=where, hint=hint)
        yield where, mapped


def _tables(root: Path, options: FolderOptions) -> dict[str, Rows]:
    tables: dict[str, Rows] = {}
    for ending in READERS:
        for split, path in split_files(root, ending).items():
            if split in tables:
                fault = f"two tables for the split {split}"
                raise DatasetError(fault, where=path, hint="give the one you mean as the root")
            tables[split] = partial(held_rows, path)
    if tables:
        return tables
    shards = parquet_splits(root)
    if shards:
        return shards
    alone = sorted(
        p
        for p in root.iterdir()
        if p.suffix.lower() in READERS and p.is_file() and p.name != FINGERPRINTS
    )
    if len(alone) > 1:
        fault = f"{len(alone)} tables, none named after a split: {', '.join(p.name for p in alone)}"
        raise DatasetError(fault, where=root, hint="give the one you mean as the root")
    return _by_column(alone[0], options) if alone else {}


def _by_column(path: Path, options: FolderOptions) -> dict[str, Rows]:
    """One table as splits: by its split column where it has one."""
    rows = partial(_mapped, partial(held_rows, path), options)
    names = {_split(where, row) for where, row in rows()}
    if not names:
        raise DatasetError("the table has no rows", where=path)
    if names == {ALL}:
        return {ALL: partial(held_rows, path)}
    return {name: partial(_of_split, path, options, name) for name in names}


def _split(_: Source, row: Mapping[str, Any]) -> str:
    name = text_in(dict(row), "split") or ALL
    return SPLIT_NAMES.get(name.lower(), name)


def _of_split(path: Path, options: FolderOptions, split: str) -> Iterator[Located]:
    own = options.columns.get("split", "split")
    for where, row in held_rows(path):
        if _split(where, {"split": row.get(own)}) == split:
            yield where, row


def _captioned(root: Path) -> dict[str, Callable[[], Iterator[Case]]]:
    """Folders of images, each with its caption in a text file of the same name."""
    below = [p for p in sorted(root.iterdir()) if p.is_dir() and p.name.lower() in SPLIT_NAMES]
    places = {SPLIT_NAMES[p.name.lower()]: p for p in below} or {ALL: root}
    return {
        split: partial(_text_cases, place, root, split)
        for split, place in places.items()
        if any(path.with_suffix(".txt").is_file() for path in _images(place))
    }


def _images(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.suffix.lower() in ENDINGS)


def _text_cases(place: Path, root: Path, split: str) -> Iterator[Case]:
    album = Album(root, [place])
    for number, path in enumerate(_images(place), start=1):
        words, where = path.with_suffix(".txt"), Source(path.as_posix(), number)
        try:
            caption = words.read_text(encoding="utf-8-sig").strip() if words.is_file() else ""
        except UnicodeDecodeError as error:
            raise DatasetError("not UTF-8 text", where=words) from error
        yield Case(
            id=path.stem,
            group=path.stem,
            pictures=(album.picture(path.name, where),),
            caption=caption,
            source=where,
            split=split,
        )
