"""Pictures with boxes, whatever layout they were written in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from vesalius.cases.case import Box, Case, Remark, Source
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.listings import same_name, stem_of

FLAGS = (0, False, "0", "Unspecified")
"""Values of a key that says nothing: what is not crowded, cut off or difficult."""
AUGMENTED = ".rf."
"""Roboflow names a picture's augmented copies ``<original>.rf.<hash>``: they belong together."""


class Annotated(NamedTuple):
    """A picture with its boxes, as one file of annotations has it."""

    where: Source
    name: str
    picture: Any
    """What is stored of it in the file, or None."""
    boxes: tuple[Box, ...]
    remarks: tuple[Remark, ...] = ()
    """What of its annotations was not read."""


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
    """
    for where, name, picture, boxes, remarks in rows():
        case = identity(same_name(name))
        yield Case(
            id=case,
            group=case.split(AUGMENTED)[0],
            pictures=(picture_in(picture, name, album, where),),
            boxes=boxes or (() if negatives else None),
            modality=modality,
            source=where,
            split=split,
            remarks=remarks,
        )
