"""Conversations: made, listed, read and deleted; ``turns`` asks and answers in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import ColumnElement, delete, exists, select, tuple_
from sqlalchemy.orm import Session

from vesalius.cases.view import View
from vesalius.errors import Refusal
from vesalius.service.store.records import (
    Conversation,
    Feedback,
    ImageState,
    Page,
    Transcript,
    Turn,
    TurnState,
    Verdict,
    is_id,
    new_id,
)
from vesalius.service.store.state import State, not_found
from vesalius.service.store.tables import ConversationRow, FeedbackRow, ImageRow, StudyRow, TurnRow

TITLE = 80  # characters of the first question that name a conversation
_CURSOR = "%Y%m%dT%H%M%S.%f"


class Conversations(State):
    """Conversations of owners; one's own only, whatever is asked for."""

    def new_conversation(self, owner: str, *, title: str | None = None) -> Conversation:
        """An empty conversation; without a title the first question gives it one."""
        with self._db.write() as session:
            return _conversation(start(session, owner, title or "", self._now()))

    def conversations(
        self, owner: str, *, limit: int = 20, before: str | None = None, search: str = ""
    ) -> Page:
        """The owner's conversations, newest first; ``before`` is the last page's ``next``.

        ``search``: those whose title, a question or an answer has these words in it; capitals do
        not matter (in SQLite those of ASCII). Refusal ``invalid_cursor`` for any other ``before``.
        """
        newest = select(ConversationRow).where(ConversationRow.owner == owner)
        if search:
            newest = newest.where(_has(search))
        if before is not None:
            place = tuple_(ConversationRow.created_at, ConversationRow.id)
            newest = newest.where(place < tuple_(*place_of(before, "cnv_")))
        order = ConversationRow.created_at.desc(), ConversationRow.id.desc()
        with self._db.read() as session:
            rows = session.scalars(newest.order_by(*order).limit(limit + 1)).all()
            page = rows[:limit]
            pictures = _first_pictures(session, [row.id for row in page])
        now = self._now()
        records = (_conversation(row, pictures.get(row.id), now) for row in page)
        return Page(tuple(records), cursor_of(page[-1]) if len(rows) > limit and page else None)

    def rename_conversation(self, owner: str, conversation_id: str, title: str) -> Conversation:
        """Give a conversation another title; that is no question, so it goes no later."""
        with self._db.write() as session:
            row = owned(session, owner, conversation_id, lock=True)
            row.title = title
            session.flush()
            return _conversation(row)

    def conversation(self, owner: str, conversation_id: str) -> Transcript:
        """A conversation with all its turns; Refusal ``not_found``."""
        with self._db.read() as session:
            row = owned(session, owner, conversation_id)
            query = select(TurnRow).where(TurnRow.conversation_id == row.id)
            turns = session.scalars(query.order_by(TurnRow.position)).all()
            first = _first_pictures(session, [row.id]).get(row.id)
            record = _conversation(row, first, self._now())
            return Transcript(record, read_turns(session, turns, self._now()))

    def delete_conversation(self, owner: str, conversation_id: str) -> None:
        """Remove a conversation with its questions, answers and feedback, for good.

        SQLite overwrites what is deleted and its log is emptied. PostgreSQL keeps dead rows until
        its next vacuum.
        """
        with self._db.write() as session:
            owned(session, owner, conversation_id)
            session.execute(delete(ConversationRow).where(ConversationRow.id == conversation_id))
        self._db.forget()

    def delete_conversations(self, owner: str) -> list[str]:
        """Remove all conversations of an owner, as one is removed; their ids."""
        with self._db.write() as session:
            mine = delete(ConversationRow).where(ConversationRow.owner == owner)
            ids = session.scalars(mine.returning(ConversationRow.id)).all()
        self._db.forget()
        return list(ids)


def start(session: Session, owner: str, title: str, now: datetime) -> ConversationRow:
    """A new conversation's row."""
    row = ConversationRow(
        id=new_id("cnv_"), owner=owner, title=title, turns=0, created_at=now, updated_at=now
    )
    session.add(row)
    session.flush()
    return row


def owned(
    session: Session, owner: str, conversation_id: str, *, lock: bool = False
) -> ConversationRow:
    """The owner's conversation, locked against other writers if asked; Refusal ``not_found``."""
    if is_id("cnv_", conversation_id):
        row = session.get(ConversationRow, conversation_id, with_for_update=lock or None)
        if row is not None and row.owner == owner:
            return row
    raise not_found("conversation")


