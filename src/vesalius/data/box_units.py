"""Boxes in another unit than pixels: fractions of the picture, or per cent of it."""

from __future__ import annotations

from collections.abc import Sequence

from vesalius.cases.case import Box

LARGE = 200
"""Pixels: a picture of this side has boxes beyond 100 pixels, if they are written in pixels."""
ENOUGH = 5
"""Boxes from which on it is told that all lie within 100: fewer may do so by chance."""


def in_fractions(boxes: Sequence[Box]) -> bool:
    """Whether all boxes of a picture lie within its first pixel, as fractions of it do."""
    numbers = [n for box in boxes for n in (box.x, box.y, box.width, box.height)]
    return bool(numbers) and all(0 <= number <= 1 for number in numbers)


class PerCent:
    """Whether the boxes of many pictures look like per cent: within 100, wherever in the picture.

    Half of the pictures' size must be reached in per cent, and never 100 pixels passed, although
    all pictures are larger than :data:`LARGE`.
    """

    def __init__(self) -> None:
        self.where = ""
        self._boxes = 0
        self._furthest = 0.0
        self._smallest = float("inf")

    def add(self, boxes: Sequence[Box], size: tuple[int, int], where: str) -> None:
        """Note the boxes of a picture of that width and height; ``where`` of the first stays."""
        self.where = self.where or where
        for box in boxes:
            self._boxes += 1
            reached = max(box.x + box.width, box.y + box.height)
            self._furthest = max(self._furthest, reached)
            self._smallest = min(self._smallest, *size)

    def likely(self) -> bool:
        """Whether the boxes so far are to be doubted."""
        return self._boxes >= ENOUGH and 50 < self._furthest <= 100 and self._smallest >= LARGE
