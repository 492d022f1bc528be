"""Your own images with their words: a table of rows, LLaVA conversations, or text files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field as PydanticField
from pydantic import field_validator

from vesalius.cases.case import Case, Source
from vesalius.data.fingerprint_file import NAME as FINGERPRINTS
from vesalius.data.folder_format import FIELDS, Field, from_rows, key_of
from vesalius.data.reading.album import Album
from vesalius.data.reading.hub import hub_splits
from vesalius.data.reading.listings import ENDINGS
from vesalius.data.reading.rows import Located, Rows, gathered, text_in
from vesalius.data.reading.stored import name_or_cell
from vesalius.data.reading.streams import (
    ALL,
    SPLIT_NAMES,
    Streams,
    parquet_splits,
    split_files,
    unknown_layout,
)
from vesalius.data.reading.tables import READERS, held_rows
from vesalius.data.reading.texts import text
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated


class FolderOptions(Frozen):
    """What your columns are called, and where the pictures lie."""

    columns: dict[Field, str] = PydanticField(default_factory=dict)
    """Our field -> your column, e.g. ``{image: path, question: q, patient: pseudonym}``."""
    images: str | None = None
    """The folder that picture paths are relative to; by default the table's own."""
    encoding: str | None = None
    """Of text files that are not UTF-8 and have no byte order mark: cp1252, gb18030 ..."""

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
        if root.is_file():
            return _streams(_by_column(root, chosen), _album(root.parent, chosen), chosen)
        parts = _tables(root, chosen)
        if parts:
            return _streams(parts, _album(root, chosen), chosen)
        captioned = _captioned(root, chosen)
        if not captioned:
            raise unknown_layout(
                root, "<split>.jsonl or .csv", "one table", "parquet", "images with .txt captions"
            )
        return Streams("folder", captioned)


def _album(base: Path, options: FolderOptions) -> Album:
    named = [] if options.images is None else [base / options.images]
    root = named[0] if named and base not in named[0].parents else base
    return Album(root, [*named, base, base / "images"], base)


def _streams(parts: Mapping[str, Rows], album: Album, options: FolderOptions) -> Streams:
    return Streams(
        "folder",
        {s: partial(_cases, rows, album, options, split=s) for s, rows in parts.items()},
    )


def _cases(rows: Rows, album: Album, options: FolderOptions, *, split: str) -> Iterator[Case]:
    for _, located in gathered(partial(_mapped, rows, options), partial(key_of, album)):
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
        if "image" in mapped and not isinstance(mapped["image"], list):
            mapped["image"] = name_or_cell(mapped["image"], where)
        yield where, mapped


def _tables(root: Path, options: FolderOptions) -> dict[str, Rows]:
    tables: dict[str, Rows] = {}
    for ending in READERS:
        for split, path in split_files(root, ending).items():
            if split in tables:
                fault = f"two tables for the split {split}"
                raise DatasetError(fault, where=path, hint="give the one you mean as the root")
            tables[split] = partial(held_rows, path, options.encoding)
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
    rows = partial(_mapped, partial(held_rows, path, options.encoding), options)
    names = {_split(where, row) for where, row in rows()}
    if not names:
        raise DatasetError("the table has no rows", where=path)
    if names == {ALL}:
        return {ALL: partial(held_rows, path, options.encoding)}
    return {name: partial(_of_split, path, options, name) for name in names}


def _split(_: Source, row: Mapping[str, Any]) -> str:
    name = text_in(dict(row), "split") or ALL
    return SPLIT_NAMES.get(name.lower(), name)


def _of_split(path: Path, options: FolderOptions, split: str) -> Iterator[Located]:
    own = options.columns.get("split", "split")
    for where, row in held_rows(path, options.encoding):
        if _split(where, {"split": row.get(own)}) == split:
            yield where, row


def _captioned(root: Path, options: FolderOptions) -> dict[str, Callable[[], Iterator[Case]]]:
    """Folders of images, each with its caption in a text file of the same name."""
    below = [p for p in sorted(root.iterdir()) if p.is_dir() and p.name.lower() in SPLIT_NAMES]
    places = {SPLIT_NAMES[p.name.lower()]: p for p in below} or {ALL: root}
    return {
        split: partial(_text_cases, place, root, split, options.encoding)
        for split, place in places.items()
        if any(caption for _, caption in _captions(place))
    }


def _captions(place: Path) -> list[tuple[Path, Path | None]]:
    """The pictures in a folder, and the text file that each has; their endings in any case."""
    files = sorted(path for path in place.iterdir() if path.is_file())
    words = {path.stem: path for path in files if path.suffix.lower() == ".txt"}
    pictures = (path for path in files if path.suffix.lower() in ENDINGS)
    return [(path, words.get(path.stem)) for path in pictures]


def _text_cases(place: Path, root: Path, split: str, encoding: str | None) -> Iterator[Case]:
    album = Album(root, [place])
    for number, (path, words) in enumerate(_captions(place), start=1):
        where = Source(path.as_posix(), number)
        yield Case(
            id=path.stem,
            group=path.stem,
            pictures=(album.picture(path.name, where),),
            caption="" if words is None else text(words, encoding).strip(),
            source=where,
            split=split,
        )
