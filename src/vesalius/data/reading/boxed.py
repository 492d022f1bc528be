"""Pictures with boxes, whatever layout they were written in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from vesalius.cases.case import Box, Case, Remark, Source
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.listings import same_name, stem_of
from vesalius.errors import DatasetError

FLAGS = (0, False, "0", "False", "Unspecified")
"""Values of a key that says nothing: what is not crowded, cut off or difficult."""
AUGMENTED = ".rf."
"""Roboflow names a picture's augmented copies ``<original>.rf.<hash>``: they belong together."""


def size_in(width: Any, height: Any) -> tuple[int, int] | None:
    """The two as a size in pixels; None where they are none, such as an annotator's 0 x 0."""
    try:
        size = int(width), int(height)
    except (TypeError, ValueError):
        return None
    return size if min(size) > 0 else None


class Annotated(NamedTuple):
    """A picture with its boxes, as one file of annotations has it."""

    where: Source
    name: str
    picture: Any
    """What is stored of it in the file, or None."""
    boxes: tuple[Box, ...]
    remarks: tuple[Remark, ...] = ()
    """What of its annotations was not read."""
    size: tuple[int, int] | None = None
    """Width and height that the boxes were drawn for, where the file says them."""


def boxed_cases(
    rows: Callable[[], Iterable[Annotated]],
    album: Album,
    split: str,
    *,
    identity: Callable[[str], str] = stem_of,
    negatives: bool = True,
    modality: str | None = None,
) -> Iterator[Case]:
    """Cases of pictures with boxes in pixels, ``identity`` making an id of a picture's name.

    Augmented copies of one picture are one group.
    A picture without a box shows nothing with ``negatives``, and else is not annotated.
    DatasetError for a picture that stands twice: of what is said of it only one would be right.
    """
    places: dict[str, Source] = {}
    for one in rows():
        name = same_name(album.by_its_end(one.name))
        if places.setdefault(name, one.where) is not one.where:
            raise DatasetError(f"{name!r} stands at {places[name]}, too", where=one.where)
        case = identity(name)
        picture = picture_in(one.picture, name, album, one.where)
        yield Case(
            id=case,
            group=case.split(AUGMENTED)[0],
            pictures=(replace(picture, annotated_size=one.size),),
            boxes=one.boxes or (() if negatives else None),
            modality=modality,
            source=one.where,
            split=split,
            remarks=one.remarks,
        )
