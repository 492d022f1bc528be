"""Turns: a question is written down before it is answered, so that no process dies with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Unpack

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from vesalius.cases.view import OWN_VIEW, View
from vesalius.errors import Refusal
from vesalius.service.store.audit import Entry, append
from vesalius.service.store.conversations import feedback_of, owned, read_turns, start, title_of
from vesalius.service.store.images import living
from vesalius.service.store.records import (
    AnswerPayload,
    Feedback,
    Turn,
    TurnLinks,
    Verdict,
    is_id,
    new_id,
)
from vesalius.service.store.state import State, not_found
from vesalius.service.store.tables import ConversationRow, FeedbackRow, TurnRow

_ATTEMPTS = 5  # questions that may fail for each one that may be answered


class Turns(State):
    """Questions and answers of owners."""

    def begin_turn(
        self,
        owner: str,
        conversation_id: str | None,
        image_id: str | None,
        question: str,
        *,
        view: View = OWN_VIEW,
        max_turns: int = 20,
        seconds: float = 60.0,
        **links: Unpack[TurnLinks],
    ) -> Turn:
        """Write a question down as ``pending``; without a conversation a new one is made.

        Turns that it replaces say so from now on, and no longer count.

        A conversation answers one question at a time: Refusal ``conversation_busy`` while another
        is pending. After ``seconds`` a pending one no longer counts: its process is dead. Refusal
        ``too_many_turns`` beyond ``max_turns`` answered ones, ``not_found``, ``image_expired``.
        """
        now, images, replaces = self._now(), links.get("images", ()), links.get("replaces")
        with self._db.write() as session:
            for shown in images or ([] if image_id is None else [image_id]):
                living(session, owner, shown, now)
            if conversation_id is None:
                conversation = start(session, owner, title_of(question), now)
            else:
                conversation = owned(session, owner, conversation_id, lock=True)
                interrupt(session, now, conversation_id=conversation.id)
            answer_id = new_id("ans_")
            if replaces is not None:
                _replace(session, conversation, replaces, answer_id)
            if conversation_id is not None:
                _check_room(session, conversation, max_turns)
            row = TurnRow(
                answer_id=answer_id,
                conversation_id=conversation.id,
                position=conversation.turns,
                question=question,
                image_id=image_id,
                images=list(images) or None,
                frame=view.frame,
                window=None if view.window is None else list(view.window),
                state="pending",
                created_at=now,
                deadline_at=now + timedelta(seconds=seconds),
                abstained=False,
            )
            session.add(row)
            conversation.title = conversation.title or title_of(question)
            conversation.turns += 1
            conversation.updated_at = now
            session.flush()
            return read_turns(session, [row], now)[0]

    def finish_turn(self, owner: str, answer_id: str, **payload: Unpack[AnswerPayload]) -> Turn:
        """Write the answer down; the turn is ``done``.

        A turn that was taken for dead is done all the same; one that is done, failed or cancelled
        stays as it is. The turn as it then stands; Refusal ``not_found`` if it was deleted.
        """
        return self._close(owner, answer_id, ("pending", "interrupted"), state="done", **payload)

    def fail_turn(
        self,
        owner: str,
        answer_id: str,
        code: str,
        *,
        answer: str | None = None,
        cancelled: bool = False,
    ) -> Turn:
        """Close a pending turn as ``failed`` or ``cancelled``, with what there is of an answer.

        A turn that is closed already stays as it is. The turn as it then stands; Refusal
        ``not_found`` if it was deleted.
        """
        state = "cancelled" if cancelled else "failed"
        return self._close(owner, answer_id, ("pending",), state=state, error=code, answer=answer)

    def turn(self, owner: str, answer_id: str) -> Turn:
        """The turn of an answer; Refusal ``not_found``."""
        with self._db.read() as session:
            return read_turns(session, [_turn_of(session, owner, answer_id)], self._now())[0]

    def interrupt_pending(self, *, everyone: bool = False) -> int:
        """Mark turns past their deadline as ``interrupted``: whoever was to answer them is dead.

        ``everyone`` marks all pending ones, for a start-up that knows no other process is at work.
        """
        with self._db.write() as session:
            return interrupt(session, self._now(), everyone=everyone)

    def add_feedback(
        self,
        owner: str,
        answer_id: str,
        verdict: Verdict,
        *,
        reason: str | None = None,
        comment: str | None = None,
    ) -> Feedback:
        """Keep what a person thought of an answer; the last opinion holds."""
        with self._db.write() as session:
            _turn_of(session, owner, answer_id, lock=True)
            row = FeedbackRow(
                answer_id=answer_id,
                verdict=verdict,
                reason=reason,
                comment=comment,
                created_at=self._now(),
            )
            return feedback_of(session.merge(row))

    def _close(
        self, owner: str, answer_id: str, open_states: tuple[str, ...], **values: object
    ) -> Turn:
        now = self._now()
        with self._db.write() as session:
            row = _turn_of(session, owner, answer_id, lock=True)
            if row.state in open_states:
                for name, value in values.items():
                    setattr(row, name, value)
                if row.state == "done":
                    row.error = None
                    entry = Entry("answer.given", owner, answer_id)
                else:
                    entry = Entry("answer.failed", owner, answer_id, row.error or row.state)
                append(session, now, [entry])
                row.finished_at = now
                session.flush()
                session.refresh(row)  # as it was stored: a NaN went in as null
            return read_turns(session, [row], now)[0]


def interrupt(
    session: Session, now: datetime, *, conversation_id: str | None = None, everyone: bool = False
) -> int:
    """Mark pending turns as interrupted: those past their deadline, or everyone's."""
    pending = update(TurnRow).where(TurnRow.state == "pending")
    if conversation_id is not None:
        pending = pending.where(TurnRow.conversation_id == conversation_id)
    if not everyone:
        pending = pending.where(TurnRow.deadline_at <= now)
    marked = pending.values(state="interrupted", error="interrupted", finished_at=now)
    returning = marked.returning(TurnRow.answer_id, TurnRow.conversation_id)
    rows = session.execute(returning).tuples().all()
    query = select(ConversationRow.id, ConversationRow.owner)
    query = query.where(ConversationRow.id.in_({conversation for _, conversation in rows}))
    owners = dict(session.execute(query).tuples().all()) if rows else {}
    ended = (Entry("answer.failed", owners[c], answer, "interrupted") for answer, c in rows)
    append(session, now, ended)
    return len(rows)


