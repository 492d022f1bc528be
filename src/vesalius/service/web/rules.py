"""What the service says of itself: what answers, and by which rules."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Policy(BaseModel):
    """What the service does with pictures and words, as ``/version`` says."""

    model_config = ConfigDict(extra="ignore")

    text_in_dicom: str = "flag"
    text_in_pictures: str = "off"
    mask: bool = False
    review: bool = False
    abstain_below: float | None = None
    image_hours: float = 24
    text_days: float = 30
    max_body: int = 20 * 2**20
    max_question: int = 2000
    max_pictures: int = 1
    formats: list[str] = Field(default_factory=list)


class Version(BaseModel):
    """What answers, and by which rules."""

    model_config = ConfigDict(extra="allow")

    version: str = ""
    model: Any = None
    policy: Policy = Policy()

    @property
    def most_pictures(self) -> int:
        """Pictures that a question may show, by the rules and by what the model looks at."""
        own = self.model.get("most_pictures") if isinstance(self.model, dict) else None
        return min(own or self.policy.max_pictures, self.policy.max_pictures)
