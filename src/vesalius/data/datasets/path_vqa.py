"""PathVQA (He et al., arXiv:2003.10286): questions on pathology images from textbooks."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from vesalius.cases.case import Answer, Case, Question, Source
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.folders import below, entries
from vesalius.data.reading.hub import hub_splits
from vesalius.data.reading.record import beside
from vesalius.data.reading.rows import (
    Located,
    Row,
    Rows,
    gathered,
    image_id,
    text_in,
    text_or_empty,
)
from vesalius.data.reading.streams import Streams, parquet_splits, split_of, unknown_layout
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated

PICKLES = "*_qa.pkl"
PUBLISHED = frozenset({"image", "question", "answer"})
"""The set's own columns; any other is told."""


class PathVqaOptions(Frozen):
    """What may be opened."""

    allow_pickle: bool = False
    """Read the original release's pickles; even then only plain lists, mappings and text."""


class PathVqa:
    """The hub's parquet (``image, question, answer``) or the original release's pickles."""

    options = PathVqaOptions

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Streams:
        """The set in folder ``root`` or on the hub; see :class:`PathVqaOptions`."""
        chosen = validated(PathVqaOptions, options, where="options of path_vqa")
        album = Album(Path())
        if root is None or hub:
            parts = hub_splits(str(hub))
        else:
            parts = parquet_splits(root)
            if not parts:
                parts, album = _pickled(root, chosen), _original_album(root)
        return Streams(
            "path_vqa", {s: partial(_cases, rows, album, split=s) for s, rows in parts.items()}
        )


def _cases(rows: Rows, album: Album, *, split: str) -> Iterator[Case]:
    # The hub's rows have no image id, and repeat a picture for every question on it.
    for name, located in gathered(rows, lambda w, r: image_id(r, w, "image")):
        where, first = located[0]
        yield Case(
            id=name,
            group=name,
            pictures=(picture_in(first["image"], name, album, where),),
            questions=tuple(_question(row, place) for place, row in located),
            source=where,
            split=split,
            remarks=beside(located, PUBLISHED),
        )


def _question(row: Row, where: Source) -> Question:
    answer = text_in(row, "answer")
    return Question(
        text=text_or_empty(row, where, "question"),
        id=str(where.row),
        answers=() if answer is None else (Answer(text=answer),),
    )


def _pickled(root: Path, options: PathVqaOptions) -> dict[str, Rows]:
    files = {split_of(path.stem): path for path in below(root, f"**/{PICKLES}")}
    paths = {split: path for split, path in files.items() if split is not None}
    if not paths:
        raise unknown_layout(root, "parquet files", f"**/{PICKLES}")
    if not options.allow_pickle:
        path = next(iter(paths.values()))
        fault = "a pickle can run code when it is opened, so this one is left closed"
        hint = (
            "set the option allow_pickle: true for a restricted reading, or use the hub's parquet"
        )
        raise DatasetError(fault, where=path, hint=hint)
    return {split: partial(_unpickled, path) for split, path in paths.items()}


def _original_album(root: Path) -> Album:
    folders = [p for top in below(root, "**/images") for p in (top, *entries(top))]
    return Album(root, [path for path in folders if path.is_dir()])


class _PlainOnly(pickle.Unpickler):  # the point of this class is to refuse what makes pickle unsafe
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _unpickled(path: Path) -> Iterator[Located]:
    try:
        content = _PlainOnly(io.BytesIO(path.read_bytes())).load()
    except (pickle.UnpicklingError, EOFError, OSError, ValueError, IndexError, KeyError) as error:
        raise DatasetError(f"refused: {error}", where=path) from error
    if not isinstance(content, list):
        raise DatasetError("not a list of questions", where=path)
    for number, row in enumerate(content, start=1):
        where = Source(path.as_posix(), number)
        if not isinstance(row, dict):
            raise DatasetError("not a mapping", where=where)
        yield where, row
