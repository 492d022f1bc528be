"""The one way to turn bytes into pixels: PNG, JPEG, WebP, TIFF, BMP, GIF and DICOM, with limits.

What cannot be shown faithfully is refused with an ImageError whose ``code`` is one of
image_too_large (bytes), image_too_many_pixels, image_too_many_frames, image_aspect_ratio,
image_truncated, image_corrupt, image_frame, image_window, unsupported_media_type, dicom_invalid,
dicom_no_pixels, dicom_transfer_syntax. No message repeats anything a file says of a patient.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from vesalius.cases.claims import Kind, gif_frames, is_bare_dicom, kind_of, webp_size
from vesalius.errors import ImageError

_DECODING = threading.RLock()
_ALLOWED = "PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM"


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest picture that is accepted; all but the bytes are checked before decoding.

    The defaults are for files of one's own: an uncompressed mammogram has 27 MB. Whoever decodes
    a stranger's bytes passes narrower ones. ``max_total_pixels`` counts all frames or pages and
    holds where all of them are decoded (:func:`vesalius.cases.kept.keep`).
    """

    max_bytes: int = 256 * 2**20
    max_pixels: int = 40_000_000
    max_aspect: float = 200.0
    max_frames: int = 512
    max_total_pixels: int = 400_000_000

    def check_bytes(self, data: bytes) -> None:
        """Refuse more than ``max_bytes`` encoded bytes."""
        if len(data) > self.max_bytes:
            raise ImageError(
                "image_too_large",
                f"the file has {len(data):,} bytes; {self.max_bytes:,} are allowed",
            )

    def check_size(self, width: int, height: int) -> None:
        """Refuse a claimed size (pixels) that is empty, too large, or too long and thin."""
        if width < 1 or height < 1:
            raise ImageError("image_corrupt", f"a picture of {width} x {height} pixels is empty")
        if width * height > self.max_pixels:
            raise ImageError(
                "image_too_many_pixels",
                f"{width} x {height} pixels; at most {self.max_pixels:,} are allowed",
                hint="scale it down first",
            )
        if max(width, height) > self.max_aspect * min(width, height):
            raise ImageError(
                "image_aspect_ratio",
                f"{width} x {height} pixels: one side is over {self.max_aspect:g} times the other",
                hint="crop it first",
            )

    def check_frames(self, frames: int) -> None:
        """Refuse more than ``max_frames`` frames (a count one above it may mean "or more")."""
        if frames > self.max_frames:
            raise ImageError(
                "image_too_many_frames", f"more than the {self.max_frames} frames allowed"
            )

    def check_total(self, pixels: int) -> None:
        """Refuse more than ``max_total_pixels`` pixels in all frames together."""
        if pixels > self.max_total_pixels:
            raise ImageError(
                "image_too_many_pixels",
                f"{pixels:,} pixels in all frames; {self.max_total_pixels:,} are allowed",
                hint="send fewer frames",
            )


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture as 8-bit RGB, upright and free of metadata, and what was learnt on the way.

    ``width`` and ``height`` are of ``image``; ``modality`` is DICOM's code (CT, MR ...) or None.
    """

    image: Image.Image
    kind: Kind
    width: int
    height: int
    frames: int = 1
    modality: str | None = None
    warnings: tuple[str, ...] = ()


DEFAULT_LIMITS = Limits()


def decode(
    data: bytes,
    *,
    frame: int | None = None,
    window: tuple[float, float] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Decoded:
    """The picture in ``data`` as 8-bit RGB; the format is found by content, never by name.

    EXIF orientation is applied and transparency laid over white. Pictures of more than 8 bits are
    rescaled linearly, their lowest value to 0 and their highest to 255. ``frame`` (0-based)
    chooses among the frames of a DICOM or TIFF file; the default is a DICOM's middle frame
    (``frames // 2``) and the first page of a TIFF. Of an animation only the first picture can be
    had, with a warning. ``window`` (centre, width, in modality units) replaces a DICOM's own;
    other formats have none and ignore it. Raises ImageError (codes: see the module).
    """
    kind = admitted(data, limits)
    with quietly():
        if kind == "dicom":
            from vesalius.cases.dicom import decode_dicom

            return decode_dicom(data, frame=frame, window=window, limits=limits)
        with refusing(kind):
            return _decode_file(data, kind, frame, limits)


def admitted(data: bytes, limits: Limits) -> Kind:
    """The kind of the content, if it is one of ours and has not too many bytes; or ImageError."""
    limits.check_bytes(data)
    kind = kind_of(data)
    if kind is None:
        if is_bare_dicom(data):
            raise ImageError("dicom_invalid", "a DICOM data set without its preamble (PS3.10)")
        raise ImageError("unsupported_media_type", f"the content is not {_ALLOWED}")
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


@contextmanager
def quietly() -> Iterator[None]:
    """Read hostile bytes without a word: warnings and pydicom's log quote headers, so patients.

    Limits and errors say better what is wrong. Filters, the logger's switch and Pillow's are
    process-wide: hence the lock, and all are put back.
    """
    log = logging.getLogger("pydicom")
    with _DECODING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        heard, log.disabled = log.disabled, True
        fill, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = fill
            log.disabled = heard


def _decode_file(data: bytes, kind: Kind, frame: int | None, limits: Limits) -> Decoded:
    if kind == "webp":
        _check_webp(data, limits)
    with Image.open(BytesIO(data), formats=[kind.upper()]) as file:
        limits.check_size(*file.size)
        frames = _frames(file, data, kind, limits)
        limits.check_frames(frames)
        chosen = _choose(frame, frames, kind)
        if chosen:
            file.seek(chosen)
            limits.check_size(*file.size)
        image, deep = _shown(file)
    said = []
    if frames > 1 and frame is None:
        what = "pages" if kind == "tiff" else "frames"
        said.append(f"the first of {frames} {what} is used")
    if deep:
        said.append("more than 8 bits: rescaled linearly to 0..255")
    return Decoded(image, kind, *image.size, frames=frames, warnings=tuple(said))


def _shown(file: Image.Image) -> tuple[Image.Image, bool]:
    """The picture the file stands at, upright and without metadata, and whether it was deep."""
    file.load()
    upright = ImageOps.exif_transpose(file)
    image = _rgb(upright)
    image.info.clear()
    return image, _is_deep(upright)


def tiff_pages(data: bytes, limits: Limits) -> Iterator[Image.Image]:
    """Every page of a TIFF as :func:`decode` shows it; all sizes are checked before the first."""
    with Image.open(BytesIO(data), formats=["TIFF"]) as file:
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
            yield _shown(file)[0]


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


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB: deep modes rescaled, palettes resolved, transparency laid over white."""
    if _is_deep(image):
        return Image.fromarray(stretch(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        page = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(page, layer).convert("RGB")
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def stretch(values: np.ndarray) -> np.ndarray:
    """``values`` (any shape) mapped linearly to uint8, lowest to 0 and highest to 255.

    Values that are not finite count as the lowest; a constant picture becomes black.
    """
    deep = values.astype(np.float64)
    finite = np.isfinite(deep)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low, high = float(deep[finite].min()), float(deep[finite].max())
    scale = 255.0 / (high - low) if high > low else 0.0
    deep = np.where(finite, deep, low)
    scaled: np.ndarray = np.rint((deep - low) * scale).clip(0, 255).astype(np.uint8)
    return scaled
