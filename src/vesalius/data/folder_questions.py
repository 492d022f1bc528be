"""The questions of a row of one's own table, and back, with the pictures that their turns show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from vesalius.cases.case import Answer, Question, Source
from vesalius.cases.picture import Picture
from vesalius.data.conversations import PLACEHOLDER, Chat, chat_in, is_chat, without_marks
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.record import Record, answer_text, id_of, text_of
from vesalius.data.reading.rows import Cell, Row, listed, text_in
from vesalius.data.reading.stored import name_or_cell
from vesalius.errors import DatasetError

QUESTION = ("id", "question", "text", "answer", "answers", "category", "kind", "options",
            "language", "image", "images", "system")  # fmt: skip
"""The keys of a question in ``questions``."""
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
    record: Record, album: Album, where: Source, pictures: Pictures, own: int
) -> tuple[tuple[Question, ...], Pictures]:
    """A row's questions, and the case's pictures, those that only a question names behind others.

    The first ``own`` of ``pictures`` are those of the row itself. Each question says by place which
    pictures are first shown with it.
    """
    if is_chat(record):
        return _conversation(record, album, where, pictures, own)
    several = listed(record.get("questions"), "questions", where)
    if several is not None:
        questions = []
        for at, one in enumerate(several):
            each = record.part(one, "questions", where, QUESTION)
            new = pictures_in(each, album, where)
            places = range(len(pictures), len(pictures) + len(new))
            pictures += new
            question = _question(each, where, at, (len(new), len(pictures)))
            questions.append(replace(question, shows=tuple(places)))
        return tuple(questions), pictures
    text = record.peek("question")
    if text is None or (text == "" and text_in(record, "caption")):
        return (), pictures  # a caption's row in a table that also asks
    return (_question(record, where, None, (own,)),), pictures


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
        "system": question.system,
    }
    shows = image_fields([images[place] for place in question.shows]) if question.shows else {}
    return {name: value for name, value in row.items() if value is not None} | shows


def image_fields(images: Sequence[str]) -> dict[str, Any]:
    """Paths as the field that :func:`pictures_in` reads."""
    return {"image": images[0]} if len(images) == 1 else {"images": list(images)}


def _question(record: Record, where: Source, at: int | None, shown: tuple[int, ...]) -> Question:
    """A question; ``shown``: how many marks it may have, one for each of its or of all pictures."""
    kind = (text_of(record, where, "kind") or "").lower() or None
    if kind not in (None, "open", "closed"):
        raise DatasetError("kind is open or closed", where=where)
    options = listed(record.get("options"), "options", where)
    text, marks = without_marks(_text(record, where))
    if marks and marks not in shown:
        raise _disagreeing(marks, shown[-1], where)
    return Question(
        text=text,
        id=id_of(record, where, "id") or (str(where.row) if at is None else f"{at + 1}"),
        answers=_answers(record, where),
        category=text_of(record, where, "category"),
        kind=kind,  # type: ignore[arg-type]
        options=None if options is None else tuple(answer_text(record, one) for one in options),
        language=text_of(record, where, "language") or "en",
        system=text_of(record, where, "system") if at is not None else None,
    )


def _text(record: Record, where: Source) -> str:
    return text_of(record, where, "question") or text_of(record, where, "text") or ""


def _answers(record: Record, where: Source) -> tuple[Answer, ...]:
    """All answers that ``answers`` lists, else the one in ``answer``."""
    given = listed(record.get("answers"), "answers", where)
    if given is None:
        value = record.peek("answer")
        if isinstance(value, bool):
            record.get("answer")
            return (Answer(text=answer_text(record, value)),)
        text = text_of(record, where, "answer")
        return () if text is None else (Answer(text=text),)
    if any(isinstance(one, list | dict) for one in given):
        hint = "answers is a list of texts"
        raise DatasetError("an answer is no text", where=where, hint=hint)
    return tuple(Answer(text=answer_text(record, one)) for one in given if one is not None)


def _disagreeing(marks: int, pictures: int, where: Source) -> DatasetError:
    fault = f"{marks} {PLACEHOLDER} in the turns for {pictures} pictures"
    return DatasetError(fault, where=where, hint="one where each picture is shown")


def _conversation(
    record: Record, album: Album, where: Source, pictures: Pictures, own: int
) -> tuple[tuple[Question, ...], Pictures]:
    """A chat's questions. Marks show the row's pictures in order, each in its turn.

    Without any they stand in the first turn. A picture that a turn itself names is shown there,
    whether or not the row names it too. What an earlier row of the image showed is not shown again.
    """
    chat = chat_in(record, where)
    places, every = _places(chat, album, where, pictures)
    free = [place for place in range(own) if not any(place in some for some in places)]
    marks = sum(some.count(None) for some in places)
    if marks and marks != len(free):
        raise _disagreeing(marks, len(free), where)
    later_row = len(pictures) > own
    shows = _first_shows(places, iter(free), set(range(len(pictures))) if later_row else set())
    if not any(places[1:]) and not marks < sum(map(len, places)):
        shows = [()] * len(places)
    name = id_of(record, where, "id") or where.row
    questions = tuple(
        Question(
            text=one.question.text,
            id=f"{name}.{number}",
            answers=() if one.reply is None else (Answer(text=one.reply),),
            shows=new,
            system=chat.system,
        )
        for number, (one, new) in enumerate(zip(chat.exchanges, shows, strict=True), start=1)
    )
    return questions, every


def _places(
    chat: Chat, album: Album, where: Source, pictures: Pictures
) -> tuple[list[list[int | None]], Pictures]:
    """For each exchange the places of the pictures that it names, None for marks; all pictures."""
    known = {picture.key: place for place, picture in enumerate(pictures)}
    places = []
    for one in chat.exchanges:
        several: list[int | None] = []
        for name in one.question.pictures:
            picture = None if name is None else _picture(name, album, where)
            if picture is not None and picture.key not in known:
                known[picture.key] = len(pictures)
                pictures += (picture,)
            several.append(None if picture is None else known[picture.key])
        places.append(several)
    return places, pictures


def _first_shows(
    places: Sequence[Sequence[int | None]], free: Iterator[int], seen: set[int]
) -> list[tuple[int, ...]]:
    """For each exchange the places that it is the first to show; marks take the ``free`` ones."""
    shows = []
    for some in places:
        taken = dict.fromkeys(next(free) if place is None else place for place in some)
        shows.append(tuple(place for place in taken if place not in seen))
        seen |= set(taken)
    return shows
