"""Shades and colours that must come out of decoding as they went in."""

from __future__ import annotations

import json
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from vesalius.cases.image import decode
from vesalius.cases.shades import stretch
from vesalius.cases.view import View
from vesalius.errors import ImageError


def encoded(image: Image.Image, kind: str = "PNG", **how: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def shades(data: bytes) -> np.ndarray:
    return np.asarray(decode(data).image)


@pytest.fixture
def bad(shared):
    def read(name: str) -> bytes:
        return (shared / "bad_inputs" / "files" / name).read_bytes()

    return read


def test_what_is_accepted_is_rgb_of_the_right_size_and_frames(shared):
    folder, seen, told = shared / "bad_inputs", 0, []
    for name, entry in json.loads((folder / "manifest.json").read_text()).items():
        try:
            found = decode((folder / "files" / name).read_bytes())
        except ImageError as error:
            told += [word for word in entry["meta"].get("forbidden", ()) if word in str(error)]
            continue
        meta, seen = entry["meta"], seen + 1
        size = meta.get("size_after", meta.get("size", [found.width, found.height]))
        assert [found.image.mode, *found.image.size] == ["RGB", *size], name
        assert found.frames == meta.get("frames", 1), name
        assert not found.image.info, name
    assert seen > 20
    assert not told


def test_16_bit_grey_keeps_its_range(bad):
    found = shades(bad("gray16.png"))[..., 0]
    assert (found[0, 0], found[63, 63]) == (0, 255)
    assert abs(found.mean() - 127.5) <= 1


def test_corners_keep_their_colours(bad):
    found = shades(bad("ok_rgb.png"))
    corners = [found[0, 0], found[0, -1], found[-1, 0], found[-1, -1]]
    colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]
    assert [corner.tolist() for corner in corners] == colours


def test_jpeg_2000_is_its_ramp(bad):
    # Stored values are a 16 x 16 ramp of 0, 16 ... 4080, tiled; without a window, percentiles make
    # its ends black and white, and shades rise with the stored value.
    found = shades(bad("j2k_lossless.dcm"))[..., 0]
    assert found.shape == (128, 128)
    np.testing.assert_array_equal(found, np.tile(found[:16, :16], (8, 8)))
    assert (np.diff(found[:16, :16].reshape(-1).astype(int)) >= 0).all()
    assert (found.min(), found.max()) == (0, 255)


def test_run_lengths_are_the_raw_pixels(bad):
    # The raw file's rescale intercept of −1024 moves the window that is forced onto both.
    raw = decode(bad("ct_mono2_12bit.dcm"), View(None, (1024, 4096)))
    packed = decode(bad("rle.dcm"), View(None, (2048, 4096)))
    np.testing.assert_array_equal(np.asarray(raw.image), np.asarray(packed.image))


def test_ybr_is_its_rgb(bad):
    apart = shades(bad("ybr_full.dcm")).astype(int) - shades(bad("rgb_planar0.dcm"))
    assert np.abs(apart).max() <= 3


def test_an_executable_preamble_changes_nothing(bad):
    np.testing.assert_array_equal(shades(bad("preamble_pe.dcm")), shades(bad("ct_mono2_12bit.dcm")))


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_brings_a_picture_upright(turn):
    # Upright: 32 × 16, its left half white. Stored so that ``turn`` brings it back.
    upright = Image.new("L", (32, 16))
    upright.paste(255, (0, 0, 16, 16))
    back = {
        2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
        6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270",
    }  # fmt: skip
    stored = upright.transpose(Image.Transpose[back[turn]]) if turn in back else upright
    exif = Image.Exif()
    exif[0x0112] = turn
    grey = shades(encoded(stored, "JPEG", exif=exif, quality=95))[..., 0]
    assert grey.shape == (16, 32)
    assert grey[:, :14].min() > 200
    assert grey[:, 18:].max() < 50


def test_palettes_and_single_bits():
    palette = Image.new("P", (4, 2))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 1), 1)
    found = shades(encoded(palette))
    assert (found[0, 0].tolist(), found[1, 1].tolist()) == ([10, 20, 30], [200, 100, 50])
    bits = Image.new("1", (9, 3))
    bits.putpixel((8, 2), 1)
    found = shades(encoded(bits))
    assert (found[0, 0].tolist(), found[2, 8].tolist()) == ([0] * 3, [255] * 3)


def test_half_transparency_is_half_white():
    # 0 over white at 128/255: 255 · (1 − 128/255) = 127
    assert shades(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 128)))).tolist() == [[[127] * 3]]


def test_stretch_survives_what_is_not_finite():
    values = np.array([[np.nan, -np.inf], [1.0, 3.0]])
    assert stretch(values).tolist() == [[0, 0], [0, 255]]
    assert stretch(np.full((2, 2), 7)).max() == 0
    assert stretch(np.full((2, 2), np.nan)).max() == 0


def test_comments_are_not_carried_on():
    said = PngInfo()
    said.add_text("Comment", "Jane Doe")
    found = decode(encoded(Image.new("L", (2, 2)), pnginfo=said))
    assert b"Jane Doe" not in encoded(found.image)


def deep_png(samples: np.ndarray, colour_type: int) -> bytes:
    """A PNG of 16 bits a sample, (height, width, channels); Pillow writes none (PNG 1.2, 4.1.1)."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in samples)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_colours_of_16_bits_are_cut_with_a_word(colour_type, channels):
    samples = np.full((16, 16, channels), 0x1234)
    samples[..., -1] = 0x1234 if channels == 3 else 0xFFFF  # the last is transparency
    decoded = decode(deep_png(samples, colour_type))
    assert np.unique(np.asarray(decoded.image)) == [0x12]
    assert decoded.warnings == ("16 bits a colour: the upper 8 are shown",)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "L"])
def test_shades_of_8_bits_need_no_word(mode):
    for kind in ("PNG", "TIFF") if mode != "LA" else ("PNG",):
        assert decode(encoded(Image.new(mode, (16, 16)), kind)).warnings == ()
