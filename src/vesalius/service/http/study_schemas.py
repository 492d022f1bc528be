"""Studies over the wire: the request with its limits, the response with its series."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from vesalius.service.http.schemas import Identifier, RequestBody


class StudyRequest(RequestBody):
    """Pictures that belong together, or how many are to come: room to upload them into."""

    image_ids: list[Identifier] | None = Field(default=None, min_length=1)
    """Pictures that were uploaded, each once; in a form with commas."""
    files: int | None = Field(default=None, ge=1)
    """So many uploads with ``?study=`` are counted once by the rate limit, all together."""
    study_id: Identifier | None = None
    """With ``image_ids``: the study that was opened for them."""
    current: Identifier | None = None
    """With ``image_ids``: one of the current examination; default: of the last day."""

    @model_validator(mode="before")
    @classmethod
    def _with_commas(cls, content: Any) -> Any:
        several = content.get("image_ids") if isinstance(content, dict) else None
        if not isinstance(several, str):
            return content
        return content | {"image_ids": [one.strip() for one in several.split(",")]}

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.image_ids is None) == (self.files is None):
            raise ValueError("either image_ids, or files: how many are to come")
        if self.files is not None and (self.study_id or self.current):
            raise ValueError("study_id and current go with image_ids")
        if self.current is not None and self.current not in (self.image_ids or ()):
            raise ValueError("current is one of image_ids")
        return self


class SeriesOut(BaseModel):
    """Pictures of one series, in the order of their positions."""

    image_ids: list[str]
    modality: str | None
    role: Literal["prior", "current"] | None = Field(description="Null: that is not known.")
    days: int | None = Field(description="From the current examination; no date is kept.")
    warnings: list[str]


class StudyOut(BaseModel):
    """Pictures that belong together: priors first, what is current last."""

    study_id: str
    files: int = Field(description="Pictures that were named, or that are to come.")
    image_ids: list[str] = Field(description="Those that are kept, in order.")
    series: list[SeriesOut]
    warnings: list[str]
    created_at: datetime
    expires_at: datetime


class StudyPage(BaseModel):
    """Studies of which pictures are kept, newest first; ``next`` is the following page's cursor."""

    studies: list[StudyOut]
    next: str | None
