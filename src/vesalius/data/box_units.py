"""Boxes that cannot be pixels of their picture: outside it, fractions of it, or per cent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress

from vesalius.cases.case import Box
from vesalius.data.datasets import Dataset
from vesalius.data.findings import Finding, finding
from vesalius.data.reading.outlines import around
from vesalius.errors import ImageError

LARGE = 200
"""Pixels: a picture of this side has boxes beyond 100 pixels, if they are written in pixels."""
ENOUGH = 5
"""Boxes from which on it is told that all lie within 100: fewer may do so by chance."""

SLACK = 1.0
"""Pixels by which a box may reach over the edge: annotators round."""
OUTLINE_SLACK = 2.0
"""Pixels by which a box may differ from the extent of its outline."""


def leaves(box: Box, size: tuple[int, int]) -> bool:
    """Whether a box leaves its picture, of that width and height, by more than the slack."""
    right, bottom = box.x + box.width, box.y + box.height
    low = min(box.x, box.y) < -SLACK
    return low or right > size[0] + SLACK or bottom > size[1] + SLACK


def in_fractions(boxes: Sequence[Box]) -> bool:
    """Whether all boxes of a picture lie within its first pixel, as fractions of it do."""
    numbers = [n for box in boxes for n in (box.x, box.y, box.width, box.height)]
    return bool(numbers) and all(0 <= number <= 1 for number in numbers)


def outline_leaves(box: Box, size: tuple[int, int]) -> bool:
    """Whether the drawn outlines of a box reach out of it, or leave a side of it far off.

    Both are cut at the edges of the picture, of that width and height: some programs cut one alone.
    """
    if not box.outlines:
        return False
    x, y, width, height = around(box.outlines)
    sides = ((x, box.x, size[0]), (x + width, box.x + box.width, size[0]),
             (y, box.y, size[1]), (y + height, box.y + box.height, size[1]))  # fmt: skip
    within = ((min(max(a, 0), most), min(max(b, 0), most)) for a, b, most in sides)
    return any(abs(a - b) > OUTLINE_SLACK for a, b in within)


def corners_fit(box: Box, size: tuple[int, int]) -> bool:
    """Whether left, top, right, bottom read as left, top, width, height would explain the box."""
    width, height = size
    inside = box.width <= width + SLACK and box.height <= height + SLACK
    return inside and min(box.x, box.y) >= -SLACK and box.width > box.x and box.height > box.y


def box_findings(
    boxes: Sequence[Box], key: str, size: tuple[int, int], where: str
) -> Iterator[Finding]:
    """What the check says of one picture's boxes; ``key`` names the picture, ``where`` the row."""
    if in_fractions(boxes):
        yield finding("box_fraction", where, f"{key}: all within its first pixel")
        return
    picture = f"the {size[0]} x {size[1]} picture"
    for box, number in Counter(boxes).items():
        what = f"{key}: {box.label} [{box.x:g}, {box.y:g}, {box.width:g}, {box.height:g}]"
        if number > 1:
            yield finding("duplicate_box", where, f"{what} stands {number} times")
        if min(box.width, box.height) < 1:
            yield finding("box_thin", where, what)
        if outline_leaves(box, size):
            yield finding("box_outline", where, what)
        if leaves(box, size):
            code = "box_corners" if corners_fit(box, size) else "box_outside"
            yield finding(code, where, f"{what} leaves {picture}")


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

    def findings(self) -> Iterator[Finding]:
        """One finding where the boxes are to be doubted."""
        if self.likely():
            what = "no box reaches beyond 100, in pictures that are all much larger"
            yield finding("box_per_cent", self.where, what)


def misplaced(dataset: Dataset) -> Iterator[Finding]:
    """What the check says of a data set's boxes, by the headers of pictures: none is decoded.

    A picture whose header cannot be read is passed over: whoever decodes it names it.
    """
    per_cent = PerCent()
    for split in dataset.splits():
        for case in dataset.cases(split):
            if not case.boxes or len(case.pictures) != 1:
                continue
            (picture,), where = case.pictures, str(case.source or f"{split}/{case.id}")
            with suppress(ImageError):
                size = picture.size()
                per_cent.add(case.boxes, size, where)
                yield from box_findings(case.boxes, picture.key, size, where)
    yield from per_cent.findings()
