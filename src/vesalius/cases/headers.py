"""What encoded bytes claim about themselves: kind, size, frames. Nothing here decodes a pixel.

Claims are read so that a picture too large is refused before anything is allocated for it.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["png", "jpeg", "webp", "tiff", "bmp", "gif", "dicom"]

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
)
# A DICOM data set that lost its preamble opens with group 0002 or 0008 and a value representation.
_BARE_DICOM = re.compile(rb"[\x02\x08]\x00..(UL|UI|OB|CS|SH|LO|DA|TM|UN)", re.DOTALL)
# Start-of-frame markers of JPEG (any process) and JPEG-LS; C4, C8 and CC are no frames.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}


def kind_of(data: bytes) -> Kind | None:
    """The format, by content alone; None where it is none of ours."""
    if data[128:132] == b"DICM":
        return "dicom"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def is_bare_dicom(data: bytes) -> bool:
    """Whether the bytes look like a DICOM data set without its preamble (PS3.10, 7.1)."""
    return _BARE_DICOM.match(data) is not None


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in a WebP header (RFC 9649); its decoder allocates the canvas on opening."""
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if chunk == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = (int.from_bytes(body[at : at + 2], "little") for at in (6, 8))
    return width & 0x3FFF, height & 0x3FFF


def gif_frames(data: bytes, most: int) -> int:
    """How many pictures a GIF holds, counted block by block and no further than ``most`` + 1."""
    count, at = 0, 13 + _table(data[10:11])
    while at < len(data) and count <= most:
        if data[at] == 0x2C:
            count += 1
            at = _after_blocks(data, at + 11 + _table(data[at + 9 : at + 10]))
        elif data[at] == 0x21:
            at = _after_blocks(data, at + 2)
        else:
            break
    return count


def _table(flags: bytes) -> int:
    # A colour table of 3 * 2^(n+1) bytes follows where the top bit is set.
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """Width and height inside a JPEG, JPEG-LS or JPEG 2000 codestream; None where none is found.

    A DICOM header and the codestream it wraps may disagree, and decoders believe the codestream.
    """
    if (at := data.find(b"\xff\x4f\xff\x51", 0, 4096)) >= 0:  # SOC and SIZ, ISO/IEC 15444-1 A.5.1
        x1, y1, x0, y0 = (
            int.from_bytes(data[at + 8 + 4 * i : at + 12 + 4 * i], "big") for i in range(4)
        )
        return x1 - x0, y1 - y0
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (5, 7))
            return width, height
        # 0xFF may be repeated as padding before a marker.
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