def _replace(session: Session, conversation: ConversationRow, replaces: str, by: str) -> None:
    """Mark a turn and those after it as asked again; Refusal ``not_found`` where it is not here."""
    row = session.get(TurnRow, replaces) if is_id("ans_", replaces) else None
    if row is None or row.conversation_id != conversation.id:
        raise not_found("answer")
    later = update(TurnRow).where(TurnRow.conversation_id == conversation.id)
    later = later.where(TurnRow.position >= row.position, TurnRow.replaced_by.is_(None))
    session.execute(later.values(replaced_by=by))


def _check_room(session: Session, conversation: ConversationRow, max_turns: int) -> None:
    """Refusal unless another question fits: none pending, few enough answered, few enough tried."""
    counts = func.count(), func.count().filter(TurnRow.replaced_by.is_(None))
    query = select(TurnRow.state, *counts).where(TurnRow.conversation_id == conversation.id)
    rows = session.execute(query.group_by(TurnRow.state)).tuples().all()
    standing = {state: left for state, _, left in rows}
    if "pending" in standing:
        raise Refusal(
            "conversation_busy",
            "the last question in this conversation is still being answered",
            retry_after=1,
            hint="wait for its answer; a question whose process died is given up at its deadline",
        )
    if standing.get("done", 0) >= max_turns or conversation.turns >= _ATTEMPTS * max_turns:
        raise Refusal(
            "too_many_turns",
            f"a conversation has at most {max_turns} questions",
            hint="start another one",
        )


def _turn_of(session: Session, owner: str, answer_id: str, *, lock: bool = False) -> TurnRow:
    known = is_id("ans_", answer_id)
    row = session.get(TurnRow, answer_id, with_for_update=lock or None) if known else None
    if row is not None:
        whose = select(ConversationRow.owner).where(ConversationRow.id == row.conversation_id)
        if session.scalar(whose) == owner:
            return row
    raise not_found("answer")
