"""Answers and conversations over the wire: what was said, what it rests on, what made it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vesalius.service.http.schemas import DISCLAIMER, Window

Point = Annotated[list[float], Field(min_length=2, max_length=2)]


class ConfidenceOut(BaseModel):
    """How sure the model is, in [0, 1], and how that number was made."""

    method: str
    value: float


class AssessmentOut(BaseModel):
    """What an answer is worth, by the run's own validation; null where that is not known."""

    chance: float | None = Field(
        default=None, description="That it is right, in [0, 1], from its confidence."
    )
    basis: str | None = Field(default=None, description="How that was measured.")
    nearest: float | None = Field(
        default=None, description="Similarity to the nearest training picture."
    )
    usual: float | None = Field(
        default=None, description="What 99 of 100 validation pictures reach."
    )
    unlike: bool = Field(
        default=False, description="True: the picture is unlike anything that was trained on."
    )


class NeighbourOut(BaseModel):
    """A similar training case: cosine similarity of the pictures, and what was said of it."""

    case: str
    similarity: float
    text: str | None = None
    picture: str | None = None
    thumbnail: bool = Field(default=False, description="Whether /neighbours/{picture} shows it.")


class BoxOut(BaseModel):
    """A labelled rectangle, in pixels of the view that was asked about (``GET /images/...``)."""

    x: float = Field(description="Its left edge.")
    y: float = Field(description="Its upper edge.")
    width: float
    height: float
    label: str
    polygon: list[Point] | None = Field(
        default=None, description="The outline as (x, y) pairs, where there is one."
    )
    score: float | None = Field(default=None, description="How sure the model is of this one.")


class Content(BaseModel):
    """What an answer marks and names beside its words. Null: it says nothing of it; []: none."""

    boxes: list[BoxOut] | None = None
    concepts: list[str] | None = None


class MemberOut(Content):
    """What one member of a combination answered: who said what."""

    member: str
    answer: str
    confidence: ConfidenceOut | None = None
    abstained: bool = False


class ReasonOut(BaseModel):
    """A judge's reason for what it decided, with its score if it gave one."""

    judge: str
    text: str
    score: float | None = None


class Support(Content):
    """What an answer says beside its words, and what it rests on."""

    scores: dict[str, float] | None = Field(
        default=None, description="Probability by label, where the model has a closed set of them."
    )
    neighbours: list[NeighbourOut] = []
    members: list[MemberOut] = []
    reasons: list[ReasonOut] = []
    assessment: AssessmentOut | None = None
    empty: bool = Field(
        default=False, description="True: the model answered with nothing, not with 'none'."
    )


class UsageOut(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int = 0
    image_tokens: int = 0
    new_tokens: int = 0


class TimingOut(BaseModel):
    """Seconds: until the first piece of the answer, and until its end."""

    first: float | None = None
    total: float


class Provenance(BaseModel):
    """What made an answer: enough to make it again."""

    model_config = ConfigDict(extra="allow")

    model: str
    revision: str | None = None
    weights_sha256: str | None = None
    adapter_sha256: str | None = None
    recipe: str | None = None
    preprocessing: str | None = None
    decoding: dict[str, Any] = Field(default_factory=dict)
    software: dict[str, Any] = Field(default_factory=dict)


class AnswerOut(Support):
    """An answer."""

    question: str
    answer: str
    answer_id: str
    conversation_id: str
    image_id: str | None
    image_ids: list[str] = Field(default=[], description="All that were shown, in order.")
    frame: int | None = None
    window: Window | None = None
    confidence: ConfidenceOut | None
    abstained: bool = Field(description="True: too unsure by the set threshold. Do not rely on it.")
    finish: str | None = Field(description="stop, or length: cut at the token limit.")
    disclaimer: str = DISCLAIMER
    provenance: Provenance
    usage: UsageOut
    timing: TimingOut | None


class TurnOut(Support):
    """A question of a conversation, with its answer if it has one."""

    answer_id: str
    conversation_id: str
    question: str
    answer: str | None
    state: Literal["pending", "done", "failed", "cancelled", "interrupted"]
    error: str | None = Field(default=None, description="A code, where it failed.")
    image_id: str | None
    image_ids: list[str] = Field(default=[], description="All that were shown, in order.")
    image_state: Literal["kept", "expired", "deleted"] | None = None
    frame: int | None = None
    window: Window | None = None
    confidence: ConfidenceOut | None = None
    abstained: bool = False
    finish: str | None = None
    provenance: dict[str, Any] | None = None
    usage: UsageOut | None = None
    timing: TimingOut | None = None
    replaced_by: str | None = Field(
        default=None, description="The answer to the question as it was asked again."
    )
    feedback: dict[str, Any] | None = None
    created_at: datetime


class ConversationOut(BaseModel):
    """A conversation without its turns."""

    conversation_id: str
    title: str | None
    created_at: datetime
    updated_at: datetime
    turns: int
    image_id: str | None = Field(default=None, description="The first question's picture.")
    image_state: Literal["kept", "expired", "deleted"] | None = None
    modality: str | None = None


class ConversationWhole(ConversationOut):
    """A conversation with its turns, first to last."""

    messages: list[TurnOut]
    disclaimer: str = DISCLAIMER


class ConversationPage(BaseModel):
    """Newest first; ``next`` is the cursor of the following page."""

    conversations: list[ConversationOut]
    next: str | None
