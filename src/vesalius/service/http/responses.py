"""From what is stored to what is told: turns and conversations as the wire has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vesalius.service.http.schemas import (
    AnswerOut,
    BoxOut,
    ConversationOut,
    ConversationWhole,
    MemberOut,
    NeighbourOut,
    ReasonOut,
    TurnOut,
    Window,
)
from vesalius.service.store.records import Conversation, Transcript, Turn

IMAGE_STATES = {"stored": "kept", "expired": "expired", "lost": "expired", "deleted": "deleted"}


def answer(turn: Turn, thumbnails: bool) -> AnswerOut:
    """A finished turn as the answer to the question that was asked."""
    return AnswerOut(answer=turn.answer or "", **_shared(turn, thumbnails))


def turn_out(turn: Turn, thumbnails: bool) -> TurnOut:
    """A turn as a conversation shows it."""
    feedback = turn.feedback
    return TurnOut(
        **_shared(turn, thumbnails) | {"provenance": turn.provenance},
        answer=turn.answer,
        state=turn.state,
        error=turn.error,
        image_state=None if turn.image_state is None else IMAGE_STATES[turn.image_state],
        feedback=None
        if feedback is None
        else {"verdict": feedback.verdict, "reason": feedback.reason, "comment": feedback.comment},
        created_at=turn.created_at,
    )


def conversation(record: Conversation) -> ConversationOut:
    """A conversation as a list shows it."""
    return ConversationOut(**_heading(record))


def transcript(record: Transcript, thumbnails: bool) -> ConversationWhole:
    """A conversation with its turns."""
    turns = [turn_out(turn, thumbnails) for turn in record.turns]
    return ConversationWhole(**_heading(record.conversation), messages=turns)


def _heading(record: Conversation) -> dict[str, Any]:
    return {
        "conversation_id": record.id,
        "title": record.title or None,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "turns": record.turns,
    }


def _shared(turn: Turn, thumbnails: bool) -> dict[str, Any]:
    return {
        "question": turn.question,
        "answer_id": turn.answer_id,
        "conversation_id": turn.conversation_id,
        "image_id": turn.image_id,
        "frame": turn.view.frame,
        "window": Window.of(turn.view),
        "confidence": turn.confidence,
        "abstained": turn.abstained,
        "finish": turn.finish,
        **support(turn.content, turn.scores, turn.evidence, thumbnails),
        "provenance": turn.provenance or {"model": "unknown"},
        "usage": turn.usage or {},
        "timing": turn.timing or None,
    }


def support(
    content: Mapping[str, Any] | None,
    scores: Mapping[str, float] | None,
    evidence: Sequence[Mapping[str, Any]] | None,
    thumbnails: bool,
) -> dict[str, Any]:
    """What an answer marks and names, and its evidence by kind: the fields of a row tell it."""
    neighbours, members, reasons = [], [], []
    for row in evidence or ():
        if "member" in row:
            text = row["answer"].get("text") or ""
            members.append(MemberOut(**dict(row) | _content(row["answer"]) | {"answer": text}))
        elif "judge" in row:
            reasons.append(ReasonOut(**row))
        else:
            small = thumbnails and row.get("picture") is not None
            neighbours.append(NeighbourOut(**row, thumbnail=small))
    return {
        **_content(content or {}),
        "scores": scores and {k: v for k, v in scores.items() if v is not None},
        "neighbours": neighbours,
        "members": members,
        "reasons": reasons,
    }


def _content(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer's boxes and concepts, from the answer as JSON."""
    boxes = answer.get("boxes")
    return {
        "boxes": None if boxes is None else [BoxOut(**box) for box in boxes],
        "concepts": answer.get("concepts"),
    }
