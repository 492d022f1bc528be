"""A case: one image or study, with what experts said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from math import isfinite
from types import MappingProxyType
from typing import Literal

from vesalius.cases.picture import Picture
from vesalius.errors import DatasetError

Kind = Literal["open", "closed"]
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Box:
    """A labelled rectangle in pixels of the picture as decoded: left, top, width, height.

    ``polygon`` is the drawn outline, (x, y) pairs, where the data set has one; of a region in
    several parts ``polygons`` are those of its parts, and ``polygon`` is None.
    """

    x: float
    y: float
    width: float
    height: float
    label: str
    polygon: tuple[tuple[float, float], ...] | None = None
    score: float | None = None
    crowd: bool = False
    """Around many of its kind that are not told apart (COCO's ``iscrowd``): never scored, and what
    lies in it counts neither as right nor as wrong."""
    polygons: tuple[tuple[tuple[float, float], ...], ...] | None = None

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.height > 0):
            raise DatasetError(f"a box needs a positive size, not {self.width} x {self.height}")
        if not all(map(isfinite, (self.x, self.y, self.width, self.height))):
            raise DatasetError("a number of a box is not finite")
        if self.score is not None and not 0 <= self.score <= 1:
            raise DatasetError(f"a box's score is from 0 to 1, not {self.score}")
        if self.polygon is not None and self.polygons is not None:
            raise DatasetError("a region has one outline (polygon), or its parts' (polygons)")

    @property
    def outlines(self) -> tuple[tuple[tuple[float, float], ...], ...]:
        """The drawn outlines of all its parts; none where nothing but the box is known."""
        return (self.polygon,) if self.polygon is not None else self.polygons or ()

    def iou(self, other: Box) -> float:
        """Intersection over union of the two rectangles, in [0, 1]; labels do not count."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        inside = max(0.0, width) * max(0.0, height)
        return inside / (self.width * self.height + other.width * other.height - inside)

    def share_in(self, other: Box) -> float:
        """The share of this rectangle that lies in the other, in [0, 1]."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(0.0, width) * max(0.0, height) / (self.width * self.height)


@dataclass(frozen=True, slots=True)
class Answer:
    """Content only, said by an expert or by a model, so that truth and prediction share a type.

    None means "not annotated"; an empty tuple means "none present".
    """

    text: str | None = None
    boxes: tuple[Box, ...] | None = None
    concepts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.text is None and self.boxes is None and self.concepts is None:
            raise DatasetError("an answer needs text, boxes or concepts")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, with the experts' reference answers (empty: unanswered).

    ``kind`` is the data set's own closed/open field, or None where it has none; ``category`` is
    its question type (modality, plane, organ ...); ``language`` a BCP-47 tag.
    """

    text: str
    id: str = ""
    answers: tuple[Answer, ...] = ()
    category: str | None = None
    kind: Kind | None = None
    options: tuple[str, ...] | None = None
    language: str = "en"
    shows: tuple[int, ...] = ()
    """The case's pictures that are first shown with it, by place from 0."""
    system: str | None = None
    """What a system turn before it tells the model."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a case was read: a file, and the row in it (1-based, header not counted)."""

    file: str
    row: int | None = None

    def __str__(self) -> str:
        return self.file if self.row is None else f"{self.file} row {self.row}"


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reader did not read, or read as something else than what stands there.

    ``code`` is that of the check's finding; ``what`` names columns and keys, never a value.
    """

    code: str
    what: str


@dataclass(frozen=True, slots=True)
class Case:
    """One image or study, its questions, caption, boxes and concepts, and where it came from.

    ``group`` names the unit that splits and resampling must keep whole: the patient where known,
    else the image group. ``context`` holds what a reader may be told beforehand (``indication``,
    ``history``); fields that give the answer away (diagnosis, findings) never enter it.
    """

    id: str
    group: str
    pictures: tuple[Picture, ...]
    questions: tuple[Question, ...] = ()
    caption: str | None = None
    boxes: tuple[Box, ...] | None = None
    concepts: tuple[str, ...] | None = None
    modality: str | None = None
    context: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    source: Source | None = None
    split: str | None = None
    remarks: tuple[Remark, ...] = ()
    """What its reader has to say of its rows, for the check to tell."""

    def __post_init__(self) -> None:
        if not self.id or not self.group:
            raise DatasetError("a case needs an id and a group", where=self.source)
        shows = [place for question in self.questions for place in question.shows]
        if len(set(shows)) < len(shows) or not set(shows) <= set(range(len(self.pictures))):
            fault = f"its questions show pictures {shows} of {len(self.pictures)}, each only once"
            raise DatasetError(fault, where=self.id)

    def pictures_by_question(self) -> list[tuple[Picture, ...]]:
        """For every question the pictures that are shown until it is asked, in that order.

        What no question shows is shown before all of them.
        """
        named = {place for question in self.questions for place in question.shows}
        seen = tuple(p for place, p in enumerate(self.pictures) if place not in named)
        own = (tuple(self.pictures[place] for place in q.shows) for q in self.questions)
        return list(accumulate(own, initial=seen))[1:]

    def question_ids(self) -> list[str]:
        """An id for every question, unique in the case: its own, or else its number from 1."""
        own = Counter(question.id for question in self.questions)
        names = []
        for number, question in enumerate(self.questions, start=1):
            lone = question.id and own[question.id] == 1
            name = question.id if lone else f"{question.id or 'q'}.{number}".removeprefix("q.")
            names.append(name)
        if len(set(names)) < len(names):
            return [f"{number}.{name}" for number, name in enumerate(names, start=1)]
        return names
