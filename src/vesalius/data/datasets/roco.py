"""ROCO (Pelka et al., 2018) and ROCOv2 (Rückert et al., 2024): captions and UMLS concepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vesalius.cases.case import Case, Source
from vesalius.data.reading.album import Album
from vesalius.data.reading.captions import Captioned, modality_of, stored_cases
from vesalius.data.reading.delimited import split_lines
from vesalius.data.reading.folders import below, entries
from vesalius.data.reading.hub import hub_splits
from vesalius.data.reading.mapping import own_mapping
from vesalius.data.reading.streams import (
    ALL,
    Streams,
    parquet_splits,
    split_files,
    split_of,
    unknown_layout,
)
from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated

Starts = dict[str, Callable[[], Iterator[Case]]]


class RocoOptions(Frozen):
    """Which release, and which of its concepts."""

    version: Literal[1, 2] | None = None
    """1: ``radiology/captions.txt``; 2: ``<split>_captions.csv``. Sniffed by default."""
    concepts: Literal["automatic", "manual"] = "automatic"
    """ROCOv2: ``<split>_concepts.csv``, or the checked ``<split>_concepts_manual.csv``."""


class Roco:
    """ROCOv2's tables beside image folders or zips, ROCO's text files, rows, or the hub."""

    options = RocoOptions

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Streams:
        """The set in folder ``root`` or on the hub; see :class:`RocoOptions`."""
        chosen = validated(RocoOptions, options, where="options of roco")
        if root is None or hub:
            # 80,000 full-size pictures: streamed, so that nothing is kept on disk.
            parts, album = hub_splits(str(hub), streaming=True), Album(Path())
            return Streams(
                "roco", {s: partial(stored_cases, r, album, split=s) for s, r in parts.items()}
            )
        starts = {2: _second, 1: _first, None: _either}[chosen.version](root, chosen)
        if not starts:
            raise unknown_layout(
                root, "<split>_captions.csv", "radiology/captions.txt", "<split>.jsonl", "parquet"
            )
        return Streams("roco", starts, mapping=own_mapping(root))


def _either(root: Path, options: RocoOptions) -> Starts:
    return _second(root, options) or _first(root, options) or _stored(root)


def _second(root: Path, options: RocoOptions) -> Starts:
    concepts = "_concepts_manual.csv" if options.concepts == "manual" else "_concepts.csv"
    listed = split_files(root, concepts)
    manual = split_files(root, "_concepts_manual.csv")
    return {
        split: partial(
            Captioned(
                album=Album(root, _image_places(root, split)),
                captions=path,
                concepts=listed.get(split),
                manual=manual.get(split),
                mapping=own_mapping(root),
            ).cases,
            split,
        )
        for split, path in split_files(root, "_captions.csv").items()
    }


def _image_places(root: Path, split: str) -> list[Path]:
    """Folders and zips whose name speaks of the split: ``train_images.zip``, ``train/``."""
    named = [path for path in entries(root) if split_of(path.stem) == split]
    places = [p for p in named if p.is_dir() or p.suffix.lower() == ".zip"]
    return [place / "images" if (place / "images").is_dir() else place for place in places]


def _first(root: Path, _: RocoOptions) -> Starts:
    starts: Starts = {}
    for captions in below(root, "**/radiology/captions.txt"):
        folder = captions.parent
        split = split_of(folder.parent.name) if folder.parent != root else None
        starts[split or ALL] = partial(_old_cases, folder, root, split or ALL)
    return starts


def _old_cases(folder: Path, root: Path, split: str) -> Iterator[Case]:
    album = Album(root, [folder / "images"])
    concepts = _fields(folder / "cuis.txt")
    for where, (name, *caption) in split_lines(folder / "captions.txt", "\t"):
        if not caption:
            raise DatasetError("no tab between id and caption", where=where)
        known = concepts.get(name)
        yield Case(
            id=name,
            group=name,
            pictures=(album.picture(name, where),),
            caption=" ".join(caption).strip(),
            concepts=known,
            modality=modality_of(known or ()),
            source=Source(where.file, where.row),
            split=split,
        )


def _fields(path: Path) -> dict[str, tuple[str, ...]]:
    """ROCO's files of one id and any number of tab-separated values."""
    if not path.is_file():
        return {}
    lines = split_lines(path, "\t")
    return {name: tuple(v for v in values if v) for _, (name, *values) in lines}


def _stored(root: Path) -> Starts:
    lines = {s: partial(read_rows, path) for s, path in split_files(root, ".jsonl").items()}
    parts = dict(lines) or parquet_splits(root)
    album = Album(root, [root, root / "images"])
    return {s: partial(stored_cases, rows, album, split=s) for s, rows in parts.items()}