def title_of(question: str) -> str:
    """A title from a question: one line, cut at a word where it is long."""
    line = " ".join(question.split())
    if len(line) <= TITLE:
        return line
    cut = line[:TITLE]
    return (cut.rsplit(" ", 1)[0] if " " in cut[TITLE // 2 :] else cut[:-1]) + "…"


def read_turns(session: Session, rows: Sequence[TurnRow], now: datetime) -> tuple[Turn, ...]:
    """Turns with their feedback and the state of their pictures now, two queries for all."""
    opinions = select(FeedbackRow).where(FeedbackRow.answer_id.in_([r.answer_id for r in rows]))
    given = {row.answer_id: feedback_of(row) for row in session.scalars(opinions)}
    states = _image_states(session, {r.image_id for r in rows if r.image_id}, now)
    return tuple(_turn(row, given.get(row.answer_id), states) for row in rows)


def feedback_of(row: FeedbackRow) -> Feedback:
    """The record of a feedback row."""
    verdict = cast("Verdict", row.verdict)
    return Feedback(row.answer_id, verdict, row.reason, row.comment, row.created_at)


def _image_states(session: Session, ids: Iterable[str], now: datetime) -> dict[str, ImageState]:
    known = session.scalars(select(ImageRow).where(ImageRow.id.in_(list(ids))))
    return {row.id: _image_state(row, now) for row in known}


def _turn(row: TurnRow, feedback: Feedback | None, states: dict[str, ImageState]) -> Turn:
    return Turn(
        answer_id=row.answer_id,
        conversation_id=row.conversation_id,
        position=row.position,
        question=row.question,
        image_id=row.image_id,
        image_state=states.get(row.image_id, "deleted") if row.image_id else None,
        view=View(row.frame, None if row.window is None else (row.window[0], row.window[1])),
        state=cast("TurnState", row.state),
        created_at=row.created_at,
        images=tuple(row.images or ()),
        answer=row.answer,
        content=row.content,
        confidence=row.confidence,
        abstained=row.abstained,
        scores=row.scores,
        evidence=None if row.evidence is None else tuple(row.evidence),
        assessment=row.assessment,
        provenance=row.provenance,
        usage=row.usage,
        timing=row.timing,
        finish=row.finish,
        error=row.error,
        replaced_by=row.replaced_by,
        finished_at=row.finished_at,
        feedback=feedback,
    )


def _has(words: str) -> ColumnElement[bool]:
    """Whether a conversation says these words somewhere."""
    turns = TurnRow.conversation_id == ConversationRow.id
    words_in = TurnRow.question.icontains(words, autoescape=True) | TurnRow.answer.icontains(
        words, autoescape=True
    )
    titled = ConversationRow.title.icontains(words, autoescape=True)
    return titled | exists().where(turns, words_in)


FirstPicture = tuple[str, ImageRow | None]


def _first_pictures(session: Session, ids: Sequence[str]) -> dict[str, FirstPicture]:
    """By conversation, the picture of its first question; one query for a page."""
    query = select(TurnRow.conversation_id, TurnRow.image_id, ImageRow)
    query = query.outerjoin(ImageRow, ImageRow.id == TurnRow.image_id)
    first = TurnRow.conversation_id.in_(ids), TurnRow.position == 0, TurnRow.image_id.is_not(None)
    rows = session.execute(query.where(*first)).tuples().all()
    return {conversation: (image_id or "", image) for conversation, image_id, image in rows}


def _conversation(
    row: ConversationRow, first: FirstPicture | None = None, now: datetime | None = None
) -> Conversation:
    facts = row.id, row.title, row.turns, row.created_at, row.updated_at
    if first is None:
        return Conversation(*facts)
    image_id, image = first
    if image is None:
        return Conversation(*facts, image_id, "deleted")
    return Conversation(*facts, image_id, _image_state(image, now), image.modality)


def _image_state(row: ImageRow, now: datetime | None) -> ImageState:
    over = now is not None and row.expires_at <= now  # expired, too, before a sweep comes by
    state = ("expired" if over else "stored") if row.sha256 else row.state
    return cast("ImageState", state)


def cursor_of(row: ConversationRow | ImageRow | StudyRow) -> str:
    """The place behind a row in a list, newest first."""
    return f"{row.created_at.astimezone(UTC):{_CURSOR}}~{row.id}"


def place_of(cursor: str, prefix: str) -> tuple[datetime, str]:
    """The time and id that a cursor names; Refusal ``invalid_cursor``."""
    when, _, row_id = cursor.partition("~")
    if is_id(prefix, row_id):
        with suppress(ValueError):
            return datetime.strptime(when, _CURSOR).replace(tzinfo=UTC), row_id
    raise Refusal(
        "invalid_cursor",
        "this is no place in the list",
        hint="use the cursor that the page before gave",
    )
