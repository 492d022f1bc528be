"""A case as a row of one's own table, and back: pictures, caption, questions, boxes, context."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, TypeVar, get_args

from vesalius.cases.case import Box, Case, Question, Source
from vesalius.data.folder_questions import image_fields, pictures_in, question_row, questions_in
from vesalius.data.reading.album import Album
from vesalius.data.reading.listings import stem_of
from vesalius.data.reading.outlines import Points, rectangle
from vesalius.data.reading.rows import (
    Cell,
    Located,
    Row,
    image_id,
    json_in,
    listed,
    mapping,
    text_in,
)
from vesalius.errors import DatasetError

Field = Literal[
    "id", "image", "images", "caption", "question", "answer", "answers", "questions",
    "conversations", "category", "kind", "options", "language", "group", "patient", "split",
    "boxes", "concepts", "modality", "context", "history", "indication",
]  # fmt: skip
Value = TypeVar("Value")
FIELDS: tuple[str, ...] = get_args(Field)


def to_row(case: Case, images: Sequence[str]) -> dict[str, Any]:
    """The case as a row that the ``folder`` reader takes without options: :func:`from_row` undone.

    ``images`` are the paths of its pictures, relative to the table.
    """
    row: dict[str, Any] = {"id": case.id, "group": case.group}
    named = {place for question in case.questions for place in question.shows}
    row |= image_fields([name for place, name in enumerate(images) if place not in named])
    content = {"caption": case.caption, "modality": case.modality, "concepts": case.concepts}
    row |= {name: value for name, value in content.items() if value is not None}
    if case.boxes is not None:
        row["boxes"] = [_box_row(asdict(box)) for box in case.boxes]
    if case.questions:
        row["questions"] = [question_row(question, images) for question in case.questions]
    return row | ({"context": dict(case.context)} if case.context else {})


def key_of(album: Album, where: Source, row: Row) -> str:
    """What rows are brought together by: questions by their image's file, others not at all."""
    has_questions = row.get("conversations") or row.get("question") is not None
    alone = f"{where.file}:{where.row}"
    if not has_questions or (
        text_in(row, "image") is None and not isinstance(row.get("image"), Cell)
    ):
        return alone
    name = image_id(row, where, "image")
    return name if isinstance(row["image"], Cell) else album.picture(name, where).key


def from_rows(located: Sequence[Located], album: Album, split: str) -> Case:
    """The case that one image's rows make; DatasetError names the file, the row and the field.

    What is said of the image (its patient, boxes ...) may stand in any of the rows, or in several
    if they agree.
    """
    where, row = located[0]
    named = text_in(row, "id") if len(located) == 1 else None
    pictures = pictures_in(row, album, where)
    questions: list[Question] = []
    for place, each in located:
        read, pictures = questions_in(each, album, place, pictures)
        questions += read
    name = named or (stem_of(pictures[0].key) if pictures else f"row-{where.row}")
    # A name that is not a picture's counts anew in each split, and joins nothing across them.
    image = pictures[0].key if pictures else f"{split}/{name}"
    return Case(
        id=name,
        group=_agreed(located, "patient", lambda row, _: text_in(row, "patient", "group")) or image,
        pictures=pictures,
        questions=tuple(questions),
        caption=_caption(located),
        boxes=_agreed(located, "boxes", _boxes),
        concepts=_agreed(located, "concepts", _concepts),
        modality=_agreed(located, "modality", lambda row, _: text_in(row, "modality")),
        context=_agreed(located, "context", _context) or {},
        source=where,
        split=split,
    )


def _agreed(
    located: Sequence[Located], name: str, read: Callable[[Row, Source], Value | None]
) -> Value | None:
    """What the rows that say anything say; DatasetError where two say different things."""
    values = [(where, value) for where, row in located if (value := read(row, where)) is not None]
    for where, value in values[1:]:
        if value != values[0][1]:
            fault = f"another {name} of the picture than at row {values[0][0].row}"
            raise DatasetError(fault, where=where, hint="give each row an image of its own")
    return values[0][1] if values else None


def _caption(located: Sequence[Located]) -> str | None:
    # A caption column with an empty cell stays visible as "", so that the check can name it.
    places: dict[str, Source] = {}
    for where, row in located:
        if row.get("caption") is not None:
            places.setdefault(text_in(row, "caption") or "", where)
    captions = [text for text in places if text]
    if len(captions) > 1:
        fault = f"another caption of the picture captioned at row {places[captions[0]].row}"
        raise DatasetError(
            fault, where=places[captions[1]], hint="give each row an image of its own"
        )
    return next(iter(captions or places), None)


def _boxes(row: Row, where: Source) -> tuple[Box, ...] | None:
    """None where nothing is said; an empty list says that there is nothing."""
    boxes = listed(row.get("boxes"), "boxes", where)
    return None if boxes is None else tuple(_box(mapping(box, where), where) for box in boxes)


def _box(box: Row, where: Source) -> Box:
    numbers = box.get("bbox") or [box.get(name) for name in ("x", "y", "width", "height")]
    drawn = box.get("polygon")
    try:
        outline: Points | None = (
            None if drawn is None else tuple((float(x), float(y)) for x, y in drawn)
        )
    except (TypeError, ValueError) as error:
        raise DatasetError("a polygon is a list of [x, y]", where=where) from error
    return rectangle(numbers, str(box.get("label") or "finding"), where, outline)


def _concepts(row: Row, where: Source) -> tuple[str, ...] | None:
    concepts = listed(row.get("concepts"), "concepts", where, separator=";")
    return None if concepts is None else tuple(dict.fromkeys(str(c).strip() for c in concepts))


def _context(row: Row, where: Source) -> dict[str, str] | None:
    given = row.get("context") or {}
    if isinstance(given, str):
        given = json_in(given, "context", where)
    context = {str(k): str(v) for k, v in mapping(given, where).items()}
    beside = {name: text_in(row, name) for name in ("indication", "history")}
    return context | {k: text for k, text in beside.items() if text is not None} or None


def _box_row(box: Mapping[str, Any]) -> dict[str, Any]:
    numbers = [box[name] for name in ("x", "y", "width", "height")]
    drawn = {} if box["polygon"] is None else {"polygon": box["polygon"]}
    return {"bbox": numbers, "label": box["label"], **drawn}
