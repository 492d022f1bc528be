"""Boxes as text, in the convention of a model's family, and text as boxes.

Sources: Qwen2.5-VL and Qwen3-VL cookbooks (``bbox_2d``, in pixels of the resized picture and from 0
to 1000); PaliGemma's model card (four location tokens in the order y, x, y, x, then the label).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vesalius.cases.case import Answer, Box
from vesalius.cases.picture import Picture
from vesalius.cases.tasks import Content
from vesalius.errors import DatasetError, ModelError
from vesalius.settings import Frozen

NONE = "none"
"""How a list that has no brackets says that it is empty."""
Size = tuple[int, int]
Pair = tuple[float, float]
_FENCED = re.compile(r"\s*```(?:json)?(.*?)(?:```\s*)?", re.DOTALL)
_LOCATION = re.compile(r"<loc(\d{4})>")
_LOCATED = re.compile(r"\s*(?:<loc\d{4}>\s*){4}(?P<label>[^<\s][^<]*?)\s*")


class BoxConvention(Frozen):
    """How a family writes boxes; by default ``[{"box": [x1, y1, x2, y2], "label": "..."}]``."""

    style: Literal["json", "tokens"] = "json"
    """``tokens``: ``<loc0123>`` four times, then the label; boxes parted by ``;``."""
    key: str = "box"
    """The key of the corners in JSON, beside ``label``."""
    scale: int | None = 1
    """What a picture's width and height count as; null: pixels of the picture as the model's
    processor resizes it."""
    digits: int = 3
    """Decimals of a coordinate."""
    order: Literal["xyxy", "yxyx"] = "xyxy"


@dataclass(frozen=True, slots=True)
class BoxCodec:
    """Boxes in a convention; outlines and scores are not written.

    ``resized``: the size (width, height) in which the model sees a picture of a size, for a
    convention that counts in those pixels; without it, the picture's own.
    """

    convention: BoxConvention
    resized: Callable[[Size], Size] | None = None
    name: Content = "boxes"

    def encode(self, answer: Answer, picture: Picture | None) -> str:
        """The boxes in their order; ModelError where one cannot be written."""
        if picture is None:
            raise ModelError("boxes lie in a picture, and there is none")
        size, boxes = picture.size(), answer.boxes or ()
        corners = [self._corners(box, size) for box in boxes]
        labels = [box.label for box in boxes]
        if self.convention.style == "json":
            rows = zip(corners, labels, strict=True)
            named = [{self.convention.key: four, "label": label} for four, label in rows]
            return json.dumps(named, ensure_ascii=False)
        parts = [_located(four, label) for four, label in zip(corners, labels, strict=True)]
        return " ; ".join(parts) or NONE

    def decode(self, text: str, picture: Picture | None) -> Answer:
        """The boxes in pixels of the picture as decoded, cut at its edges; the text stays.

        One box that cannot be read, or that is empty, leaves the text alone.
        """
        if picture is None:
            return Answer(text=text)
        read, size = self._read_json if self.convention.style == "json" else _locations, None
        try:
            rows = list(read(text))
            size = picture.size()
            boxes = tuple(self._box(corners, label, size) for corners, label in rows)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, DatasetError):
            return Answer(text=text)
        return Answer(text=text, boxes=boxes)

    def holds(self, answer: Answer) -> bool:
        """Whether it has boxes, be it none."""
        return answer.boxes is not None

    def is_own(self, token: str) -> bool:
        """A location token is, in the convention that has them."""
        return self.convention.style == "tokens" and _LOCATION.fullmatch(token) is not None

    def _units(self, size: Size) -> Pair:
        """What the picture's width and height count as."""
        scale = self.convention.scale
        if scale is not None:
            return scale, scale
        return size if self.resized is None else self.resized(size)

    def _corners(self, box: Box, size: Size) -> list[float]:
        """Two corners in the convention's units and order, at least a step apart."""
        units = self._units(size)
        across = self._ends((box.x, box.x + box.width), size[0], units[0])
        down = self._ends((box.y, box.y + box.height), size[1], units[1])
        first, second = (across, down) if self.convention.order == "xyxy" else (down, across)
        return [first[0], second[0], first[1], second[1]]

    def _ends(self, ends: Pair, length: int, units: float) -> Pair:
        """A box's two ends along one side of the picture, in the convention's units."""
        low, high = max(ends[0], 0.0) / length, min(ends[1], length) / length
        if not low < high:
            raise ModelError("a box lies outside of its picture")
        digits = self.convention.digits
        step = 1 if digits == 0 else 10.0**-digits
        if self.convention.style == "tokens":  # bins, counted from 0
            most = units - 1
            first, second = (min(math.floor(end * units), most) for end in (low, high))
        else:
            most = units
            first, second = (_round(end * units, digits) for end in (low, high))
        first = min(first, most - step)
        return _round(first, digits), _round(max(second, first + step), digits)

    def _box(self, corners: Sequence[Any], label: Any, size: Size) -> Box:
        """A box in pixels from its corners as they are written."""
        if isinstance(corners, str) or any(isinstance(end, bool | str) for end in corners):
            raise TypeError("corners are numbers")
        first, second, third, fourth = map(float, corners)
        if not (isinstance(label, str) and label.strip()):
            raise TypeError("a label is a text")
        if not all(map(math.isfinite, (first, second, third, fourth))):
            raise ValueError("corners are finite")
        ends = ((first, third), (second, fourth))
        across, down = ends if self.convention.order == "xyxy" else ends[::-1]
        units = self._units(size)
        left, right = (min(max(end / units[0], 0.0), 1.0) * size[0] for end in across)
        top, bottom = (min(max(end / units[1], 0.0), 1.0) * size[1] for end in down)
        return Box(left, top, right - left, bottom - top, label.strip())

    def _read_json(self, text: str) -> Iterator[tuple[Any, Any]]:
        fenced = _FENCED.fullmatch(text)
        rows = json.loads(text if fenced is None else fenced[1])
        for row in [rows] if isinstance(rows, dict) else rows:
            yield row[self.convention.key], row["label"]


def _located(corners: Sequence[float], label: str) -> str:
    if label in {"", NONE} or _LOCATED.fullmatch(f"{'<loc0000>' * 4}{label}") is None:
        raise ModelError(f"the label {label!r} cannot stand behind location tokens")
    if ";" in label:
        raise ModelError(f"the label {label!r} cannot stand in a list parted by ;")
    return "".join(f"<loc{int(end):04}>" for end in corners) + f" {label}"


def _locations(text: str) -> Iterator[tuple[Any, Any]]:
    if text.strip() == NONE:
        return
    for part in text.split(";"):
        located = _LOCATED.fullmatch(part)
        if located is None:
            raise ValueError("four location tokens and a label make a box")
        yield [int(end) for end in _LOCATION.findall(part)], located["label"]


def _round(number: float, digits: int) -> float:
    return round(number) if digits == 0 else round(number, digits)
