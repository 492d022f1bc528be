"""What goes over the wire: requests with their limits, responses with their fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vesalius.cases.rating import AXES, FAULTS, Fault
from vesalius.cases.view import View
from vesalius.service.nulls import NullIsAbsent

DISCLAIMER = "For research use only. Not a medical device. A model wrote this and may be wrong."

Identifier = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9_-]+$")]
Frame = Annotated[int, Field(ge=0, lt=2**31, description="Counted from 0.")]
Level = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Point = Annotated[list[float], Field(min_length=2, max_length=2)]
Width = Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e9)]


class Window(BaseModel):
    """A DICOM display window in modality units (Hounsfield for CT)."""

    model_config = ConfigDict(extra="forbid")

    centre: Level
    width: Width

    @property
    def pair(self) -> tuple[float, float]:
        """Centre and width."""
        return self.centre, self.width

    @classmethod
    def of(cls, view: View) -> Window | None:
        """The window of a view; None where it is the file's own."""
        return None if view.window is None else cls(centre=view.window[0], width=view.window[1])


def view_of(frame: int | None, window: Window | None) -> View:
    """The view that a frame and a window, as a body holds them, stand for."""
    return View(frame, None if window is None else window.pair)


class RequestBody(NullIsAbsent):
    """A request body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ViewRequest(RequestBody):
    """Which picture, and which view of it."""

    image_id: Identifier
    frame: Frame | None = None
    """Of a DICOM or TIFF with several; default: a DICOM's middle one, a TIFF's first."""
    window: Window | None = None
    """Of a DICOM; default: the file's own."""

    @property
    def view(self) -> View:
        """The view that is asked for."""
        return view_of(self.frame, self.window)


class SeveralRequest(ViewRequest):
    """Which pictures: one, or several of a study; ``image_id`` is then the one of the view."""

    image_ids: list[Identifier] | None = Field(default=None, min_length=1)
    """All that are shown, in this order, the current one last; in a form with commas."""

    @model_validator(mode="before")
    @classmethod
    def _last_is_current(cls, content: Any) -> Any:
        """``image_id`` may be left out: it is the last one then."""
        if not isinstance(content, dict):
            return content
        several = content.get("image_ids")
        if isinstance(several, str):
            several = [one.strip() for one in several.split(",")]
            content = content | {"image_ids": several}
        if several and isinstance(several, list) and content.get("image_id") is None:
            content = content | {"image_id": several[-1]}
        return content

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.image_ids is None:
            return self
        if self.image_id not in self.image_ids:
            raise ValueError("image_id is one of image_ids")
        if len(set(self.image_ids)) < len(self.image_ids):
            raise ValueError("image_ids names each picture once")
        return self

    @property
    def several(self) -> tuple[str, ...]:
        """The pictures in order, where it is more than one."""
        return tuple(self.image_ids or ()) if len(self.image_ids or ()) > 1 else ()


class AskRequest(SeveralRequest):
    """A question about an uploaded picture, or several."""

    question: str
    """1 to 2,000 characters (a setting)."""
    conversation_id: Identifier | None = None
    """Goes on with this conversation; without it a new one begins."""
    replaces: Identifier | None = None
    """The answer whose question is asked again, in other words: it and those after it stay on
    record, and the model is shown them no longer."""
    stream: bool = False
    """Answer as server-sent events: ``meta``, ``token`` ..., ``done`` or ``error``."""
    max_tokens: int | None = Field(default=None, ge=1, le=4096)
    """New tokens at most; default: as the run's recipe says."""


class CaptionRequest(SeveralRequest):
    """Describe an uploaded picture, or several."""

    conversation_id: Identifier | None = None
    stream: bool = False
    max_tokens: int | None = Field(default=None, ge=1, le=4096)


class TitleRequest(RequestBody):
    """A conversation's new title."""

    title: str = Field(min_length=1, max_length=200, pattern=r"\S")


class NewConversation(RequestBody):
    """An empty conversation."""

    title: str | None = Field(default=None, max_length=200)


class FeedbackRequest(RequestBody):
    """What a reader thinks of an answer; a later word replaces an earlier one."""

    answer_id: Identifier
    verdict: Literal["up", "down"]
    reason: (
        Literal["wrong", "incomplete", "irrelevant", "unclear", "unsafe", "helpful", "other"] | None
    ) = None
    comment: str | None = Field(default=None, max_length=2000)


Grade = Annotated[int, Field(ge=1, le=5, strict=True)]


class Grades(RequestBody):
    """What an expert thinks of an answer, from 1 (poor) to 5 (excellent); or no grade at all."""

    accuracy: Grade | None = None
    relevance: Grade | None = None
    completeness: Grade | None = None
    clarity: Grade | None = None
    helpfulness: Grade | None = None
    cannot_judge: bool = False
    errors: list[Fault] = Field(default_factory=list, max_length=len(FAULTS))
    comment: str | None = Field(default=None, max_length=2000)

    def axes(self) -> dict[str, int]:
        """The grades that are given."""
        given = {axis: getattr(self, axis) for axis in AXES}
        return {axis: grade for axis, grade in given.items() if grade is not None}


class RatingRequest(Grades):
    """An expert's rating of an answer under review: every grade, or that they cannot judge it."""

    item_id: Identifier
    seconds: float | None = Field(
        default=None, ge=0, le=86_400, description="For which they looked at it."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = self.axes()
        if self.cannot_judge and given:
            raise ValueError(f"cannot_judge, and yet {', '.join(given)}")
        if not self.cannot_judge and (missing := [axis for axis in AXES if axis not in given]):
            raise ValueError(f"{', '.join(missing)}: not rated (or cannot_judge: true)")
        return self


class ReviewItem(BaseModel):
    """An answer to rate; its picture is at ``/review/{item_id}/picture``."""

    item_id: str
    question: str
    answer: str
    rating: Grades | None = Field(default=None, description="The caller's own, given before.")


class ReviewOut(BaseModel):
    """How far the caller is in the review, and what is next."""

    total: int
    rated: int
    item: ReviewItem | None
    previous: str | None = Field(
        default=None, description="The item before it in the caller's order."
    )


class Uploaded(BaseModel):
    """A picture that was taken in."""

    image_id: str
    sha256: str = Field(description="Of the bytes that were sent.")
    width: int
    height: int
    kind: str = Field(description="png, jpeg, webp, tiff, bmp, gif or dicom, by content.")
    frames: int
    modality: str | None
    warnings: list[str]
    expires_at: datetime


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


class UploadPage(BaseModel):
    """Kept pictures, newest first; ``next`` is the cursor of the following page."""

    images: list[Uploaded]
    next: str | None


class Deleted(BaseModel):
    """How many things were deleted."""

    deleted: int


class Suggestion(BaseModel):
    """A question that the run was asked often, of its category."""

    category: str
    question: str


class CardOut(BaseModel):
    """A model card, and what answers."""

    markdown: str
    provenance: dict[str, Any]


class Problem(BaseModel):
    """RFC 9457: what is wrong (``code`` is stable), where, and what to do."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str
