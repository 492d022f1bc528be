"""A picture's size off its header is that of its pixels, whatever the format, turn or frame."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import ExifTags, Image
from scans import scan, written

from vesalius.cases.image import decode, picture_size
from vesalius.cases.picture import Picture
from vesalius.cases.view import View
from vesalius.errors import ImageError


def _encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff", "bmp", "gif"])
def test_the_size_is_that_of_the_pixels(kind: str) -> None:
    assert picture_size(_encoded(kind)) == (30, 20)


def test_a_plain_png_is_not_decoded_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _encoded("png")
    monkeypatch.delattr("PIL.ImageFile.ImageFile.load")
    assert picture_size(data) == (30, 20)


@pytest.mark.parametrize("kind", ["jpeg", "png", "png, exif last"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turned_picture_has_its_upright_size(turn: int, kind: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turn
    data = _encoded(kind.partition(",")[0], exif=exif)
    if kind.endswith("last"):  # a chunk: 4 bytes of length, 4 of name, what it holds, 4 to check
        at = data.index(b"eXIf") - 4
        chunk = data[at : at + 12 + int.from_bytes(data[at : at + 4])]
        data = data.replace(chunk, b"").replace(data[-12:], chunk + data[-12:])
    assert picture_size(data) == decode(data).image.size
    assert picture_size(data) == ((20, 30) if turn > 4 else (30, 20))


def test_pages_have_sizes_of_their_own_and_frames_have_one() -> None:
    pages = [Image.new("L", (10, 10)), Image.new("L", (40, 5))]
    data = _encoded("tiff", save_all=True, append_images=pages)
    assert [picture_size(data, View(page)) for page in range(3)] == [(30, 20), (10, 10), (40, 5)]
    with pytest.raises(ImageError, match="there is no frame 3"):
        picture_size(data, View(3))
    dicom = written(scan(np.zeros((3, 8, 16), np.uint16)))
    assert picture_size(dicom, View(2)) == (16, 8)


def test_a_picture_that_is_none_names_its_key() -> None:
    with pytest.raises(ImageError, match=r"^page: ") as caught:
        Picture("page", lambda: b"<html>").size()
    assert caught.value.code == "unsupported_media_type"
