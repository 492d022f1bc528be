"""Thumbnails for an index, made while their pictures are decoded for the encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from io import BytesIO

from PIL import Image

from vesalius.cases.picture import Picture


@dataclass(frozen=True, slots=True)
class HeldPicture(Picture):
    """A picture that is read and decoded once, though hash, vector and thumbnail are of it.

    The bytes are in memory; the thumbnail is made on the way to whoever wants the pixels, so that
    these are not in memory for longer than there.
    """

    side: int = 0
    _small: list[bytes] = field(default_factory=list, init=False, compare=False, repr=False)

    @classmethod
    def of(cls, picture: Picture, side: int) -> HeldPicture:
        """The picture with its bytes read, for thumbnails of ``side`` pixels at most; 0: none."""
        return cls(picture.key, partial(bytes, picture.read()), picture.view, side)

    def pixels(self) -> Image.Image:
        """As of any picture."""
        image = Picture.pixels(self)  # slots make the class anew, so super() knows it not
        if self.side and not self._small:
            self._small.append(_thumbnail(image, self.side))
        return image

    def thumbnail(self) -> bytes:
        """A PNG; where nobody wanted the pixels, the picture is decoded for it."""
        if not self._small:
            self.pixels()
        return self._small[0]


def _thumbnail(whole: Image.Image, side: int) -> bytes:
    """A PNG of the decoded picture: no metadata, one channel where all three are the same."""
    image = whole.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    red, *others = image.split()
    grey = all(other.tobytes() == red.tobytes() for other in others)
    file = BytesIO()
    (red if grey else image).save(file, "PNG")
    return file.getvalue()
