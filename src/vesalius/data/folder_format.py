"""A case as a row of one's own table, and back: pictures, caption, questions, boxes, context."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any, Literal, TypeVar, get_args

from vesalius.cases.case import Answer, Box, Case, Question, Source
from vesalius.cases.picture import Picture
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.outlines import Points, rectangle
from vesalius.data.reading.rows import Cell, Located, Row, image_id, text_in
from vesalius.errors import DatasetError

Field = Literal[
    "id", "image", "images", "caption", "question", "answer", "answers", "questions",
    "conversations", "category", "kind", "options", "language", "group", "patient", "split",
    "boxes", "concepts", "modality", "context", "history", "indication",
]  # fmt: skip
Value = TypeVar("Value")
FIELDS: tuple[str, ...] = get_args(Field)
PLACEHOLDER = "<image>"
SPEAKERS = {"human": "ask", "user": "ask", "gpt": "reply", "assistant": "reply", "system": "skip"}


def to_row(case: Case, images: Sequence[str]) -> dict[str, Any]:
    """The case as a row that the ``folder`` reader takes without options: :func:`from_row` undone.

    ``images`` are the paths of its pictures, relative to the table.
    """
    row: dict[str, Any] = {"id": case.id, "group": case.group}
    row |= {"image": images[0]} if len(images) == 1 else {"images": list(images)}
    content = {"caption": case.caption, "modality": case.modality, "concepts": case.concepts}
    row |= {name: value for name, value in content.items() if value is not None}
    if case.boxes is not None:
        row["boxes"] = [_box_row(asdict(box)) for box in case.boxes]
    if case.questions:
        row["questions"] = [_question_row(question) for question in case.questions]
    return row | ({"context": dict(case.context)} if case.context else {})


def key_of(where: Source, row: Row) -> str:
    """What rows are brought together by: questions by their image, anything else not at all."""
    has_questions = row.get("conversations") or row.get("question") is not None
    alone = f"{where.file}:{where.row}"
    if not has_questions or (
        text_in(row, "image") is None and not isinstance(row.get("image"), Cell)
    ):
        return alone
    return image_id(row, where, "image")


def from_rows(located: Sequence[Located], album: Album, split: str) -> Case:
    """The case that one image's rows make; DatasetError names the file, the row and the field.

    What is said of the image (its patient, boxes ...) may stand in any of the rows, or in several
    if they agree.
    """
    where, row = located[0]
    named = text_in(row, "id") if len(located) == 1 else None
    pictures = _pictures(row, album, where)
    name = named or (_stem(pictures[0].key) if pictures else f"row-{where.row}")
    image = pictures[0].key if pictures else name
    return Case(
        id=name,
        group=_agreed(located, "patient", lambda row, _: text_in(row, "patient", "group")) or image,
        pictures=pictures,
        questions=tuple(q for place, each in located for q in _questions(each, place)),
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


def _stem(key: str) -> str:
    return PurePosixPath(key).with_suffix("").as_posix()


def _pictures(row: Row, album: Album, where: Source) -> tuple[Picture, ...]:
    several = _listed(row.get("images"), "images", where)
    values = several if several is not None else [row.get("image")]
    if len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    if not all(v is None or isinstance(v, str | Cell) for v in values):
        raise DatasetError("an image is neither a path nor stored bytes", where=where)
    return tuple(_picture(v, album, where) for v in values if v)


def _picture(value: str | Cell, album: Album, where: Source) -> Picture:
    name = value.digest()[:16] if isinstance(value, Cell) else value.strip()
    return picture_in(value, name, album, where)


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


def _questions(row: Row, where: Source) -> tuple[Question, ...]:
    several = _listed(row.get("questions"), "questions", where)
    if several is not None:
        return tuple(_question(_mapping(q, where), where, at) for at, q in enumerate(several))
    if row.get("conversations"):
        return _conversation(row, where)
    if row.get("question") is None or (
        text_in(row, "question") is None and text_in(row, "caption")
    ):
        return ()  # a caption's row in a table that also asks
    return (_question(row, where, None),)


def _question(row: Row, where: Source, at: int | None) -> Question:
    kind = (text_in(row, "kind") or "").lower() or None
    if kind not in (None, "open", "closed"):
        raise DatasetError(f"kind is open or closed, not {kind!r}", where=where)
    answers = _listed(row.get("answers"), "answers", where)
    if answers is None:
        answers = [text] if (text := text_in(row, "answer")) is not None else []
    options = _listed(row.get("options"), "options", where)
    default = str(where.row) if at is None else f"{at + 1}"
    return Question(
        text=text_in(row, "question", "text") or "",
        id=text_in(row, "id") or default,
        answers=tuple(Answer(text=str(text)) for text in answers),
        category=text_in(row, "category"),
        kind=kind,  # type: ignore[arg-type]
        options=None if options is None else tuple(map(str, options)),
        language=text_in(row, "language") or "en",
    )


def _conversation(row: Row, where: Source) -> tuple[Question, ...]:
    """LLaVA's turns: what a human says is a question, what gpt says its answer."""
    questions: list[Question] = []
    turns = _listed(row["conversations"], "conversations", where) or []
    waiting: str | None = None
    for turn in [_mapping(t, where) for t in turns]:
        role = SPEAKERS.get(str(turn.get("from", turn.get("role"))))
        text = str(turn.get("value", turn.get("content", ""))).replace(PLACEHOLDER, "").strip()
        if role is None or (role == "reply") != (waiting is not None and role != "skip"):
            fault = f"a turn of {turn.get('from')!r} where it is not the turn's"
            raise DatasetError(fault, where=where, hint="human and gpt take turns")
        if role == "ask":
            waiting = text
        elif role == "reply" and waiting is not None:
            name = f"{text_in(row, 'id') or where.row}.{len(questions) + 1}"
            questions.append(Question(text=waiting, id=name, answers=(Answer(text=text),)))
            waiting = None
    if waiting is not None:
        questions.append(
            Question(text=waiting, id=f"{text_in(row, 'id') or where.row}.{len(questions) + 1}")
        )
    return tuple(questions)


