"""The questions of a row of one's own table, and back, with the pictures that their turns show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from vesalius.cases.case import Answer, Question, Source
from vesalius.cases.picture import Picture
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.rows import Cell, Row, listed, mapping, text_in
from vesalius.data.reading.stored import name_or_cell
from vesalius.errors import DatasetError

PLACEHOLDER = "<image>"
SPEAKERS = {"human": "ask", "user": "ask", "gpt": "reply", "assistant": "reply", "system": "skip"}
Pictures = tuple[Picture, ...]


def pictures_in(row: Row, album: Album, where: Source) -> Pictures:
    """The pictures that ``image`` or ``images`` name: of a row, or of one question in it."""
    several = listed(row.get("images"), "images", where)
    values = several if several is not None else [row.get("image")]
    if len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    held = [name_or_cell(value, where) for value in values]
    return tuple(_picture(each, album, where) for each in held if each is not None)


def _picture(value: str | Cell, album: Album, where: Source) -> Picture:
    name = value.digest()[:16] if isinstance(value, Cell) else value
    return picture_in(value, name, album, where)


def questions_in(
    row: Row, album: Album, where: Source, pictures: Pictures
) -> tuple[tuple[Question, ...], Pictures]:
    """A row's questions, and the case's pictures, those that only a question names behind others.

    Each question says by place which pictures are first shown with it.
    """
    several = listed(row.get("questions"), "questions", where)
    if several is not None:
        questions = []
        for at, each in enumerate(mapping(one, where) for one in several):
            own = pictures_in(each, album, where)
            places = range(len(pictures), len(pictures) + len(own))
            questions.append(replace(_question(each, where, at), shows=tuple(places)))
            pictures += own
        return tuple(questions), pictures
    if row.get("conversations"):
        return tuple(_conversation(row, where, len(pictures))), pictures
    if row.get("question") is None or (
        text_in(row, "question") is None and text_in(row, "caption")
    ):
        return (), pictures  # a caption's row in a table that also asks
    return (_question(row, where, None),), pictures


def question_row(question: Question, images: Sequence[str]) -> dict[str, Any]:
    """A question as the field ``questions`` holds it; ``images``: of all the case's pictures."""
    row = {
        "id": question.id,
        "question": question.text,
        "answers": [answer.text for answer in question.answers if answer.text is not None],
        "category": question.category,
        "kind": question.kind,
        "options": question.options,
        "language": question.language,
    }
    shows = image_fields([images[place] for place in question.shows]) if question.shows else {}
    return {name: value for name, value in row.items() if value is not None} | shows


def image_fields(images: Sequence[str]) -> dict[str, Any]:
    """Paths as the field that :func:`pictures_in` reads."""
    return {"image": images[0]} if len(images) == 1 else {"images": list(images)}


def _question(row: Row, where: Source, at: int | None) -> Question:
    kind = (text_in(row, "kind") or "").lower() or None
    if kind not in (None, "open", "closed"):
        raise DatasetError(f"kind is open or closed, not {kind!r}", where=where)
    answers = listed(row.get("answers"), "answers", where)
    if answers is None:
        answers = [text] if (text := text_in(row, "answer")) is not None else []
    options = listed(row.get("options"), "options", where)
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


def _conversation(row: Row, where: Source, pictures: int) -> Iterator[Question]:
    """LLaVA's turns: what a human says is a question, what gpt says its answer.

    Placeholders show the pictures in order, each in its turn; without any they stand in the first.
    """
    name = text_in(row, "id") or where.row
    turns = list(_turns(row, where))
    counts = [said.count(PLACEHOLDER) for said, _ in turns]
    if any(counts[1:]) and sum(counts) != pictures:
        fault = f"{sum(counts)} {PLACEHOLDER} in the turns for {pictures} pictures"
        raise DatasetError(fault, where=where, hint="one where each picture is shown")
    place = 0
    for number, ((said, reply), count) in enumerate(zip(turns, counts, strict=True), start=1):
        shows = tuple(range(place, place + count)) if any(counts[1:]) else ()
        place += count
        yield Question(
            text=said.replace(PLACEHOLDER, "").strip(),
            id=f"{name}.{number}",
            answers=() if reply is None else (Answer(text=reply),),
            shows=shows,
        )


def _turns(row: Row, where: Source) -> Iterator[tuple[str, str | None]]:
    """What a human says and the reply to it; None where the last one has none."""
    waiting: str | None = None
    for turn in listed(row["conversations"], "conversations", where) or []:
        each = mapping(turn, where)
        role = SPEAKERS.get(str(each.get("from", each.get("role"))))
        text = str(each.get("value", each.get("content", ""))).strip()
        if role is None or (role == "reply") != (waiting is not None and role != "skip"):
            fault = f"a turn of {each.get('from')!r} where it is not the turn's"
            raise DatasetError(fault, where=where, hint="human and gpt take turns")
        if role == "ask":
            waiting = text
        elif role == "reply" and waiting is not None:
            yield waiting, text.replace(PLACEHOLDER, "").strip()
            waiting = None
    if waiting is not None:
        yield waiting, None
