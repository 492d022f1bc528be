"""Numbers in a DICOM header; an error names the element by tag and keyword and never quotes it."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

import pydicom
from pydicom.datadict import tag_for_keyword

from vesalius.errors import ImageError

_LONGEST = 12  # characters of an integer string (PS3.5, 6.2)


def label(name: str) -> str:
    """``NumberOfFrames (0028,0008)``."""
    tag = tag_for_keyword(name) or 0
    return f"{name} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def invalid(name: str, fault: str) -> ImageError:
    """That the element ``name`` has a fault."""
    return ImageError("dicom_invalid", f"{label(name)} {fault}")


def number(item: pydicom.Dataset, name: str) -> float | None:
    """The element's one finite number; None where it is missing or empty; ImageError."""
    try:
        value = item.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str | bytes) and hasattr(value, "__len__"):
            raise invalid(name, f"has {len(value)} values where one is due")
        parsed = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise invalid(name, "is no number") from error
    if not math.isfinite(parsed):
        raise invalid(name, "is no number")
    return parsed


def whole(item: pydicom.Dataset, name: str, allowed: Container[int]) -> int:
    """The element's one whole number, which must be there and be an allowed one; ImageError."""
    parsed = number(item, name)
    if parsed is None:
        raise invalid(name, "is missing")
    if not parsed.is_integer():
        raise invalid(name, "is no whole number")
    if int(parsed) not in allowed:
        raise invalid(name, "has a value that is not read here")
    return int(parsed)


def raw_value(item: pydicom.Dataset, name: str) -> Any:
    """The element's value without a conversion that could fail; None where it is missing."""
    element = item.get_item(name)
    return None if element is None else element.value


def frame_count(value: Any) -> int:
    """The number of frames that NumberOfFrames says; 1 where it is missing, empty or 0.

    ``value`` is the element's, parsed or as it is in the file; 3.0 are 3. Raises ImageError.
    """
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    text = text.strip(" \0")
    if not text:
        return 1
    try:
        # More characters than the representation has, and digits would be all there is to read.
        parsed = float(text) if len(text) <= _LONGEST else math.nan
    except ValueError:
        parsed = math.nan
    if not parsed.is_integer() or parsed < 0:
        raise invalid("NumberOfFrames", "is no number of frames")
    return int(parsed) or 1
