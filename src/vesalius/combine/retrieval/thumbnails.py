"""Thumbnails and structures for an index, made while pictures are decoded for the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from rich.progress import track

from vesalius.cases.likeness import Packed, Thumbnail, packed
from vesalius.cases.likeness import thumbnail as levels_of
from vesalius.cases.picture import Picture
from vesalius.combine.retrieval.stores import Vectors
from vesalius.system.console import progress_console

if TYPE_CHECKING:
    from vesalius.models.encoders import ImageEncoder

HELD = 64
"""Pictures, or studies, whose bytes are in memory at a time."""


@dataclass(frozen=True, slots=True)
class HeldPicture(Picture):
    """A picture that is read and decoded once, though hash, vector and thumbnail are of it.

    The bytes are in memory; thumbnail and grey levels are made on the way to whoever wants the
    pixels, so that these are not in memory for longer than there.
    """

    side: int = 0
    _small: list[bytes] = field(default_factory=list, init=False, compare=False, repr=False)
    _levels: list[Thumbnail] = field(default_factory=list, init=False, compare=False, repr=False)

    @classmethod
    def of(cls, picture: Picture, side: int) -> HeldPicture:
        """The picture with its bytes read, for thumbnails of ``side`` pixels at most; 0: none."""
        read, size = partial(bytes, picture.read()), picture.annotated_size
        return cls(picture.key, read, picture.view, size, side=side)

    def pixels(self) -> Image.Image:
        """As of any picture."""
        image = Picture.pixels(self)  # slots make the class anew, so super() knows it not
        if not self._levels:
            self._levels.append(levels_of(image.convert("L")))
        if self.side and not self._small:
            self._small.append(_thumbnail(image, self.side))
        return image

    def thumbnail(self) -> bytes:
        """A PNG; where nobody wanted the pixels, the picture is decoded for it."""
        if not self._small:
            self.pixels()
        return self._small[0]

    def levels(self) -> Thumbnail:
        """48 x 48 grey levels, of which a structure is made."""
        if not self._levels:
            self.pixels()
        return self._levels[0]


def seen(
    encoder: ImageEncoder, studies: Sequence[Sequence[Picture]], *, label: str = "Encoding pictures"
) -> tuple[Vectors, Packed]:
    """A unit vector (n, d) a study, and the packed structure (n, 48, 48) of its last picture.

    Each picture is read and decoded once, and few are in memory at a time.
    """
    vectors, structures = [], []
    starts = range(0, len(studies), HELD)
    bar = progress_console()
    for at in track(starts, label, console=bar, transient=True, disable=len(studies) <= 4 * HELD):
        held = [[HeldPicture.of(one, 0) for one in study] for study in studies[at : at + HELD]]
        vectors.append(encoder.embed_studies(held))
        structures.append(structures_of([study[-1] for study in held]))
    return np.concatenate(vectors), np.concatenate(structures)


def structures_of(pictures: Sequence[HeldPicture]) -> Packed:
    """Packed structures (n, 48, 48), for the guard against near-duplicates."""
    return packed(np.stack([picture.levels() for picture in pictures]))


def _thumbnail(whole: Image.Image, side: int) -> bytes:
    """A PNG of the decoded picture: no metadata, one channel where all three are the same."""
    image = whole.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    red, *others = image.split()
    grey = all(other.tobytes() == red.tobytes() for other in others)
    file = BytesIO()
    (red if grey else image).save(file, "PNG")
    return file.getvalue()
