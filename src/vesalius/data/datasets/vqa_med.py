"""VQA-Med 2019, 2020 and 2021 (Ben Abacha et al., ImageCLEF): questions on MedPix images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vesalius.cases.case import Answer, Case, Question, Source
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.delimited import delimited_lines
from vesalius.data.reading.folders import below
from vesalius.data.reading.hub import hub_splits
from vesalius.data.reading.record import beside
from vesalius.data.reading.rows import (
    Located,
    Row,
    Rows,
    chained,
    gathered,
    image_id,
    text_in,
    text_or_empty,
)
from vesalius.data.reading.streams import (
    Streams,
    parquet_splits,
    split_files,
    split_of,
    unknown_layout,
)
from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated

# The fields of a line, by how many there are; the answer may be absent in a test or question set.
FIELDS = {
    2: ("image_id", "question"),
    3: ("image_id", "question", "answer"),
    4: ("image_id", "category", "question", "answer"),
}
CATEGORY = re.compile(r"^C\d_([A-Za-z]+)_")  # C1_Modality_train.txt
ANSWERS = re.compile(r"^(?!.*question).*answers", re.IGNORECASE)  # image|answer, in 2020 and 2021
ALTERNATIVES = "#"
PUBLISHED = frozenset(
    {"image_id", "image", "category", "question", "answer", "questions", "official_split"}
)
"""The set's own columns; any other is told."""


class VqaMedOptions(Frozen):
    """Which year's files are read."""

    year: Literal[2019, 2020, 2021] | None = None
    """Read only paths that name this year; needed where several years lie below the root."""


class VqaMed:
    """The challenge's ``image|question|answer`` files and image folders, JSON lines, or parquet."""

    options = VqaMedOptions

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Streams:
        """The set in folder ``root`` or on the hub; see :class:`VqaMedOptions`."""
        chosen = validated(VqaMedOptions, options, where="options of vqa_med")
        if root is None or hub:
            parts, album = hub_splits(str(hub)), Album(Path())
        else:
            parts, album = _find_splits(root, chosen.year)
        return Streams(
            "vqa_med", {s: partial(_cases, rows, album, split=s) for s, rows in parts.items()}
        )


def _find_splits(root: Path, year: int | None) -> tuple[dict[str, Rows], Album]:
    lines = {s: partial(read_rows, path) for s, path in split_files(root, ".jsonl").items()}
    if lines:
        return dict(lines), Album(root, [root, root / "images"])
    files = _question_files(root, year)
    if files:
        parts: dict[str, Rows] = {
            split: partial(
                chained, tuple(partial(_lines, p, _answers(paths)) for p in _question_paths(paths))
            )
            for split, paths in files.items()
        }
        return parts, Album(root, _places(root))
    parts = parquet_splits(root)
    if not parts:
        raise unknown_layout(root, "**/*.txt of image|question|answer", "<split>.jsonl", "parquet")
    return parts, Album(root)


def _question_files(root: Path, year: int | None) -> dict[str, list[Path]]:
    """The files of questions and answers by split; several years at once raise DatasetError."""
    by_split: dict[str, list[Path]] = {}
    years = set()
    for path in below(root, "**/*.txt"):
        place = path.relative_to(root).as_posix()
        years_named = set(re.findall(r"20(?:19|20|21)", place))
        if _fields(path) not in FIELDS or (year and str(year) not in years_named):
            continue
        years |= years_named
        split = split_of(path.stem) or split_of(place)
        if split is not None:
            by_split.setdefault(split, []).append(path)
    if len(years) > 1 and year is None:
        hint = f"set the option year to one of {', '.join(sorted(years))}"
        raise DatasetError("files of several years lie here", where=root, hint=hint)
    return by_split


def _question_paths(paths: Sequence[Path]) -> list[Path]:
    by_category = [path for path in paths if CATEGORY.match(path.name)]
    asking = [p for p in paths if _fields(p) > 2 or not ANSWERS.match(p.name)]
    return by_category or sorted(asking, key=_fields, reverse=True)[:1]


def _answers(paths: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(p for p in paths if _fields(p) == 2 and ANSWERS.match(p.name))


def _fields(path: Path) -> int:
    with path.open(encoding="utf-8", errors="replace") as file:
        first = next((line for line in file if line.strip()), "")
    return first.count("|") + 1


def _lines(path: Path, answers: tuple[Path, ...]) -> Iterator[Located]:
    named = CATEGORY.match(path.name)
    category = {"category": named[1].lower()} if named else {}
    apart = {
        row["image_id"]: {"answer": row["answer"]}
        for file in answers
        for _, row in delimited_lines(file, "|", ("image_id", "answer"))
    }
    for where, row in delimited_lines(path, "|", FIELDS[_fields(path)]):
        yield where, apart.get(row["image_id"], {}) | row | category


def _places(root: Path) -> list[Path]:
    folders = [p for p in below(root, "**/*") if p.is_dir() or p.suffix.lower() == ".zip"]
    return [root, *(path for path in folders if "image" in path.name.lower())]


def _cases(rows: Rows, album: Album, *, split: str) -> Iterator[Case]:
    for name, located in gathered(rows, lambda w, r: image_id(r, w, "image_id", "image")):
        where, first = located[0]
        picture = first.get("image")
        yield Case(
            id=name,
            group=name,
            pictures=(picture_in(picture, text_in(first, "image") or name, album, where),),
            questions=tuple(q for place, row in located for q in _questions(row, place)),
            source=where,
            split=split,
            remarks=beside(located, PUBLISHED),
        )


def _questions(row: Row, where: Source) -> Iterator[Question]:
    category = text_in(row, "category")
    prefix = f"{category}-" if category else ""
    several = row.get("questions")  # the question-generation set: a list, without answers
    if isinstance(several, list):
        for number, text in enumerate(several, start=1):
            yield Question(text=str(text).strip(), id=f"{where.row}.{number}")
        return
    yield Question(
        text=text_or_empty(row, where, "question"),
        id=f"{prefix}{where.row}",
        answers=tuple(Answer(text=text) for text in _alternatives(text_in(row, "answer"))),
        category=category,
    )


def _alternatives(answer: str | None) -> list[str]:
    texts = [] if answer is None else [part.strip() for part in answer.split(ALTERNATIVES)]
    return [text for text in dict.fromkeys(texts) if text]
