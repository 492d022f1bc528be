"""TIFF and PNG of more than 8 bits: depth, sign, WhiteIsZero and lone pixels."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from vesalius.cases.decoded import DEFAULT_LIMITS
from vesalius.cases.image import decode, picture_size, tiff_pages
from vesalius.cases.reencode import reencode
from vesalius.cases.view import View
from vesalius.errors import ImageError

WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1
FORMATS = {"u": 1, "i": 2, "f": 3}
STEPS = np.arange(256).reshape(16, 16)


def tiff(
    *pages: np.ndarray, meaning: int = BLACK_IS_ZERO, order: str = "<", packed: bool = False
) -> bytes:
    """A TIFF 6.0 file of grey pages with one strip each, written tag by tag."""
    data = bytearray((b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 0))
    link = 4
    for page in pages:
        strip = page.astype(page.dtype.newbyteorder(order)).tobytes()
        strip = zlib.compress(strip) if packed else strip
        start = len(data)
        data += strip + bytes(len(strip) % 2)
        data[link : link + 4] = struct.pack(f"{order}I", len(data))
        rows, columns = page.shape
        tags = {256: columns, 257: rows, 258: 8 * page.dtype.itemsize, 259: 8 if packed else 1}
        tags |= {262: meaning, 273: start, 277: 1, 278: rows, 279: len(strip)}
        tags[339] = FORMATS[page.dtype.kind]
        data += struct.pack(f"{order}H", len(tags))
        for tag, value in sorted(tags.items()):
            data += struct.pack(f"{order}HHII", tag, 4, 1, value)
        link = len(data)
        data += bytes(4)
    return bytes(data)


def shades(data: bytes, view: View = View()) -> np.ndarray:  # noqa: B008
    found = decode(data, view)
    kept = decode(reencode(data).data, view)
    assert np.array_equal(np.asarray(kept.image), np.asarray(found.image))
    assert picture_size(data) == found.image.size
    return np.asarray(found.image)[..., 0]


VALUES = {
    "uint8": STEPS,
    "int8": STEPS - 128,
    "uint16": STEPS * 257,
    "int16": STEPS * 257 - 32768,
    "uint32": STEPS * 16843009,  # the upper half is beyond a signed number
    "int32": STEPS * 16843009 - 2**31,
    "float32": STEPS / 255 - 0.5,
}


@pytest.mark.parametrize("dtype", VALUES)
@pytest.mark.parametrize("meaning", [WHITE_IS_ZERO, BLACK_IS_ZERO])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_depth_and_sign_either_way_round(dtype, meaning, order, packed):
    found = shades(tiff(VALUES[dtype].astype(dtype), meaning=meaning, order=order, packed=packed))
    wanted = STEPS if meaning == BLACK_IS_ZERO else 255 - STEPS
    np.testing.assert_array_equal(found, wanted)


def test_each_page_by_its_own_tags():
    pages = [STEPS.astype(np.uint16), STEPS.astype(np.uint32) + 2**31, STEPS.astype(np.int16)]
    data = tiff(*pages, meaning=WHITE_IS_ZERO)
    for number, page in enumerate(tiff_pages(data, DEFAULT_LIMITS)):
        np.testing.assert_array_equal(np.asarray(page)[..., 0], 255 - STEPS)
        np.testing.assert_array_equal(shades(data, View(number)), 255 - STEPS)


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("written", [png, tiff])
def test_one_hot_pixel_is_not_the_range(written):
    pixels = (STEPS % 200).astype(np.uint16)
    pixels[0, 0] = 65535
    found = decode(written(pixels))
    grey = np.asarray(found.image)[..., 0]
    low, high = np.percentile(pixels, (0.5, 99.5))
    assert grey[8, 0] == round((pixels[8, 0] - low) * 255 / (high - low))
    assert found.warnings == (
        "more than 8 bits: a few lone pixels; the 0.5th to 99.5th percentiles are shown",
    )
    assert reencode(written(pixels)).warnings == found.warnings


def test_without_a_lone_pixel_the_whole_range_is_shown_and_said():
    found = decode(png((STEPS * 100).astype(np.uint16)))
    np.testing.assert_array_equal(np.asarray(found.image)[..., 0], STEPS)
    assert found.warnings == ("more than 8 bits: rescaled linearly to 0..255",)
    signed = decode(tiff((STEPS - 128).astype(np.int8)))
    assert signed.warnings == ("signed values: rescaled linearly to 0..255",)


def test_values_that_are_no_numbers_are_said():
    values = STEPS.astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    found = decode(tiff(values))
    assert np.asarray(found.image)[0, :4, 0].tolist() == [0, 0, 0, 0]
    assert found.warnings[-1] == "pixels that are no finite numbers are shown as the lowest"


def test_samples_that_are_not_read_are_named():
    with pytest.raises(ImageError, match="number, depth or kind of samples is not read"):
        decode(tiff(STEPS.astype(np.float64)))
    for reading in (reencode, picture_size):
        with pytest.raises(ImageError, match="number, depth or kind of samples is not read"):
            reading(tiff(STEPS.astype(np.uint64)))
