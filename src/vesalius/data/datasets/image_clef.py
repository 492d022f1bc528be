"""ImageCLEFmedical Caption 2022-2025: captions and concepts for radiology images."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from vesalius.data.reading.album import Album
from vesalius.data.reading.captions import Captioned, stored_cases
from vesalius.data.reading.folders import below, entries
from vesalius.data.reading.hub import hub_splits
from vesalius.data.reading.mapping import own_mapping
from vesalius.data.reading.streams import ORDER, SPLIT_NAMES, Streams, split_of, unknown_layout
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated

# What a table holds, by its name; the first that fits. "Caption" is in the challenge's own name,
# so concepts are looked for before captions.
KINDS = (
    ("names", re.compile(r"mapping|^concepts?\.", re.IGNORECASE)),
    ("manual", re.compile(r"concept.*manual", re.IGNORECASE)),
    ("concepts", re.compile(r"concept", re.IGNORECASE)),
    ("captions", re.compile(r"caption", re.IGNORECASE)),
)
ENDINGS = (".csv", ".tsv", ".txt")
YEAR = re.compile(r"20[12]\d")


class ImageClefOptions(Frozen):
    """Which challenge's files are read."""

    year: int | None = Field(default=None, ge=2017, le=2100)
    """Read only paths that name this year; needed where several years lie below the root."""


class ImageClef:
    """``{train,valid,test}`` image folders or zips with caption and concept tables of any year."""

    options = ImageClefOptions

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Streams:
        """The set in folder ``root`` or on the hub; see :class:`ImageClefOptions`."""
        chosen = validated(ImageClefOptions, options, where="options of image_clef")
        if root is None or hub:
            parts, album = hub_splits(str(hub), streaming=True), Album(Path())
            return Streams(
                "image_clef",
                {s: partial(stored_cases, r, album, split=s) for s, r in parts.items()},
            )
        return _streams(root, chosen.year)


def _streams(root: Path, year: int | None) -> Streams:
    tables = _tables(root, year)
    starts = {}
    for split in ORDER:
        files = {kind: path for (at, kind), path in tables.items() if at == split}
        places = _places(root, split, year)
        if files or places:
            held = Captioned(
                album=Album(root, places),
                captions=files.get("captions"),
                concepts=files.get("concepts") or files.get("manual"),
                manual=files.get("manual"),
                mapping=own_mapping(root, year),
            )
            starts[split] = partial(held.cases, split)
    if not starts:
        raise unknown_layout(root, "tables named after a split and caption or concept", "images")
    return Streams("image_clef", starts, mapping=own_mapping(root, year))


def _tables(root: Path, year: int | None) -> dict[tuple[str, str], Path]:
    tables: dict[tuple[str, str], Path] = {}
    for path in _near(root, year):
        kind = next((kind for kind, name in KINDS if name.search(path.name)), None)
        split = split_of(path.stem) or split_of(path.parent.name)
        if path.suffix.lower() not in ENDINGS or kind in (None, "names") or split is None:
            continue
        held = tables.setdefault((split, str(kind)), path)
        if held != path:
            fault = f"two files of {kind} for {split}: {held.name} and {path.name}"
            raise DatasetError(fault, where=root, hint="set the option year, or move one away")
    return tables


def _places(root: Path, split: str, year: int | None) -> list[Path]:
    named = [path for path in _near(root, year) if split_of(path.stem) == split]
    folders = [p for p in named if p.is_dir() or p.suffix.lower() == ".zip"]
    return [p / "images" if (p / "images").is_dir() else p for p in folders]


def _near(root: Path, year: int | None) -> list[Path]:
    """What lies in the root and the tables one folder deep; image folders are not walked."""
    if year is not None and (root / str(year)).is_dir():
        root = root / str(year)
    inner = [root / "images" / name for name in SPLIT_NAMES]
    paths = [*entries(root), *below(root, "*/*.csv"), *(path for path in inner if path.is_dir())]
    named = {path: YEAR.findall(path.relative_to(root).as_posix()) for path in sorted(paths)}
    return [p for p, years in named.items() if year is None or not years or str(year) in years]
