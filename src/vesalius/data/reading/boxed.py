"""Pictures with boxes, whatever layout they were written in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from vesalius.cases.case import Box, Case, Source
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.listings import same_name, stem_of

Annotated = tuple[Source, str, Any, tuple[Box, ...]]
"""Where, the image's name, a stored picture or None, and the boxes."""
AUGMENTED = ".rf."
"""Roboflow names a picture's augmented copies ``<original>.rf.<hash>``: they belong together."""


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
    for where, name, picture, boxes in rows():
        case = identity(same_name(name))
        yield Case(
            id=case,
            group=case.split(AUGMENTED)[0],
            pictures=(picture_in(picture, name, album, where),),
            boxes=boxes or (() if negatives else None),
            modality=modality,
            source=where,
            split=split,
        )
