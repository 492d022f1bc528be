"""What goes over the wire: requests with their limits, responses with their fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vesalius.cases.view import View
from vesalius.service.nulls import NullIsAbsent

DISCLAIMER = "For research use only. Not a medical device. A model wrote this and may be wrong."

Identifier = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9_-]+$")]
Frame = Annotated[int, Field(ge=0, lt=2**31, description="Counted from 0.")]
Level = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
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


class DisplayOut(BaseModel):
    """What a viewer writes beside a DICOM picture; null where its header does not say."""

    window: Window | None = Field(description="Of the file's own view; null in colour.")
    sides: tuple[str, str, str, str] | None = Field(
        description="Letters at the left, right, upper and lower edge, of R L A P H F."
    )
    spacing: tuple[float, float] | None = Field(
        description="Millimetres from pixel to pixel in the patient: down, across."
    )
    rate: float | None = Field(description="Frames a second.")
    inverted: bool = Field(default=False, description="Whether high values are dark.")


class Rectangle(BaseModel):
    """A place in a picture, in pixels of its first frame; x and y are of its upper left corner."""

    x: int
    y: int
    width: int
    height: int


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
    display: DisplayOut | None = None
    text: list[Rectangle] = Field(
        default=[], description="Where writing was found and is not covered."
    )
    study_id: str | None = Field(
        default=None, description="The newest study that it stands in, where it was asked for."
    )


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
