"""Bytes to pixels: what is shown faithfully, what is refused, and with which code."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from vesalius.cases.decoded import Decoded, Limits
from vesalius.cases.image import decode
from vesalius.cases.view import View
from vesalius.errors import ImageError

STRANGERS = Limits(max_bytes=20 * 2**20)
"""What a service lets in."""
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def noise(width: int = 60, height: int = 80) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_claiming(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header says anything; 8-bit grey."""

    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def refused(data: bytes, *view: View, **options: object) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, *view, **options)
    return caught.value


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff", "bmp", "gif"])
def test_each_format_is_known_by_its_content(kind):
    image = Image.new("RGB", (32, 16), RED)
    options = {"lossless": True} if kind == "webp" else {}
    found = decode(encoded(image, kind, **options))
    assert (found.kind, found.width, found.height, found.frames) == (kind, 32, 16, 1)
    assert found.image.mode == "RGB"
    assert np.abs(np.asarray(found.image).astype(int) - RED).max() <= 2
    assert found.modality is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html><script>alert(1)</script></html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"%PDF-1.7\n",
        b"PK\x03\x04" + bytes(40),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        encoded(Image.new("RGB", (8, 8)), "PPM"),
        encoded(Image.new("RGB", (8, 8)), "PCX"),
    ],
)
def test_formats_off_the_list_are_refused(data):
    assert refused(data).code == "unsupported_media_type"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff", "bmp", "gif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_cut_file_is_refused_and_never_filled_with_grey(kind, share):
    data = encoded(noise(), kind)
    error = refused(data[: max(int(len(data) * share), 12)])
    assert error.code in {"image_truncated", "image_corrupt"}
    if share > 0.5:
        assert error.code == "image_truncated"


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "tiff_adobe_deflate"])
def test_a_cut_compressed_tiff_is_refused(compression):
    data = encoded(noise(), "tiff", compression=compression)
    assert decode(data).kind == "tiff"
    assert refused(data[: len(data) // 2]).code in {"image_truncated", "image_corrupt"}


def test_a_cut_file_is_refused_even_where_another_package_allows_filling(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(noise(), "jpeg")
    assert refused(data[: len(data) // 2]).code == "image_truncated"
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_a_broken_checksum_is_corrupt():
    data = bytearray(encoded(noise(), "png"))
    data[len(data) // 2] ^= 0xFF
    assert refused(bytes(data)).code == "image_corrupt"


def test_sizes_are_checked_before_anything_is_decoded(monkeypatch):
    def never(self: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    monkeypatch.setattr(Image.Image, "load", never)
    assert refused(png_claiming(9500, 9500)).code == "image_too_many_pixels"
    assert refused(png_claiming(65535, 65535)).code == "image_too_many_pixels"
    assert refused(png_claiming(20_000, 1)).code == "image_aspect_ratio"
    assert refused(webp_claiming(16384, 16384)).code == "image_too_many_pixels"


def webp_claiming(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size + bytes(40)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_limits_can_be_set():
    data = encoded(noise(), "png")
    assert refused(data, limits=Limits(max_bytes=100)).code == "image_too_large"
    assert refused(data, limits=Limits(max_pixels=4799)).code == "image_too_many_pixels"
    assert refused(data, limits=Limits(max_aspect=1.3)).code == "image_aspect_ratio"
    assert decode(data, limits=Limits(max_pixels=4800, max_aspect=1.4)).width == 60


def test_ones_own_mammogram_is_not_too_large():
    # 3,328 x 4,096 pixels of 16 bits, uncompressed: 27 MB
    shades = np.linspace(0, 4095, 4096).astype(np.uint16)
    data = encoded(Image.fromarray(np.tile(shades[:, None], (1, 3328))), "tiff")
    assert len(data) > 27e6
    assert decode(data).height == 4096
    assert refused(data, limits=STRANGERS).code == "image_too_large"


def test_the_limit_of_another_package_stays_as_it_was():
    before = Image.MAX_IMAGE_PIXELS
    decode(encoded(noise(), "png"))
    refused(png_claiming(65535, 65535))
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_then_gone(orientation):
    # Red left of green; orientations 5 to 8 swap width and height.
    image = Image.new("RGB", (32, 16), RED)
    image.paste(GREEN, (16, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(encoded(image, "jpeg", quality=95, exif=exif))
    assert found.image.size == ((16, 32) if orientation >= 5 else (32, 16))
    assert not found.image.info
    assert not found.image.getexif()
    corner = found.image.getpixel((1, 1))
    starts_red = orientation in {1, 4, 5, 6}
    assert corner[0 if starts_red else 1] > 200


def test_sixteen_bits_are_rescaled_linearly():
    # 64 x 64 values from 0 to 65535: a convert without rescaling would turn 99 % of them white.
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    found = decode(encoded(Image.fromarray(ramp), "png"))
    shown = np.asarray(found.image)[..., 0]
    assert (shown[0, 0], shown[-1, -1]) == (0, 255)
    assert shown.mean() == pytest.approx(127.5, abs=1)
    assert "rescaled" in found.warnings[0]


def test_twelve_bits_in_sixteen_use_the_whole_range():
    ramp = np.linspace(0, 4095, 256).astype(np.uint16).reshape(16, 16)
    assert np.asarray(decode(encoded(Image.fromarray(ramp), "png")).image).max() == 255


def test_floats_are_rescaled_and_nan_is_black():
    values = np.array([[np.nan, 0.0], [0.5, 1.0]], np.float32)
    shown = np.asarray(decode(encoded(Image.fromarray(values), "tiff")).image)[..., 0]
    assert shown.tolist() == [[0, 0], [128, 255]]


def test_transparency_is_laid_over_white():
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    shown = decode(encoded(image, "png")).image
    assert [shown.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 0)]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(mode):
    kind = "jpeg" if mode == "CMYK" else "png"
    found = decode(encoded(noise().convert(mode), kind))
    assert found.image.mode == "RGB"
    assert found.image.size == (60, 80)


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_of_an_animation_the_first_picture_is_taken_and_said(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN, BLUE)]
    found = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert found.frames == 3
    assert found.image.getpixel((8, 8))[0] > 240
    assert found.warnings == ("the first of 3 frames is used",)


def test_frames_are_counted_no_further_than_the_limit():
    frames = [Image.new("L", (4, 4), 8 * i) for i in range(30)]
    for kind in ("gif", "tiff"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert decode(data).frames == 30
        assert refused(data, limits=Limits(max_frames=29)).code == "image_too_many_frames"


def test_a_page_of_a_tiff_is_chosen_by_frame():
    pages = [Image.new("RGB", (8 + i, 8), c) for i, c in enumerate((RED, GREEN))]
    data = encoded(pages[0], "tiff", save_all=True, append_images=pages[1:])
    assert decode(data).width == 8
    assert decode(data, View(1)).image.getpixel((0, 0)) == GREEN
    for frame in (2, -1):
        assert refused(data, View(frame)).code == "image_frame"
    assert refused(encoded(noise(), "png"), View(1)).code == "image_frame"


def test_what_follows_the_picture_does_not_come_along():
    found = decode(encoded(noise(), "png") + b"PK\x03\x04 and a whole archive")
    assert b"PK\x03\x04" not in encoded(found.image, "png")


def test_a_dicom_data_set_without_its_preamble_is_named():
    assert refused(b"\x08\x00\x16\x00UI\x1a\x001.2.840.10008").code == "dicom_invalid"


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_end_in_a_picture_or_an_image_error(seed):
    rng = np.random.default_rng(seed)
    kind = ("png", "jpeg", "webp", "tiff", "gif", "bmp")[seed % 6]
    data = bytearray(encoded(noise(20, 20), kind))
    for at in rng.integers(0, len(data), 8):
        data[at] = rng.integers(256)
    filters, code = list(warnings.filters), "image_shown"
    try:
        decode(bytes(data))
    except ImageError as error:
        code = error.code
    assert code.startswith(("image_", "unsupported"))
    assert warnings.filters == filters


def test_importing_it_loads_no_dicom_library():
    code = "import sys, vesalius.cases.image; print('pydicom' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_every_hostile_input_has_the_outcome_its_manifest_asks_for(shared: Path):
    folder = shared / "bad_inputs"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    wrong = {}
    for name, entry in manifest.items():
        statuses, code = entry["expect"]["status"], entry["expect"]["code"]
        allowed = statuses if isinstance(statuses, list) else [statuses]
        try:
            data = (folder / "files" / name).read_bytes()
            found: Decoded | ImageError = decode(data, limits=STRANGERS)
        except ImageError as error:
            found = error
        taken = isinstance(found, Decoded)
        if taken != (201 in allowed) and len(allowed) == 1:
            wrong[name] = str(found)
        if not taken and code is not None and found.code != code:
            wrong[name] = found.code
        if taken and "size_after" in entry["meta"]:
            assert list(found.image.size) == entry["meta"]["size_after"], name
        for secret in entry["meta"].get("forbidden", ()):
            assert secret.encode() not in encoded(found.image, "png"), name
    assert not wrong


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", "macOS"),
        (b"\x1f\x8b\x08" + b"\0" * 20, "gzip"),
        (b"PK\x03\x04" + b"\0" * 20, "zip"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        ((348).to_bytes(4, "little") + b"\0" * 340 + b"n+1\0", "NIfTI"),
        (b"a text", "not PNG, JPEG"),
    ],
)
def test_what_is_often_met_in_a_pictures_place_is_named(data, told):
    with pytest.raises(ImageError, match=told) as fault:
        decode(data)
    assert fault.value.code == "unsupported_media_type"
