"""From what is stored to what is told: turns and conversations as the wire has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vesalius.service.chat import studies
from vesalius.service.http.answer_schemas import (
    AnswerOut,
    BoxOut,
    ConversationOut,
    ConversationWhole,
    MemberOut,
    NeighbourOut,
    ReasonOut,
    TurnOut,
)
from vesalius.service.http.schemas import Window
from vesalius.service.http.study_schemas import SeriesOut, StudyOut
from vesalius.service.store.records import Conversation, Study, Transcript, Turn

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
        replaced_by=turn.replaced_by,
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


def _image_ids(turn: Turn) -> list[str]:
    """All pictures that a turn showed, in order."""
    return list(turn.images) or ([] if turn.image_id is None else [turn.image_id])


def study(record: Study) -> StudyOut:
    """A study with its series in order; Refusal ``two_patients``."""
    whole = studies.arranged(record.images, record.current)
    warnings = list(whole.warnings)
    if record.repeats:
        warnings.append(f"{record.repeats} of {record.files} pictures were named before, or equal")
    gone = record.files - record.repeats - len(record.images)
    if record.images and gone:
        warnings.append(f"{gone} of {record.files} pictures are no longer kept")
    return StudyOut(
        study_id=record.id,
        files=record.files,
        image_ids=[image.id for one in whole.series for image in one.images],
        series=[_series(one) for one in whole.series],
        warnings=warnings,
        created_at=record.created_at,
        expires_at=record.expires_at,
    )


def _series(one: studies.Series) -> SeriesOut:
    return SeriesOut(
        image_ids=[image.id for image in one.images],
        modality=one.images[0].modality,
        role=one.role,
        days=one.days,
        warnings=list(one.warnings),
    )


def _heading(record: Conversation) -> dict[str, Any]:
    return {
        "conversation_id": record.id,
        "title": record.title or None,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "turns": record.turns,
        "image_id": record.image_id,
        "image_state": None if record.image_state is None else IMAGE_STATES[record.image_state],
        "modality": record.modality,
    }


def _shared(turn: Turn, thumbnails: bool) -> dict[str, Any]:
    return {
        "question": turn.question,
        "answer_id": turn.answer_id,
        "conversation_id": turn.conversation_id,
        "image_id": turn.image_id,
        "image_ids": _image_ids(turn),
        "frame": turn.view.frame,
        "window": Window.of(turn.view),
        "confidence": turn.confidence,
        "abstained": turn.abstained,
        "finish": turn.finish,
        **support(turn.content, turn.scores, turn.evidence, thumbnails),
        "assessment": turn.assessment,
        "empty": turn.state == "done" and says_nothing(turn.answer, turn.content),
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


def says_nothing(text: str | None, content: Mapping[str, Any] | None) -> bool:
    """Whether an answer has no words, and marks and names nothing: not even that there is none."""
    marks = (content or {}).get("boxes"), (content or {}).get("concepts")
    return not (text or "").strip() and marks == (None, None)


def _content(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer's boxes and concepts, from the answer as JSON."""
    boxes = answer.get("boxes")
    return {
        "boxes": None if boxes is None else [BoxOut(**box) for box in boxes],
        "concepts": answer.get("concepts"),
    }
