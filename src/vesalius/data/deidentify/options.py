"""What a de-identification may be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from vesalius.settings import Frozen

PixelClass = Literal["label", "overview", "screen", "document", "film", "face"]
"""Classes of pictures that show who they are of (policy.yaml: ``shows``)."""


class Options(Frozen):
    """How files are de-identified; the defaults are the Basic Profile, the strictest choice."""

    retain_uids: bool = False
    """Keep instance, series and study UIDs (113110). Whoever has the originals can match them."""
    dates: Literal["remove", "shift"] = "remove"
    """Empty or remove dates and times, or move a patient's by a secret number of days (113107)."""
    retain_device: bool = False
    """Keep serial numbers and station names (113109)."""
    retain_characteristics: bool = False
    """Keep the patient's age (at most 90), sex, size and weight (113108)."""
    keep_reports: bool = False
    """Clean structured reports, not refuse them: codes and numbers stay, text goes (113104)."""
    clean_pixels: bool = False
    """Find text burned into the pixels and black it out (113101); needs the extra ``ocr``."""
    allow: tuple[PixelClass, ...] = ()
    """Pictures that show who they are of to let through, by class; the others are refused."""
    verify: bool = True
    """Look into each output with a second reader for anything left."""
    max_bytes: int = Field(default=2**30, ge=1024)
    """Larger files, and archive members, are refused: a file is in memory while it is worked on."""

    @field_validator("allow")
    @classmethod
    def _each_once(cls, allow: tuple[PixelClass, ...]) -> tuple[PixelClass, ...]:
        return tuple(sorted(set(allow)))
