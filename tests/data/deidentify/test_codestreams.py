"""Compressed frames lose what is not pixels, and decode to the same pixels."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image
from planted import GREY, SECRET

from vesalius.data.deidentify.codestreams import strip
from vesalius.errors import ImageError

SAID = SECRET.encode()
LARGE = np.tile(GREY, (4, 4))


def encoded(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(LARGE).save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">HH", marker, len(content) + 2) + content


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 95, "subsampling": 0}])
def test_jpeg(options: dict) -> None:
    plain = encoded("JPEG", **options)
    many = b"".join(segment(marker, SAID) for marker in (0xFFFE, 0xFFE1, 0xFFE5, 0xFFED, 0xFFEF))
    thumbnail = segment(0xFFE0, b"JFIF\0\x01\x01\0\0\1\0\1\2\1" + SAID[:6])
    done = strip(plain[:2] + thumbnail + many + plain[20:] + SAID)
    assert SAID[:6] not in done.data
    assert (done.precision, done.removed) == (8, 7)
    assert np.array_equal(pixels(done.data), pixels(plain))
    assert strip(plain) == (plain, 0, 8)


def test_a_comment_between_scans_and_padding_before_markers() -> None:
    plain = encoded("JPEG", progressive=True)
    second = plain.rindex(b"\xff\xda")
    dirty = plain[:second] + segment(0xFFFE, SAID) + b"\xff\xff" + plain[second:]
    done = strip(dirty)
    assert SAID not in done.data
    assert np.array_equal(pixels(done.data), pixels(plain))


def test_an_adobe_marker_tells_colours_and_no_more() -> None:
    colour = Image.fromarray(np.stack([LARGE] * 3 + [LARGE], axis=-1), "CMYK")
    file = io.BytesIO()
    colour.save(file, "JPEG")
    plain = file.getvalue()
    at = plain.index(b"\xff\xee")
    longer = segment(0xFFEE, plain[at + 4 : at + 16] + SAID)
    done = strip(plain[:at] + longer + plain[at + 16 :])
    assert SAID not in done.data
    assert np.array_equal(pixels(done.data), pixels(plain))


def bare(data: bytes) -> bytes:
    return data[data.index(b"jp2c") + 4 :]


def test_jpeg_2000_in_the_main_header_in_a_tile_and_past_the_end() -> None:
    plain = bare(encoded("JPEG2000", irreversible=False, no_jp2=False))
    after_size = 4 + int.from_bytes(plain[4:6], "big")
    comment = segment(0xFF64, b"\0\1" + SAID)
    tile = plain.index(b"\xff\x90")
    length = int.from_bytes(plain[tile + 6 : tile + 10], "big")
    start = (
        plain[tile : tile + 6]
        + struct.pack(">I", length + len(comment))
        + plain[tile + 10 : tile + 12]
    )
    dirty = plain[:after_size] + comment + plain[after_size:tile] + start + comment
    dirty += plain[tile + 12 :] + SAID
    done = strip(dirty)
    assert SAID not in done.data
    assert (done.precision, done.removed >= 3) == (8, True)
    assert np.array_equal(pixels(done.data), LARGE)


def test_a_jp2_file_is_reduced_to_its_codestream() -> None:
    whole = encoded("JPEG2000")
    boxed = whole
    at = boxed.index(b"jp2c") - 4
    xml = struct.pack(">I", 8 + len(SAID)) + b"xml " + SAID
    done = strip(boxed[:at] + xml + boxed[at:])
    assert done.data.startswith(b"\xff\x4f\xff\x51")
    assert SAID not in done.data
    assert np.array_equal(pixels(done.data), LARGE)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"no codestream",
        b"\xff\xd8",
        b"\xff\xd8\xff\xfe\x00\x01",
        b"\xff\xd8\xff\xfe\xff\xff" + b"short",
        encoded("JPEG")[:-300],
        b"\xff\x4f\xff\x51\x00\x01",
        b"\xff\x4f\xff\x51\x00\x29" + bytes(10),
    ],
)
def test_what_is_no_codestream_is_an_error(frame: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        strip(frame)
    assert caught.value.code == "image_corrupt"
