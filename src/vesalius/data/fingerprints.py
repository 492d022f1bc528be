"""What a picture is known again by: the hash of its bytes, and a thumbnail of its pixels."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from vesalius.cases.likeness import SIDE, Thumbnail, thumbnail
from vesalius.cases.picture import Picture
from vesalius.cases.view import View

FLAT = 2.0
"""Grey-level standard deviation below which a picture is blank: it is like any other."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A picture's fingerprints: SHA-256 of its bytes, and its thumbnail; None for a blank one."""

    sha256: str
    thumbnail: Thumbnail | None


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a picture's bytes and pixels tell: size in pixels and fingerprint, or why neither.

    ``code`` (an ImageError's) and ``reason`` are empty for a sound picture; ``remarks`` say how it
    is shown where the file leaves that open.
    """

    width: int = 0
    height: int = 0
    fingerprint: Fingerprint | None = None
    code: str = ""
    reason: str = ""
    remarks: tuple[str, ...] = ()

    def to_row(self) -> dict[str, Any]:
        """As JSON: ``thumbnail`` is 48 x 48 grey levels in base64, empty for a blank picture."""
        if self.fingerprint is None:
            return {"code": self.code, "reason": self.reason}
        small = self.fingerprint.thumbnail
        row = {
            "width": self.width,
            "height": self.height,
            "sha256": self.fingerprint.sha256,
            "thumbnail": b64encode(b"" if small is None else small.tobytes()).decode(),
        }
        return row | ({"remarks": list(self.remarks)} if self.remarks else {})

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Inspected:
        """From :meth:`to_row`; KeyError, ValueError or TypeError for what is none."""
        if "code" in row:
            return cls(code=row["code"], reason=row["reason"])
        levels = b64decode(row["thumbnail"])
        small = np.frombuffer(levels, np.uint8).reshape(SIDE, SIDE) if levels else None
        remarks = tuple(row.get("remarks", ()))
        size = int(row["width"]), int(row["height"])
        return cls(*size, Fingerprint(row["sha256"], small), remarks=remarks)


def fingerprint(picture: Picture) -> Fingerprint:
    """The fingerprints of a picture; raises ImageError if it cannot be decoded."""
    data = picture.read()
    return fingerprint_of(data, replace(picture, read=partial(bytes, data)).pixels(), picture.view)


def fingerprint_of(data: bytes, image: Image.Image, view: View) -> Fingerprint:
    """The fingerprints of a picture already read and decoded."""
    # A frame of a file is a picture of its own, so the frame is part of what is hashed.
    mark = b"" if view.frame is None else f"#{view.frame}".encode()
    exact = hashlib.sha256(data + mark).hexdigest()
    grey = image.convert("L")
    if blank(grey):
        return Fingerprint(exact, None)
    return Fingerprint(exact, thumbnail(grey))


def blank(grey: Image.Image) -> bool:
    """Whether a grey picture is (nearly) one level throughout."""
    return bool(np.asarray(grey, dtype=np.float32).std() < FLAT)
