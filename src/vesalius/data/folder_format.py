"""A case as a row of one's own table, and back: pictures, caption, questions, boxes, context."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal, TypeVar, get_args

from vesalius.cases.case import Box, Case, Question, Source
from vesalius.cases.picture import Picture
from vesalius.data.conversations import CHAT, PLACEHOLDER, is_chat, without_marks
from vesalius.data.folder_questions import image_fields, pictures_in, question_row, questions_in
from vesalius.data.reading.album import Album
from vesalius.data.reading.listings import stem_of
from vesalius.data.reading.outlines import Points, outlined, rectangle
from vesalius.data.reading.record import Record, id_of, text_of
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
from vesalius.data.reading.streams import SPLIT_NAMES
from vesalius.errors import DatasetError

Field = Literal[
    "id", "image", "images", "caption", "question", "answer", "answers", "questions",
    "conversations", "category", "kind", "options", "language", "group", "patient", "split",
    "boxes", "concepts", "modality", "context", "history", "indication",
]  # fmt: skip
Value = TypeVar("Value")
Read = tuple[Source, Record]
BOX = ("bbox", "x", "y", "width", "height", "label", "polygon", "polygons", "crowd")
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
    has_questions = is_chat(row) or row.get("question") is not None
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
    records = [(place, Record(row, FIELDS + CHAT)) for place, row in located]
    where, first = records[0]
    own = id_of(first, where, "id") if len(records) == 1 else None
    pictures = pictures_in(first, album, where)
    questions: list[Question] = []
    shown = len(pictures)
    for place, each in records:
        more, pictures = questions_in(each, album, place, pictures, shown)
        questions += more
        _note_image_and_split(each, split)
    name = own or (stem_of(pictures[0].key) if pictures else f"row-{where.row}")
    # A name that is not a picture's counts anew in each split, and joins nothing across them.
    image = pictures[0].key if pictures else f"{split}/{name}"
    patient = _agreed(records, "patient", lambda row, at: id_of(row, at, "patient", "group"))
    _note_empty(first, pictures, patient)
    case = Case(
        id=name,
        group=patient or image,
        pictures=pictures,
        questions=tuple(questions),
        source=where,
        split=split,
        caption=_caption(records),
        boxes=_agreed(records, "boxes", _boxes),
        concepts=_agreed(records, "concepts", _concepts),
        modality=_agreed(records, "modality", lambda row, at: text_of(row, at, "modality")),
        context=_agreed(records, "context", _context) or {},
    )
    # Only now is it known what nobody read.
    remarks = [one for _, each in records for one in each.remarks(has_patient=bool(patient))]
    return replace(case, remarks=tuple(dict.fromkeys(remarks)))


def _note_empty(record: Record, pictures: Sequence[Picture], patient: str | None) -> None:
    """Remark fields of the table that this row leaves empty; an empty list says none on purpose."""
    empty = {name for name in ("image", "images", "patient", "group") if name in record} - {
        name for name in record if record.peek(name) not in (None, "")
    }
    if not pictures and empty & {"image", "images"}:
        record.remark("no_picture", "the field of the picture is empty")
    if patient is None and empty & {"patient", "group"}:
        record.remark("no_patient", "the field of the patient is empty")


def _note_image_and_split(record: Record, split: str) -> None:
    """Count as read what brought the row here: its image among others', and its split."""
    record.get("image")
    own = str(record.peek("split") or "").strip()
    if SPLIT_NAMES.get(own.lower(), own) == split:
        record.get("split")


def _agreed(
    records: Sequence[Read], name: str, read: Callable[[Record, Source], Value | None]
) -> Value | None:
    """What the rows that say anything say; DatasetError where two say different things."""
    values = [(where, value) for where, row in records if (value := read(row, where)) is not None]
    for where, value in values[1:]:
        if value != values[0][1]:
            fault = f"another {name} of the picture than at row {values[0][0].row}"
            raise DatasetError(fault, where=where, hint="give each row an image of its own")
    return values[0][1] if values else None


def _caption(records: Sequence[Read]) -> str | None:
    # A caption column with an empty cell stays visible as "", so that the check can name it.
    places: dict[str, Source] = {}
    for where, record in records:
        if record.peek("caption") is not None:
            text, marks = without_marks(_first_caption(record, where) or "")
            if marks:
                hint = "a caption is what is said of a picture: leave them out"
                raise DatasetError(f"{marks} {PLACEHOLDER} in a caption", where=where, hint=hint)
            places.setdefault(text, where)
    captions = [text for text in places if text]
    if len(captions) > 1:
        fault = f"another caption of the picture captioned at row {places[captions[0]].row}"
        raise DatasetError(
            fault, where=places[captions[1]], hint="give each row an image of its own"
        )
    return next(iter(captions or places), None)


def _first_caption(record: Record, where: Source) -> str | None:
    """A row's caption; of a list of them, as COCO's pictures have, the first, which is remarked."""
    given = record.peek("caption")
    several = isinstance(given, list) and len(given) > 1
    if not several or not all(isinstance(one, str) for one in given):
        return text_of(record, where, "caption")
    record.get("caption")
    texts = list(dict.fromkeys(one.strip() for one in given if one.strip()))
    if len(texts) > 1:
        record.remark("several_captions", f"{len(texts)} captions, of which the first is read")
    return texts[0] if texts else None


def _boxes(row: Record, where: Source) -> tuple[Box, ...] | None:
    """None where nothing is said; an empty list says that there is nothing."""
    boxes = listed(row.get("boxes"), "boxes", where)
    return (
        None
        if boxes is None
        else tuple(_box(row.part(box, "boxes", where, BOX), where) for box in boxes)
    )


def _box(box: Row, where: Source) -> Box:
    numbers = box.get("bbox") or [box.get(name) for name in ("x", "y", "width", "height")]
    one, several = box.get("polygon"), box.get("polygons")
    if one is not None and several is not None:
        raise DatasetError("a box has a polygon, or polygons of its parts", where=where)
    try:
        drawn = several or [] if one is None else [one]
        outlines: list[Points] = [tuple((float(x), float(y)) for x, y in part) for part in drawn]
    except (TypeError, ValueError) as error:
        raise DatasetError("a polygon is a list of [x, y]", where=where) from error
    label, crowd = str(box.get("label") or "finding"), box.get("crowd") or False
    if not isinstance(crowd, bool):
        raise DatasetError("crowd is true or false", where=where)
    return outlined(rectangle(numbers, label, where, crowd=crowd), outlines)


def _concepts(row: Record, where: Source) -> tuple[str, ...] | None:
    concepts = listed(row.get("concepts"), "concepts", where, separator=";")
    return None if concepts is None else tuple(dict.fromkeys(str(c).strip() for c in concepts))


def _context(row: Record, where: Source) -> dict[str, str] | None:
    given = row.get("context") or {}
    if isinstance(given, str):
        given = json_in(given, "context", where)
    context = {str(k): str(v) for k, v in mapping(given, where).items()}
    named = [n for n in ("indication", "history") if not isinstance(row.peek(n), list)]
    beside = {name: text_of(row, where, name) for name in named}
    return context | {k: text for k, text in beside.items() if text is not None} or None


def _box_row(box: Mapping[str, Any]) -> dict[str, Any]:
    numbers = [box[name] for name in ("x", "y", "width", "height")]
    drawn = {key: box[key] for key in ("polygon", "polygons") if box[key] is not None}
    crowd = {"crowd": True} if box["crowd"] else {}
    return {"bbox": numbers, "label": box["label"], **drawn, **crowd}
