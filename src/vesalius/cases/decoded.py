"""What decoding gives and how much it may take: limits, the picture, and silence meanwhile."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageFile

from vesalius.cases.headers import Kind
from vesalius.errors import ImageError

_DECODING = threading.RLock()


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest picture that is accepted; all but the bytes are checked before decoding.

    The defaults are for files of one's own: an uncompressed mammogram has 27 MB. Whoever decodes
    a stranger's bytes passes narrower ones. ``max_total_pixels`` counts all frames or pages and
    holds where all of them are decoded (:func:`vesalius.cases.reencode.reencode`).
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


@contextmanager
def quietly() -> Iterator[None]:
    """Read hostile bytes without a word: warnings and pydicom's log quote headers, so patients.

    Limits and errors say better what is wrong. Filters, the logger's switch and Pillow's are
    process-wide: hence the lock, and all are put back.
    """
    log = logging.getLogger("pydicom")
    with _DECODING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        disabled, log.disabled = log.disabled, True
        fill, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = fill
            log.disabled = disabled
