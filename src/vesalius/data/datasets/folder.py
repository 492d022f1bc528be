"""Your own images with their words: a table of rows, LLaVA conversations, or text files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field as PydanticField
from pydantic import field_validator

from vesalius.cases.case import Case, Source
from vesalius.data.annotated_layouts import annotated_layout, voc_layout
from vesalius.data.conversations import CHAT
from vesalius.data.fingerprint_file import NAME as FINGERPRINTS
from vesalius.data.folder_format import FIELDS, Field, from_rows, key_of
from vesalius.data.folder_layouts import picture_layout
from vesalius.data.reading.album import Album
from vesalius.data.reading.folders import entries
from vesalius.data.reading.headings import headings, require_distinct
from vesalius.data.reading.hub import hub_splits
from vesalius.data.reading.imagefolder import (
    in_our_names,
    is_metadata,
    loose_pictures,
    metadata_files,
)
from vesalius.data.reading.placement import Layout
from vesalius.data.reading.rows import Located, Row, Rows, gathered, text_in
from vesalius.data.reading.stored import name_or_cell
from vesalius.data.reading.streams import (
    ALL,
    SPLIT_NAMES,
    Streams,
    json_splits,
    parquet_splits,
    split_files,
    unknown_layout,
)
from vesalius.data.reading.tables import READERS, UNREAD, held_rows
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated

REPORTS = {"image_path": "images", "report": "caption"}
"""R2Gen's columns (Chen et al., EMNLP 2020), as IU X-Ray and MIMIC-CXR are handed round."""
NOTES = "notes.json"
"""What Label Studio writes beside YOLO's labels and ``classes.txt``: the classes once more."""
KNOWN = frozenset(FIELDS + CHAT)
"""Fields that a row may be read by."""


class FolderOptions(Frozen):
    """What your columns are called, and where the pictures lie."""

    columns: dict[Field, str] = PydanticField(default_factory=dict)
    """Our field -> your column, e.g. ``{image: path, question: q, patient: pseudonym}``."""
    images: str | None = None
    """The folder that picture paths are relative to; by default the table's own."""
    encoding: str | None = None
    """Of text files that are not UTF-8 and have no byte order mark: cp1252, gb18030 ..."""

    negatives: bool = False
    """A picture without a YOLO label file shows nothing. Otherwise it is an error: an empty label
    file says so of one picture."""

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        try:
            b"a".decode(name or "utf-8")
        except (LookupError, UnicodeError) as error:
            raise ValueError(f"there is no encoding {name!r}; try cp1252 or gb18030") from error
        return name


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
        annotated = _annotated(root, chosen)
        if annotated is not None:
            return Streams("folder", annotated.starts, annotated.words)
        metadata = metadata_files(root, chosen.encoding)
        if metadata:
            return _imagefolder(root, metadata, chosen)
        parts, words = _table(root, chosen) if root.is_file() else _tables(root, chosen)
        if parts:
            base = root.parent if root.is_file() else root
            return _streams(parts, _album(base, chosen), chosen, words)
        images = None if chosen.images is None else root / chosen.images
        layout = voc_layout(root, images) or picture_layout(
            root, chosen.encoding, negatives=chosen.negatives
        )
        if layout is None:
            raise unknown_layout(
                root,
                *("<split>.jsonl or .csv", "one table", "parquet", "imagefolder"),
                "COCO, VIA, VOC, LabelMe or YOLO boxes",
                "a folder a class (2 to 100, of pictures alone, not numbered as patients are)",
                "images with .txt captions",
                *(f"{path.name} is {what}: {hint}" for path, what, hint in _unread(root)),
            )
        return Streams("folder", layout.starts, layout.words)


def _imagefolder(root: Path, tables: Mapping[str, Path], options: FolderOptions) -> Streams:
    """Hugging Face's folders of pictures, a table in each; names are relative to their table."""
    starts, loose = {}, ""
    for split, path in tables.items():
        rows = partial(held_rows, path, options.encoding)
        album = Album(root, [path.parent], path.parent)
        starts[split] = partial(_cases, rows, album, options, split=split)
        loose += loose_pictures(path, options.encoding)
    named = ", ".join(path.relative_to(root).as_posix() for path in tables.values())
    return Streams("folder", starts, f"imagefolder with metadata: {named}{loose}")


def _annotated(root: Path, options: FolderOptions) -> Layout | None:
    """A layout with annotation files, unless rows in tables named after splits stand there."""
    rows = (ending for ending in READERS if ending not in (".json", ".csv"))
    if options.columns or (root.is_dir() and any(split_files(root, ending) for ending in rows)):
        return None
    base = root.parent if root.is_file() else root
    images = None if options.images is None else base / options.images
    return annotated_layout(root, images, options.encoding)


def _unread(root: Path) -> list[tuple[Path, str, str]]:
    """Files whose rows are not read as they are, one a kind: what they are, and the way out."""
    kinds = {UNREAD[p.suffix.lower()]: p for p in entries(root) if p.suffix.lower() in UNREAD}
    return [(path, what, hint) for (what, hint), path in kinds.items()]


def _album(base: Path, options: FolderOptions) -> Album:
    named = [] if options.images is None else [base / options.images]
    root = named[0] if named and base not in named[0].parents else base
    return Album(root, [*named, base, base / "images"], base)


