"""A picture that is read only when somebody looks at it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.cases.view import OWN_VIEW, DicomWindow, View
from vesalius.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

    from vesalius.cases.decoded import Decoded


@dataclass(frozen=True, slots=True)
class Picture:
    """A lazy image: a stable ``key``, and a function that fetches the encoded bytes.

    ``key`` names the picture in predictions and reports and decides which dialogues share an
    image; its end names the ``view``, which chooses among what a file holds.
    """

    key: str
    read: Callable[[], bytes] = field(compare=False, repr=False)
    view: View = OWN_VIEW
    annotated_size: tuple[int, int] | None = field(default=None, compare=False, repr=False)
    """Width and height that its boxes were drawn for, where their file says them."""

    @classmethod
    def from_file(cls, path: Path, key: str | None = None) -> Picture:
        """A picture in a file; ``key`` defaults to the path as given."""
        return cls(key or path.as_posix(), partial(_read_file, path))

    @property
    def file(self) -> Path | None:
        """The file that holds it; None for what lies in an archive or a table, or is drawn."""
        of_file = isinstance(self.read, partial) and self.read.func is _read_file
        return self.read.args[0] if of_file else None  # type: ignore[attr-defined]

    def pixels(self) -> Image.Image:
        """The decoded 8-bit RGB picture, shape (height, width, 3); ImageError names ``key``."""
        return self.decoded().image

    def decoded(self) -> Decoded:
        """The decoded picture, with what is to be said of how it is shown; as :meth:`pixels`."""
        from vesalius.cases.image import decode

        try:
            decoded = decode(self.read(), self.view)
            self._require_annotated(decoded.image.size)
            return decoded
        except ImageError as error:
            raise ImageError(error.code, error.what, where=self.key, hint=error.hint) from error

    def size(self) -> tuple[int, int]:
        """Width and height of :meth:`pixels`, read off the header; ImageError names ``key``."""
        from vesalius.cases.image import picture_size

        try:
            size = picture_size(self.read(), self.view)
            self._require_annotated(size)
            return size
        except ImageError as error:
            raise ImageError(error.code, error.what, where=self.key, hint=error.hint) from error

    def window(self) -> DicomWindow | None:
        """The window in which :meth:`pixels` shows a grey DICOM; None for others; as there."""
        from vesalius.cases.image import picture_window

        try:
            return picture_window(self.read(), self.view)
        except ImageError as error:
            raise ImageError(error.code, error.what, where=self.key, hint=error.hint) from error

    def _require_annotated(self, size: tuple[int, int]) -> None:
        """ImageError where boxes were drawn for another size: they would lie elsewhere on it."""
        if self.annotated_size not in (None, size):
            (width, height), (own_width, own_height) = self.annotated_size, size
            what = f"its boxes are of {width} x {height} pixels, it has {own_width} x {own_height}"
            hint = "scale the boxes, or correct the width and height that stand with them"
            raise ImageError("image_size", what, hint=hint)

    def sha256(self) -> str:
        """The hash of the encoded bytes, in hexadecimal."""
        return hashlib.sha256(self.read()).hexdigest()

    def at(self, view: View) -> Picture:
        """The same picture in another view; the key says which."""
        return replace(self, key=view.of(self.key), view=view)


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise ImageError("image_missing", reason, where=path) from error
