"""What is kept of an uploaded picture: its pixels, written anew; never the bytes that came.

``decode(kept.data)`` shows what ``decode(data)`` showed, for every frame and window; names, texts,
private fields, thumbnails, comments and whatever hid behind the picture's end are gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image, TiffImagePlugin

from vesalius.cases.decoded import DEFAULT_LIMITS, Limits, quietly
from vesalius.cases.display import Display
from vesalius.cases.headers import Kind
from vesalius.cases.image import admitted, decode, refusing, tiff_pages
from vesalius.cases.reencode_dicom import reencode_dicom
from vesalius.cases.series import SeriesPlace
from vesalius.errors import ImageError

_LEVEL = 3  # of zlib: a third of the time of its default, for files a few percent larger


@dataclass(frozen=True, slots=True)
class Reencoded:
    """A picture as it is stored, and what was learnt of it; its size is that of what is shown.

    ``data`` is a PNG (8 bit, grey or RGB), a TIFF (where there are several pages) or a DICOM file
    without a patient (uncompressed, all frames), as ``suffix`` says. ``kind`` is the kind that
    came; ``burned_in`` is what a DICOM header says of text in the picture.
    """

    data: bytes
    suffix: str
    width: int
    height: int
    kind: Kind
    frames: int = 1
    modality: str | None = None
    warnings: tuple[str, ...] = ()
    burned_in: bool | None = None
    place: SeriesPlace | None = None
    """Where a DICOM picture stands among others, where that was asked for."""
    display: Display | None = None
    """What a viewer writes beside a DICOM picture."""
    text: tuple[tuple[int, int, int, int], ...] = ()
    """Where writing stands in it, as far as that was looked for: x, y, width, height in pixels."""


def reencode(data: bytes, limits: Limits = DEFAULT_LIMITS, key: bytes = b"") -> Reencoded:
    """The picture in ``data`` re-encoded without loss, once every frame of it has been decoded.

    Of an animation the first picture is kept, as :func:`vesalius.cases.image.decode` shows it.
    With a ``key`` a DICOM picture's place among others is told, by hashes under that key.
    Raises ImageError with that function's codes; also image_too_many_pixels for all frames
    together, and image_too_large where what is unpacked has more bytes than ``DEFAULT_LIMITS``
    lets anyone read again.
    """
    kind = admitted(data, limits)
    header: dict[str, Any] = {}
    with quietly():
        if kind == "dicom":
            written = reencode_dicom(data, limits, key)
            stored = written.data
            header = {name: getattr(written, name) for name in ("burned_in", "place", "display")}
        elif kind == "tiff":
            with refusing(kind):
                stored = tiff_of(tiff_pages(data, limits))
    picture = decode(data, limits=limits)
    suffix = ".dcm" if kind == "dicom" else ".tiff"
    if kind != "dicom" and (kind != "tiff" or picture.frames == 1):
        stored, suffix = png_of(picture.image), ".png"
    try:
        DEFAULT_LIMITS.check_bytes(stored)
    except ImageError as error:
        raise ImageError(error.code, f"unpacked, {error.what}", hint="send fewer frames") from None
    facts = (
        picture.width,
        picture.height,
        kind,
        picture.frames,
        picture.modality,
        picture.warnings,
    )
    return Reencoded(stored, suffix, *facts, **header)


def png_of(image: Image.Image) -> bytes:
    """An 8-bit RGB picture as a PNG that says nothing but the pixels; one channel where grey."""
    file = BytesIO()
    _lean(image).save(file, "PNG", compress_level=_LEVEL)
    return file.getvalue()


def tiff_of(pages: Iterable[Image.Image]) -> bytes:
    """8-bit RGB pictures as the pages of one TIFF, deflated; one page is in memory at a time."""
    file = BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(file) as writer:
        for page in pages:
            _lean(page).save(writer, "TIFF", compression="tiff_adobe_deflate")
            writer.newFrame()
    return file.getvalue()


def _lean(image: Image.Image) -> Image.Image:
    red, green, blue = (channel.tobytes() for channel in image.split())
    bare = image.getchannel(0) if red == green == blue else image.copy()
    bare.info.clear()
    return bare
