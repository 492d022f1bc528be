"""A picture as every program reads it: its own bytes, or a PNG of what was decoded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO

from PIL import ExifTags, Image

from vesalius.cases.headers import kind_of
from vesalius.cases.picture import Picture
from vesalius.cases.view import OWN_VIEW

ENDINGS = {"png": ".png", "jpeg": ".jpg"}
"""Pictures that every program reads alike are copied; all others become PNG, as decoded."""


@dataclass(frozen=True, slots=True)
class PlainPicture:
    """The bytes of a PNG or JPEG file, their ending, and width and height as decoded.

    ``copied``: whether they are the bytes that were read.
    """

    data: bytes
    ending: str
    size: tuple[int, int]
    copied: bool


def plain(picture: Picture) -> PlainPicture:
    """The picture, read once. ImageError names it where it cannot be read.

    One that is turned by EXIF is written as decoded, too: not every program turns it.
    """
    data = picture.read()
    held = replace(picture, read=partial(bytes, data))
    ending = _own_ending(data, picture)
    if ending is not None:
        return PlainPicture(data, ending, held.size(), copied=True)
    pixels, file = held.pixels(), BytesIO()
    pixels.save(file, format="PNG")
    return PlainPicture(file.getvalue(), ".png", pixels.size, copied=False)


class FileNames:
    """Unused names of files, also without their endings and whatever the case of their letters."""

    def __init__(self) -> None:
        self._uses: Counter[str] = Counter()

    def unused(self, stem: str, ending: str) -> str:
        """``stem`` with ``ending``, and a number between them from the second on."""
        self._uses[stem.casefold()] += 1
        number = self._uses[stem.casefold()]
        return f"{stem}{ending}" if number == 1 else f"{stem}~{number}{ending}"


def _own_ending(data: bytes, picture: Picture) -> str | None:
    """The ending of a picture whose bytes every program decodes alike; None of any other."""
    ending = ENDINGS.get(kind_of(data) or "")
    if ending is None or picture.view != OWN_VIEW:
        return None
    with Image.open(BytesIO(data)) as image:
        upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
    return ending if upright else None
