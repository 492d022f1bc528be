"""What every format of boxes is written from: a picture's file, size and boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vesalius.cases.case import Box
from vesalius.data.reading.outlines import Points
from vesalius.data.reading.streams import ALL

Classes = Mapping[str, int]
"""The number that a format writes for each class, by name, in rising order."""
AGREEING = 0.5
"""Pixels by which an outline's extent may differ from its box and still stand for it."""
FOLDERS = {"train": "train", "validation": "val", "test": "test", ALL: ""}
"""Splits as other programs call them; no folder of its own where a set has none."""


@dataclass(frozen=True, slots=True)
class Page:
    """A picture as it is written: its split, file name, bytes, width and height, and its boxes."""

    split: str
    name: str
    bytes: int
    size: tuple[int, int]
    boxes: tuple[Box, ...]

    @property
    def stem(self) -> str:
        """The file name without its ending."""
        return self.name.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of boxes: where a split's pictures lie, how it counts classes, what it can hold.

    ``write`` puts the annotations of all pages into a folder and returns how many outlines it
    wrote. ``numbers``: the first class's number, or None where classes are written by name;
    ``gaps``: whether numbers may leave some out. ``crowd``: whether a region with many is told
    from a box.
    """

    title: str
    images: Callable[[str], str]
    write: Callable[[Path, Sequence[Page], Classes], int]
    numbers: int | None = None
    gaps: bool = False
    crowd: bool = False


def images_of(split: str) -> str:
    """``images/<split>``, or ``images`` of a set without splits."""
    return f"images/{FOLDERS[split]}".rstrip("/")


def in_splits(pages: Sequence[Page]) -> dict[str, list[Page]]:
    """The pages by split."""
    splits: dict[str, list[Page]] = {}
    for page in pages:
        splits.setdefault(page.split, []).append(page)
    return splits


def outline_for(box: Box) -> Points | None:
    """The outline that can stand for a box: one whose extent is that of the box, or None."""
    if box.polygon is None:
        return None
    xs, ys = zip(*box.polygon, strict=True)
    edges = (min(xs), min(ys), max(xs), max(ys))
    own = (box.x, box.y, box.x + box.width, box.y + box.height)
    agree = all(abs(a - b) <= AGREEING for a, b in zip(edges, own, strict=True))
    return box.polygon if agree else None


def cut(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box within its picture, as formats without a rest want."""
    width, height = size
    return (
        max(0.0, box.x),
        max(0.0, box.y),
        min(float(width), box.x + box.width),
        min(float(height), box.y + box.height),
    )