def _boxes(row: Row, where: Source) -> tuple[Box, ...] | None:
    """None where nothing is said; an empty list says that there is nothing."""
    boxes = _listed(row.get("boxes"), "boxes", where)
    return None if boxes is None else tuple(_box(_mapping(box, where), where) for box in boxes)


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
    concepts = _listed(row.get("concepts"), "concepts", where, separator=";")
    return None if concepts is None else tuple(dict.fromkeys(str(c).strip() for c in concepts))


def _context(row: Row, where: Source) -> dict[str, str] | None:
    given = row.get("context") or {}
    if isinstance(given, str):
        given = _json(given, "context", where)
    context = {str(k): str(v) for k, v in _mapping(given, where).items()}
    beside = {name: text_in(row, name) for name in ("indication", "history")}
    return context | {k: text for k, text in beside.items() if text is not None} or None


def _listed(value: Any, name: str, where: Source, separator: str | None = None) -> list[Any] | None:
    """A list as it is, as JSON text in a cell, or as text with a separator; None if not given."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        if separator and not value.lstrip().startswith("["):
            return [part for part in value.split(separator) if part.strip()]
        value = _json(value, name, where)
    if not isinstance(value, list):
        raise DatasetError(f"{name} is not a list", where=where)
    return value


def _json(text: str, name: str, where: Source) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DatasetError(f"{name} is not valid JSON: {error}", where=where) from error


def _mapping(value: Any, where: Source) -> Row:
    if not isinstance(value, dict):
        raise DatasetError(f"a mapping is expected, not {str(value)[:40]!r}", where=where)
    return value


def _box_row(box: Mapping[str, Any]) -> dict[str, Any]:
    numbers = [box[name] for name in ("x", "y", "width", "height")]
    drawn = {} if box["polygon"] is None else {"polygon": box["polygon"]}
    return {"bbox": numbers, "label": box["label"], **drawn}


def _question_row(question: Question) -> dict[str, Any]:
    row = {
        "id": question.id,
        "question": question.text,
        "answers": [answer.text for answer in question.answers if answer.text is not None],
        "category": question.category,
        "kind": question.kind,
        "options": question.options,
        "language": question.language,
    }
    return {name: value for name, value in row.items() if value is not None}
