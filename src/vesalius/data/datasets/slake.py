"""SLAKE (Liu et al., ISBI 2021): English and Chinese questions on CT, MRI and radiographs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vesalius.cases.case import Answer, Box, Case, Question, Source
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.hub import hub_file, hub_splits
from vesalius.data.reading.listings import same_name
from vesalius.data.reading.outlines import rectangle
from vesalius.data.reading.record import beside
from vesalius.data.reading.rows import Cell, Row, Rows, gathered, image_id, text_in, text_or_empty
from vesalius.data.reading.streams import Streams, parquet_splits, split_files, unknown_layout
from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated

ARCHIVE = "imgs.zip"
PUBLISHED = frozenset(
    {"img_id", "img_name", "image", "question", "answer", "q_lang", "location", "modality",
     "answer_type", "base_type", "content_type", "triple", "qid", "official_split"}
)  # fmt: skip
"""The set's own columns; any other is told."""


class SlakeOptions(Frozen):
    """Which questions are read."""

    language: Literal["en", "zh", "all"] = "en"
    """The language of the questions (``q_lang``)."""


class Slake:
    """``imgs/xmlab<N>/`` with ``{train,validate,test}.json``, parquet, or the hub."""

    options = SlakeOptions

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Streams:
        """The set in folder ``root`` or on the hub; see :class:`SlakeOptions`."""
        chosen = validated(SlakeOptions, options, where="options of slake")
        if root is None or hub:
            parts, album = _on_hub(str(hub))
        else:
            parts, album = _find_splits(root), Album(root, _places(root))
        return Streams(
            "slake", {s: partial(_cases, rows, album, chosen, split=s) for s, rows in parts.items()}
        )


def _places(root: Path) -> list[Path]:
    archive = root / ARCHIVE
    return [root / "imgs", root, *([archive] if archive.is_file() else [])]


def _find_splits(root: Path) -> dict[str, Rows]:
    for ending in (".json", ".jsonl"):
        files = split_files(root, ending)
        if files:
            return {s: partial(read_rows, path) for s, path in files.items()}
    parts = parquet_splits(root)
    if not parts:
        raise unknown_layout(root, "{train,validate,test}.json", "parquet files")
    return parts


def _on_hub(name: str) -> tuple[dict[str, Rows], Album]:
    """The hub's rows; the official repository keeps its pictures beside them in one archive."""
    parts = hub_splits(name)
    _, first = next(next(iter(parts.values()))(), (None, {"image": Cell.of(b"")}))
    if isinstance(first.get("image"), Cell):
        return parts, Album(Path())
    archive = hub_file(name, ARCHIVE)
    return parts, Album(archive.parent, [archive])


def _cases(rows: Rows, album: Album, options: SlakeOptions, *, split: str) -> Iterator[Case]:
    def chosen_rows() -> Iterator[tuple[Source, Row]]:
        for where, row in rows():
            if options.language in ("all", text_in(row, "q_lang") or "en"):
                yield where, row

    for name, located in gathered(chosen_rows, _name):
        where, first = located[0]
        image = name.split("/")[0]
        yield Case(
            id=image,
            group=image,
            pictures=(picture_in(first.get("image"), name, album, where),),
            questions=tuple(_question(row, place) for place, row in located),
            boxes=_boxes(album, image),
            modality=text_in(first, "modality"),
            source=where,
            split=split,
            remarks=beside(located, PUBLISHED),
        )


def _name(where: Source, row: Row) -> str:
    """The picture's path, however its separators are written, or the hash of a stored one."""
    return same_name(image_id(row, where, "img_name", "image"))


def _question(row: Row, where: Source) -> Question:
    answer = text_in(row, "answer")
    kind = (text_in(row, "answer_type") or "").lower()
    return Question(
        text=text_or_empty(row, where, "question"),
        id=text_in(row, "qid") or str(where.row),
        answers=() if answer is None else (Answer(text=answer),),
        category=text_in(row, "content_type"),
        kind=kind if kind in ("open", "closed") else None,  # type: ignore[arg-type]
        language=text_in(row, "q_lang") or "en",
    )


def _boxes(album: Album, image: str) -> tuple[Box, ...] | None:
    """The organ and lesion boxes of an image; None where the set has no file for it."""
    name = f"{image}/detection.json"
    data = album.beside(name)
    if data is None:
        return None
    try:
        content = [dict(entry) for entry in json.loads(data)]
    except (ValueError, TypeError) as error:
        raise DatasetError("not a list of {label: [x, y, width, height]}", where=name) from error
    return tuple(
        rectangle(numbers, label, Source(name, number))
        for number, entry in enumerate(content, start=1)
        for label, numbers in entry.items()
    )
