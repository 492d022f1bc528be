"""The one way to turn bytes into pixels: PNG, JPEG, WebP, TIFF, BMP, GIF and DICOM, with limits.

What cannot be shown faithfully is refused with an ImageError whose ``code`` is one of
image_too_large (bytes), image_too_many_pixels, image_too_many_frames, image_aspect_ratio,
image_truncated, image_corrupt, image_frame, image_window, unsupported_media_type, dicom_invalid,
dicom_no_pixels, dicom_transfer_syntax. No message repeats anything a file says of a patient.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from vesalius.cases.decoded import DEFAULT_LIMITS, Decoded, Limits, quietly
from vesalius.cases.headers import Kind, gif_frames, is_bare_dicom, kind_of, webp_size
from vesalius.cases.shades import deep_shades
from vesalius.cases.tiff import Tiff, samples_of
from vesalius.cases.view import OWN_VIEW, DicomWindow, View
from vesalius.errors import ImageError

_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_DEEP = re.compile(r";16[BLN]\b")  # Pillow's word for 16 bits a sample; it reads the upper 8
_PNG_EXIF = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""Names of the chunks and texts of a PNG that can say how it is turned."""
_CUT = "16 bits a colour: the upper 8 are shown"
_ALLOWED = "PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM"
_OTHERS = (
    (rb"\Z", "empty: copy the file again"),
    (rb"version https://git-lfs", "a pointer of Git LFS: fetch the file with git lfs pull"),
    (rb"\x00\x05\x16[\x00\x07]", "what macOS keeps beside a file, not the file"),
    (rb"\x1f\x8b", "compressed (gzip): unpack it"),
    (rb"PK\x03\x04", "a zip archive: unpack it"),
    (rb"\s*<(?:!doctype|html)", "a web page, as servers answer instead of a file: fetch it again"),
    (rb"%PDF", "a PDF: save the picture in it as PNG"),
    (rb".{4}ftyp(?:hei|hev|mif|avif)", "HEIC or AVIF: save it as PNG"),
    (rb"\xff\x4f\xff\x51|.{4}jP  ", "JPEG 2000 outside DICOM: save it as PNG"),
    (rb"(?:\x5c\x01\x00\x00|\x00\x00\x01\x5c).{340}n[i+]1\x00", "NIfTI: save its slices as PNG"),
)
"""How contents begin that are often met in a picture's place, and what to do with them."""


def decode(data: bytes, view: View = OWN_VIEW, *, limits: Limits = DEFAULT_LIMITS) -> Decoded:
    """The picture in ``data`` as 8-bit RGB; the format is found by content, never by name.

    EXIF orientation is applied and transparency laid over white. Grey pictures of more than 8 bits
    are rescaled linearly, their lowest value to 0 and their highest to 255, or percentiles where a
    few lone pixels set that range; of colours, and of grey with transparency, the upper 8 bits are
    shown; each with a warning. ``view.frame`` (0-based)
    chooses among the frames of a DICOM or TIFF file; the default is a DICOM's middle frame
    (``frames // 2``) and the first page of a TIFF. Of an animation only the first picture can be
    had, with a warning. ``view.window`` (centre, width, in modality units) replaces a DICOM's own;
    other formats have none, and are shown as they are, with a warning. Raises ImageError (codes:
    see the module).
    """
    kind = admitted(data, limits)
    with quietly():
        if kind == "dicom":
            from vesalius.cases.dicom import decode_dicom

            return decode_dicom(data, view, limits=limits)
        with refusing(kind):
            shown = _decode_file(data, kind, view.frame, limits)
    if view.window is None:
        return shown
    return replace(shown, warnings=(*shown.warnings, "only a DICOM picture has a window"))


def picture_size(
    data: bytes, view: View = OWN_VIEW, *, limits: Limits = DEFAULT_LIMITS
) -> tuple[int, int]:
    """Width and height of what :func:`decode` shows, from the header alone; raises ImageError."""
    kind = admitted(data, limits)
    with quietly():
        if kind == "dicom":
            from vesalius.cases.dicom import dicom_size

            return dicom_size(data, limits)
        with refusing(kind), _opened(data, kind) as file:
            if chosen := _choose(view.frame, _frames(file, data, kind, limits), kind):
                file.seek(chosen)
            width, height = file.size
            limits.check_size(width, height)
            exif = file.getexif() if _may_have_exif(data, kind) else {}
            turned = exif.get(ExifTags.Base.Orientation, 1) in _TURNED
    return (height, width) if turned else (width, height)


def picture_window(
    data: bytes, view: View = OWN_VIEW, *, limits: Limits = DEFAULT_LIMITS
) -> DicomWindow | None:
    """The window in which :func:`decode` shows a grey DICOM; None for what has none; ImageError."""
    if admitted(data, limits) != "dicom":
        return None
    with quietly():
        from vesalius.cases.dicom import dicom_window

        own = dicom_window(data, view.frame, limits)
    if own is None or view.window is None:
        return own
    return own._replace(centre=view.window[0], width=view.window[1])


