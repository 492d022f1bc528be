"""A picture that is read only when somebody looks at it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

_CHOICE = re.compile(r"(?:#frame=(\d+))?(?:#window=([-+.\de]+),([-+.\de]+))?\Z")


@dataclass(frozen=True, slots=True)
class Picture:
    """A lazy image: a stable ``key``, and a function that fetches the encoded bytes.

    ``key`` names the picture in predictions and reports and decides which dialogues share an
    image. ``frame`` (0-based) and ``window`` (centre, width) choose among what a DICOM file holds.
    """

    key: str
    read: Callable[[], bytes] = field(compare=False, repr=False)
    frame: int | None = None
    window: tuple[float, float] | None = None

    @classmethod
    def from_file(cls, path: Path, key: str | None = None) -> Picture:
        """A picture in a file; ``key`` defaults to the path as given."""
        return cls(key or path.as_posix(), partial(_read_file, path))

    def pixels(self) -> Image.Image:
        """The decoded 8-bit RGB picture, shape (height, width, 3); ImageError names ``key``."""
        from vesalius.cases.image import decode

        try:
            return decode(self.read(), frame=self.frame, window=self.window).image
        except ImageError as error:
            raise ImageError(error.code, error.what, where=self.key, hint=error.hint) from error

    def sha256(self) -> str:
        """The hash of the encoded bytes, in hexadecimal."""
        return hashlib.sha256(self.read()).hexdigest()

    def at(self, frame: int | None, window: tuple[float, float] | None = None) -> Picture:
        """The same picture, another frame or window; the key says which (see :func:`choice`)."""
        mark = "" if frame is None else f"#frame={frame}"
        mark += "" if window is None else f"#window={window[0]:.10g},{window[1]:.10g}"
        return replace(self, key=_CHOICE.sub("", self.key) + mark, frame=frame, window=window)


def choice(key: str) -> tuple[int | None, tuple[float, float] | None]:
    """The frame and the window (centre, width) that a picture's key names."""
    frame, centre, width = _CHOICE.findall(key)[0]
    return int(frame) if frame else None, (float(centre), float(width)) if centre else None


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise ImageError("image_missing", reason, where=path) from error
