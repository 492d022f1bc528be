"""How alike pictures are: exact hashes, and 256-bit difference hashes that survive re-encoding.

The difference hash (dHash, N. Krawetz 2013) says for each cell of a 16 x 16 grid whether its right
neighbour is brighter. Two encodings of a picture differ in a few bits, two pictures in about half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from vesalius.cases.picture import Picture
from vesalius.cases.view import View

GRID = 16
NEAR = 8
"""Hamming distance up to which two pictures count as near-duplicates."""
FLAT = 2.0
"""Grey-level standard deviation below which a picture is blank: its hash would mean nothing."""

Hash = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A picture's fingerprints: SHA-256 of its bytes, dHash (4 x 64 bit) and that of its mirror.

    The difference hashes are None for a blank picture.
    """

    sha256: str
    dhash: Hash | None
    mirrored: Hash | None


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
        return Fingerprint(exact, None, None)
    return Fingerprint(exact, dhash(grey), dhash(ImageOps.mirror(grey)))


def blank(grey: Image.Image) -> bool:
    """Whether a grey picture is (nearly) one level throughout."""
    return bool(np.asarray(grey, dtype=np.float32).std() < FLAT)


def dhash(grey: Image.Image) -> Hash:
    """The 256-bit difference hash of a grey picture, four 64-bit words."""
    small = grey.resize((GRID + 1, GRID), Image.Resampling.LANCZOS)
    levels = np.asarray(small, dtype=np.int16)
    return np.packbits(levels[:, 1:] > levels[:, :-1]).view(np.uint64)


def near_pairs(
    plain: NDArray[np.uint64], mirrored: NDArray[np.uint64], distance: int = NEAR
) -> Iterator[tuple[int, int, int]]:
    """(i, j, Hamming distance), i < j, of hashes [n, 4] that are near, or near each other's mirror.

    Works in blocks of a few MiB; only pairs whose first word is near are looked at further.
    """
    rows, columns = 256, 8192
    for top in range(0, len(plain), rows):
        block = plain[top : top + rows]
        for left in range(top - top % columns, len(plain), columns):
            near: dict[tuple[int, int], int] = {}
            for hashes in (plain, mirrored):
                for i, j, bits in _near(block, hashes[left : left + columns], distance):
                    pair = (top + i, left + j)
                    near[pair] = min(bits, near.get(pair, bits))
            yield from ((i, j, bits) for (i, j), bits in near.items() if i < j)


def _near(
    block: NDArray[np.uint64], other: NDArray[np.uint64], distance: int
) -> Iterator[tuple[int, int, int]]:
    i, j = np.nonzero(np.bitwise_count(block[:, None, 0] ^ other[None, :, 0]) <= distance)
    total = np.bitwise_count(block[i] ^ other[j]).sum(axis=1, dtype=np.int64)
    for at in np.nonzero(total <= distance)[0]:
        yield int(i[at]), int(j[at]), int(total[at])