def _may_have_exif(data: bytes, kind: Kind) -> bool:
    """Whether it is worth a look; for a PNG, Pillow decodes the whole picture to look for it."""
    return kind != "png" or any(mark in data for mark in _PNG_EXIF)


def admitted(data: bytes, limits: Limits) -> Kind:
    """The kind of the content, if it is one of ours and has not too many bytes; or ImageError."""
    limits.check_bytes(data)
    kind = kind_of(data)
    if kind is None:
        if is_bare_dicom(data):
            raise ImageError("dicom_invalid", "a DICOM data set without its preamble (PS3.10)")
        own = (name for start, name in _OTHERS if re.match(start, data, re.DOTALL | re.IGNORECASE))
        what = next((f"the content is {name}" for name in own), f"the content is not {_ALLOWED}")
        raise ImageError("unsupported_media_type", what)
    return kind


@contextmanager
def refusing(kind: Kind) -> Iterator[None]:
    """Whatever a decoder of ``kind`` raises becomes an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        bomb = isinstance(error, Image.DecompressionBombError)
        code = "image_too_many_pixels" if bomb else "image_corrupt"
        raise ImageError(code, f"this {kind.upper()} header cannot be accepted") from error
    except Exception as error:
        # Hostile bytes make decoders fail in every way there is; all of them mean one thing.
        cut = "truncat" in str(error).lower() or isinstance(error, EOFError)
        what = "ends before the picture does" if cut else "is damaged"
        code = "image_truncated" if cut else "image_corrupt"
        raise ImageError(code, f"this {kind.upper()} file {what}") from error


def _decode_file(data: bytes, kind: Kind, frame: int | None, limits: Limits) -> Decoded:
    if kind == "webp":
        _check_webp(data, limits)
    with _opened(data, kind) as file:
        limits.check_size(*file.size)
        frames = _frames(file, data, kind, limits)
        limits.check_frames(frames)
        chosen = _choose(frame, frames, kind)
        if chosen:
            file.seek(chosen)
            limits.check_size(*file.size)
        image, remarks = _upright(file)
    notes = []
    if frames > 1 and frame is None:
        what = "pages" if kind == "tiff" else "frames"
        notes.append(f"the first of {frames} {what} is used")
    return Decoded(image, kind, *image.size, frames=frames, warnings=(*notes, *remarks))


def _opened(data: bytes, kind: Kind) -> Image.Image:
    return (
        Tiff(BytesIO(data)) if kind == "tiff" else Image.open(BytesIO(data), formats=[kind.upper()])
    )


def _upright(file: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture the file stands at, upright and without metadata, and remarks on its shades."""
    cut = any(_DEEP.search(str(tile.args)) for tile in getattr(file, "tile", ()))
    file.load()
    upright = ImageOps.exif_transpose(file)
    remarks: tuple[str, ...] = ()
    if (deep := samples_of(file, upright)) is None:
        image, remarks = _rgb(upright), ((_CUT,) if cut else ())
    else:
        values, inverted = deep
        grey, remarks = deep_shades(values, inverted=inverted)
        image = Image.fromarray(grey).convert("RGB")
    image.info.clear()
    return image, remarks


def tiff_pages(data: bytes, limits: Limits) -> Iterator[Image.Image]:
    """Every page of a TIFF as :func:`decode` shows it; all sizes are checked before the first."""
    with Tiff(BytesIO(data)) as file:
        pages = _pages(file, limits.max_frames)
        limits.check_frames(pages)
        total = 0
        for page in range(pages):
            file.seek(page)
            limits.check_size(*file.size)
            total += file.width * file.height
        limits.check_total(total)
        for page in range(pages):
            file.seek(page)
            yield _upright(file)[0]


def _check_webp(data: bytes, limits: Limits) -> None:
    # Its decoder allocates the canvas on opening, and does not say why a file fails.
    if (size := webp_size(data)) is not None:
        limits.check_size(*size)
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise ImageError("image_truncated", "this WEBP file ends before the picture does")


def _frames(file: Image.Image, data: bytes, kind: Kind, limits: Limits) -> int:
    if kind == "gif":
        return gif_frames(data, limits.max_frames)
    if kind == "tiff":
        return _pages(file, limits.max_frames)
    # A JPEG with further pictures (MPO) holds views of one scene: the first is the picture.
    return 1 if kind == "jpeg" else int(getattr(file, "n_frames", 1))


def _pages(file: Image.Image, most: int) -> int:
    # Walk the directories ourselves: a chain in a small file may be endless.
    count = 1
    try:
        while count <= most:
            file.seek(count)
            count += 1
    except EOFError:
        pass
    file.seek(0)
    return count


def _choose(frame: int | None, frames: int, kind: Kind) -> int:
    if not frame:
        return 0
    selectable = frames if kind == "tiff" else 1
    if not 0 <= frame < selectable:
        raise ImageError(
            "image_frame", f"there is no frame {frame}: {selectable} to choose from, counted from 0"
        )
    return frame


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB: palettes resolved, transparency laid over white."""
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        page = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(page, layer).convert("RGB")
    return image.convert("RGB") if image.mode != "RGB" else image.copy()
