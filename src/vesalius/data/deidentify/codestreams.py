"""Comments, application data and trailing bytes taken out of compressed frames.

JPEG and JPEG-LS (ITU-T T.81 B.1, T.87) lose their segments; in JPEG 2000 (T.800 A.9.2) they are
overwritten, since tile lengths count them. The pixels are not decoded and stay what they are.
"""

from __future__ import annotations

from typing import NamedTuple

from vesalius.errors import ImageError

_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
# Start of a frame, any process (T.81 B.1.1.3), and JPEG-LS'.
_FRAMES = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
_ADOBE = b"Adobe"
_COM, _SOT, _SOD, _EOC = 0xFF64, 0xFF90, 0xFF93, 0xFFD9


class Stripped(NamedTuple):
    """A frame without comments, how many there were, and its bits a sample (0 if unknown)."""

    data: bytes
    removed: int
    precision: int


def strip(frame: bytes) -> Stripped:
    """A JPEG, JPEG-LS or JPEG 2000 frame without anything but pixels; ImageError for another."""
    if frame.startswith(b"\xff\xd8"):
        return _jpeg(frame)
    start = 0 if frame.startswith(b"\xff\x4f\xff\x51") else frame.find(b"jp2c") + 4
    if start >= 4 or frame.startswith(b"\xff\x4f"):
        # A whole JP2 file may hold boxes of XML; the codestream is all DICOM asks for.
        return _jpeg2000(frame[start:], boxed=start > 0)
    raise _broken()


def _broken() -> ImageError:
    return ImageError("image_corrupt", "a compressed frame is not the codestream it should be")


def _jpeg(frame: bytes) -> Stripped:
    parts, removed, precision, at = [frame[:2]], 0, 0, 2
    while True:
        marker, at = _marker(frame, at)
        if marker == 0xD9:
            parts.append(b"\xff\xd9")
            break
        if marker in _STANDALONE:
            parts.append(bytes((0xFF, marker)))
            continue
        length = int.from_bytes(frame[at : at + 2], "big")
        segment = frame[at : at + length]
        if length < 2 or len(segment) < length:
            raise _broken()
        at += length
        if marker in _FRAMES:
            precision = segment[2]
        spared = _spared(marker, segment)
        removed += spared != segment
        if spared:
            parts += [bytes((0xFF, marker)), spared]
        if marker == 0xDA:
            end = _scan_end(frame, at)
            parts.append(frame[at:end])
            at = end
    removed += any(frame[at:])
    return Stripped(b"".join(parts), removed, precision)


def _marker(frame: bytes, at: int) -> tuple[int, int]:
    if at + 1 >= len(frame) or frame[at] != 0xFF:
        raise _broken()
    while at < len(frame) and frame[at] == 0xFF:
        at += 1
    if at >= len(frame):
        raise _broken()
    return frame[at], at + 1


def _spared(marker: int, segment: bytes) -> bytes:
    """What stays of a segment: all but comments and application data that decoders need not."""
    if marker == 0xFE or 0xE1 <= marker <= 0xED or marker == 0xEF:
        return b""
    if marker == 0xE0:
        # JFIF says how colours are meant; its thumbnail goes, and every other APP0 with it.
        whole = segment[2:7] == b"JFIF\0" and len(segment) >= 16
        return b"\x00\x10" + segment[2:14] + b"\0\0" if whole else b""
    if marker == 0xEE:
        return b"\x00\x0e" + segment[2:14] if segment[2:7] == _ADOBE and len(segment) >= 14 else b""
    return segment


def _scan_end(frame: bytes, at: int) -> int:
    """Where entropy-coded data end: at the next marker that is no restart and no stuffing."""
    while (at := frame.find(b"\xff", at)) >= 0 and at + 1 < len(frame):
        following = frame[at + 1]
        # JPEG-LS stuffs a bit, not a byte: after 0xFF comes anything below 0x80.
        if following >= 0x80 and following not in _STANDALONE and following != 0xFF:
            return at
        at += 1 if following == 0xFF else 2
    raise _broken()


def _jpeg2000(frame: bytes, boxed: bool) -> Stripped:
    data, removed, at = bytearray(frame), int(boxed), 2
    precision = (frame[42] & 0x7F) + 1 if len(frame) > 42 else 0  # Ssiz of the first component
    tile_start, tile_length = 0, 0
    while at + 2 <= len(data):
        marker = int.from_bytes(data[at : at + 2], "big")
        if marker == _EOC:
            at += 2
            break
        if marker == _SOD:
            at = tile_start + tile_length if tile_length else _last_eoc(data, at)
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker < 0xFF00 or length < 2 or at + 2 + length > len(data):
            raise _broken()
        if marker == _SOT:
            tile_start, tile_length = at, int.from_bytes(data[at + 6 : at + 10], "big")
            if 0 < tile_length < 14 or at + tile_length > len(data):
                raise _broken()
        if marker == _COM:
            comment = data[at + 6 : at + 2 + length]
            removed += any(comment)
            data[at + 6 : at + 2 + length] = bytes(len(comment))
        at += 2 + length
    else:
        # Some encoders end without the end-of-codestream marker.
        at = len(data)
    removed += any(data[at:])
    return Stripped(bytes(data[:at]), removed, precision)


def _last_eoc(data: bytearray, at: int) -> int:
    end = data.find(b"\xff\xd9", at)
    return len(data) if end < 0 else end
