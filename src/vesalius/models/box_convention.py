"""How families count the corners of boxes: scale, order and steps, there and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from vesalius.cases.case import Box
from vesalius.errors import ModelError
from vesalius.settings import Frozen

Size = tuple[int, int]
Pair = tuple[float, float]
Resized = Callable[[Size], Size]

COORDINATES = "unread_box_coordinates"
"""Not four finite numbers."""
ORDER = "unread_box_order"
"""The second corner is not right of and below the first."""
RANGE = "unread_box_range"
"""A corner outside of what the convention counts to."""
CLASS = "unread_box_class"
"""No class, or one that training did not have."""
PROSE = "unread_box_text"
"""Words where a list of boxes should stand."""


class UnreadBox(ValueError):
    """A box that is written, and none; its text is the reason's name."""


class BoxConvention(Frozen):
    """How a family writes boxes; by default ``[{"box": [x1, y1, x2, y2], "label": "..."}]``."""

    style: Literal["json", "refs", "tokens"] = "json"
    """``tokens``: ``<loc0123>`` four times, then the label; boxes parted by ``;``. ``refs``:
    ``<ref>label</ref><box>[[x1, y1, x2, y2], ...]</box>``."""
    key: str = "box"
    """The key of the corners in JSON, beside ``label``."""
    scale: int | None = 1
    """What a picture's width and height count as; null: pixels of the picture as the model's
    processor resizes it."""
    digits: int = 3
    """Decimals of a coordinate."""
    order: Literal["xyxy", "yxyx"] = "xyxy"

    def corners(self, box: Box, size: Size, resized: Resized | None) -> list[float]:
        """Two corners in the convention's units and order, at least a step apart.

        ModelError for a box outside of its picture of ``size`` (width, height).
        """
        units = self._units(size, resized)
        across = self._ends((box.x, box.x + box.width), size[0], units[0])
        down = self._ends((box.y, box.y + box.height), size[1], units[1])
        first, second = (across, down) if self.order == "xyxy" else (down, across)
        return [first[0], second[0], first[1], second[1]]

    def box(self, corners: Any, label: str, size: Size, resized: Resized | None) -> Box:
        """A box in pixels from its corners as they are written; UnreadBox says why it is none."""
        first, second, third, fourth = _numbers(corners)
        ends = ((first, third), (second, fourth))
        across, down = ends if self.order == "xyxy" else ends[::-1]
        if not (across[0] < across[1] and down[0] < down[1]):
            raise UnreadBox(ORDER)
        units = self._units(size, resized)
        for pair, most in zip((across, down), units, strict=True):
            if pair[0] < 0 or pair[1] > self._last(most):
                raise UnreadBox(RANGE)
        left, right = (end / units[0] * size[0] for end in across)
        top, bottom = (end / units[1] * size[1] for end in down)
        if not (left < right and top < bottom):  # neighbouring numbers may be one in pixels
            raise UnreadBox(ORDER)
        return Box(left, top, right - left, bottom - top, label)

    def _units(self, size: Size, resized: Resized | None) -> Pair:
        """What the picture's width and height count as."""
        if self.scale is not None:
            return self.scale, self.scale
        return size if resized is None else resized(size)

    def _last(self, units: float) -> float:
        """The greatest number that a coordinate can be; of tokens the last bin, from 0."""
        return units - 1 if self.style == "tokens" else units

    def _ends(self, ends: Pair, length: int, units: float) -> Pair:
        """A box's two ends along one side of the picture, in the convention's units."""
        low, high = max(ends[0], 0.0) / length, min(ends[1], length) / length
        if not low < high:
            raise ModelError("a box lies outside of its picture")
        digits, most = self.digits, self._last(units)
        step = 1 if digits == 0 else 10.0**-digits
        if self.style == "tokens":
            first, second = (min(math.floor(end * units), most) for end in (low, high))
        else:
            first, second = (_round(end * units, digits) for end in (low, high))
        first = min(first, most - step)
        return _round(first, digits), _round(max(second, first + step), digits)


def _numbers(corners: Any) -> Sequence[float]:
    """Four finite numbers, as JSON has them; a text of digits and ``true`` are none."""
    if not isinstance(corners, list) or len(corners) != 4:
        raise UnreadBox(COORDINATES)
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in corners):
        raise UnreadBox(COORDINATES)
    if any(isinstance(end, float) and not math.isfinite(end) for end in corners):
        raise UnreadBox(COORDINATES)
    return corners


def _round(number: float, digits: int) -> float:
    return round(number) if digits == 0 else round(number, digits)