def _streams(
    parts: Mapping[str, Rows], album: Album, options: FolderOptions, words: str = ""
) -> Streams:
    starts = {s: partial(_cases, rows, album, options, split=s) for s, rows in parts.items()}
    return Streams("folder", starts, words)


def _cases(rows: Rows, album: Album, options: FolderOptions, *, split: str) -> Iterator[Case]:
    for _, located in gathered(partial(_mapped, rows, options), partial(key_of, album)):
        yield from_rows(located, album, split)


def _mapped(rows: Rows, options: FolderOptions) -> Iterator[Located]:
    """The rows under our names; a mapped column that is not there raises DatasetError."""
    columns: dict[str, str] = dict(options.columns.items())
    for where, row in rows():
        missing = [own for own in columns.values() if own not in row]
        if missing:
            hint = f"columns: {headings(row)}"
            raise DatasetError(f"there is no column {missing[0]!r}", where=where, hint=hint)
        mapped = _in_our_names(row, columns, where)
        if not any(name in KNOWN for name in mapped):
            hint = "name yours with the option columns, e.g. {image: path, caption: report}"
            fault = f"no known column among {headings(row)}"
            raise DatasetError(fault, where=where, hint=hint)
        if "image" in mapped and not isinstance(mapped["image"], list):
            mapped["image"] = name_or_cell(mapped["image"], where)
        yield where, mapped


def _in_our_names(row: Row, columns: Mapping[str, str], where: Source) -> Row:
    """The row with mapped columns under our names, and with ours written in any case.

    DatasetError where two are one. A column of our name that another takes the place of stays under
    a name of its own, so that it is told that nobody read it.
    """
    mapped: Row = {field: row[own] for field, own in columns.items()}
    others = {name: value for name, value in row.items() if name not in columns.values()}
    for name, value in _published(others, where).items():
        plain = str(name).strip().lower()
        field = plain if plain in KNOWN else name
        if field in columns:
            field = f"{name} (beside {columns[field]})"
        elif field in mapped:
            require_distinct(row, where)
        mapped[field] = value
    return mapped


def _published(row: Row, where: Source) -> Row:
    """A row of R2Gen's annotation files or an imagefolder's under our names; others as they are."""
    if row.keys() >= REPORTS.keys():
        return {REPORTS.get(name, name): value for name, value in row.items()}
    return in_our_names(row) if is_metadata(row, where) else row


def _tables(root: Path, options: FolderOptions) -> tuple[dict[str, Rows], str]:
    """Rows by split, and in words from where: a table a split, parquet, or the one table."""
    tables: dict[str, Rows] = {}
    names: list[str] = []
    for ending in READERS:
        for split, path in split_files(root, ending).items():
            if split in tables:
                fault = f"two tables for the split {split}"
                raise DatasetError(fault, where=path, hint="give the one you mean as the root")
            tables[split] = partial(held_rows, path, options.encoding)
            names.append(path.name)
    if tables:
        return tables, f"a table a split: {', '.join(names)}"
    shards = parquet_splits(root)
    if shards:
        words, whole = "parquet files", shards.get(ALL) if len(shards) == 1 else None
        # Its rows hold pictures: all are read for a column of splits only where there is one.
        first = None if whole is None else next(_mapped(whole, options), None)
        if whole is not None and first is not None and "split" in first[1]:
            return _by_column(whole, root, options), words
        return shards, words
    ours = {FINGERPRINTS} | ({NOTES} if (root / "classes.txt").is_file() else set())
    alone = [
        p
        for p in entries(root)
        if p.suffix.lower() in READERS and p.is_file() and p.name not in ours
    ]
    if len(alone) > 1:
        fault = f"{len(alone)} tables, none named after a split: {', '.join(p.name for p in alone)}"
        raise DatasetError(fault, where=root, hint="give the one you mean as the root")
    return _table(alone[0], options) if alone else ({}, "")


def _table(path: Path, options: FolderOptions) -> tuple[dict[str, Rows], str]:
    """One table by split: with the splits as keys, in a column, or without any."""
    keyed = json_splits(path, options.encoding)
    if keyed:
        return keyed, f"rows by split in {path.name}"
    rows = partial(held_rows, path, options.encoding)
    words = f"one table: {path.name}{loose_pictures(path, options.encoding)}"
    return _by_column(rows, path, options), words


def _by_column(rows: Rows, place: Path, options: FolderOptions) -> dict[str, Rows]:
    """Rows as splits: by their split column where they have one."""
    names = {_split(where, row) for where, row in _mapped(rows, options)}
    if not names:
        raise DatasetError("the table has no rows", where=place)
    if names == {ALL}:
        return {ALL: rows}
    return {name: partial(_of_split, rows, options, name) for name in names}


def _split(_: Source, row: Mapping[str, Any]) -> str:
    name = text_in(dict(row), "split") or ALL
    return SPLIT_NAMES.get(name.lower(), name)


def _of_split(rows: Rows, options: FolderOptions, split: str) -> Iterator[Located]:
    for where, row in rows():
        if _split(where, _in_our_names(row, dict(options.columns.items()), where)) == split:
            yield where, row
