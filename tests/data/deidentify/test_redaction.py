"""Burned-in text: covered where it is found, in every colour model, and nothing else changed."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from planted import done
from pydicom.pixels import pack_bits
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, SegmentationStorage
from scans import colour_scan, scan

from vesalius.data.deidentify.single import Unwanted
from vesalius.errors import ImageError


class Box(NamedTuple):
    x: int
    y: int
    width: int
    height: int


GROUND = np.full((64, 64), 90, np.uint8)
GROUND[40:, :] = 20
TEXT = GROUND.copy()
TEXT[8:14, 10:30] = 255


@pytest.fixture
def reader(monkeypatch):
    """A reader of text that takes every patch of full white for a line of it."""
    looked: list[np.ndarray] = []

    def find(image: Image.Image) -> tuple[Box, ...]:
        bright = np.asarray(image.convert("L")) > 250
        looked.append(bright)
        if not bright.any():
            return ()
        rows, columns = (np.flatnonzero(bright.any(axis=axis)) for axis in (1, 0))
        box = Box(int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
        return (box,)

    monkeypatch.setattr("vesalius.data.burned_in.find_text", find)
    return looked


def cleaned(made: pydicom.Dataset) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(done(made, clean_pixels=True).data))


@pytest.mark.parametrize("compressed", [False, True])
def test_grey(reader, compressed: bool) -> None:
    made = scan(TEXT, BurnedInAnnotation="YES")
    if compressed:
        made.compress(JPEG2000Lossless, generate_instance_uid=False)
    out = cleaned(made)
    assert out.BurnedInAnnotation == "NO"
    assert out.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    pixels = out.pixel_array
    assert (pixels[6:16, 8:32] == 20).all()  # the darkest value, and a margin of two
    untouched = np.ones_like(TEXT, bool)
    untouched[6:16, 8:32] = False
    assert (pixels[untouched] == GROUND[untouched]).all()
    assert [code.CodeValue for code in out.DeidentificationMethodCodeSequence] == [
        "113100", "113101",
    ]  # fmt: skip


def test_a_bar_code_is_covered(reader) -> None:
    line = np.repeat(np.random.default_rng(3).integers(0, 2, 50), 2) * 200
    coded = np.full((100, 160), 90, np.uint8)
    coded[30:70, 30:130] = line
    label = scan(coded, SpecimenLabelInImage="YES")
    made = done(label, clean_pixels=True, allow=["label"])
    out = pydicom.dcmread(io.BytesIO(made.data))
    assert len(np.unique(out.pixel_array[30:70, 30:130])) == 1
    assert (out.pixel_array[:20] == 90).all()
    assert np.array_equal(cleaned(scan(coded)).pixel_array, coded)


def single_bits(**fields: object) -> pydicom.Dataset:
    """A sheet of one bit a pixel, 0 and 255 as it is shown, with a white patch."""
    made = scan((TEXT > 250).astype(np.uint8), **fields)
    made.BitsAllocated, made.BitsStored, made.HighBit = 1, 1, 0
    made.PixelData = pack_bits((TEXT > 250).astype(np.uint8).reshape(-1), pad=True)
    return made


def test_a_sheet_of_single_bits(reader) -> None:
    out = cleaned(single_bits(BurnedInAnnotation="YES"))
    assert (out.BurnedInAnnotation, out.BitsAllocated, len(out.PixelData)) == (
        "NO",
        1,
        64 * 64 // 8,
    )
    assert not out.pixel_array.any()


def test_segments_are_not_looked_at(reader) -> None:
    out = cleaned(single_bits(SOPClassUID=SegmentationStorage))
    np.testing.assert_array_equal(out.pixel_array, TEXT > 250)
    assert not reader


def test_floats(reader) -> None:
    made = scan(TEXT, WindowCenter=128, WindowWidth=256)
    del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
    made.BitsAllocated, made.FloatPixelData = 32, TEXT.astype("<f4").tobytes()
    out = cleaned(made)
    expected = TEXT.astype(np.float32)
    expected[6:16, 8:32] = 20
    np.testing.assert_array_equal(out.pixel_array, expected)


def test_grey_that_is_shown_inverted(reader) -> None:
    made = scan(255 - TEXT, PhotometricInterpretation="MONOCHROME1")
    assert (cleaned(made).pixel_array[6:16, 8:32] == 235).all()


def test_colour_in_any_model(reader) -> None:
    rgb = np.stack([TEXT] * 3, axis=-1)
    assert not cleaned(colour_scan(rgb)).pixel_array[6:16, 8:32].any()
    ybr = np.stack([TEXT, np.full_like(TEXT, 128), np.full_like(TEXT, 128)], axis=-1)
    made = colour_scan(ybr)
    made.PhotometricInterpretation = "YBR_FULL"
    out = cleaned(made)
    assert out.PhotometricInterpretation == "RGB"
    assert not out.pixel_array[6:16, 8:32].any()


def test_a_palette(reader) -> None:
    made = scan(TEXT, PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 8])
        data = np.arange(256, dtype=np.uint8).tobytes()
        setattr(made, f"{colour}PaletteColorLookupTableData", data)
    assert (cleaned(made).pixel_array[6:16, 8:32] == 20).all()


def test_every_frame_is_looked_at(reader) -> None:
    out = cleaned(scan(np.stack([GROUND, TEXT, GROUND]))).pixel_array
    assert (out[1, 6:16, 8:32] == 20).all()
    assert np.array_equal(out[0], GROUND)
    assert np.array_equal(out[2], GROUND)
    assert len(reader) == 6  # and once more after covering


def test_without_text_the_compression_stays(reader) -> None:
    made = scan(GROUND)
    made.compress(JPEG2000Lossless, generate_instance_uid=False)
    out = cleaned(made)
    assert out.file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert out.BurnedInAnnotation == "NO"
    assert np.array_equal(out.pixel_array, GROUND)


def test_text_that_does_not_go_away(monkeypatch) -> None:
    monkeypatch.setattr("vesalius.data.burned_in.find_text", lambda _: (Box(1, 1, 4, 4),))
    with pytest.raises(ImageError) as caught:
        cleaned(scan(GROUND))
    assert caught.value.code == "text_left"


def test_what_the_header_says_is_burned_in_is_refused_without_the_option() -> None:
    with pytest.raises(Unwanted, match="clean-pixels"):
        done(scan(TEXT, BurnedInAnnotation="YES"))


@pytest.mark.slow
def test_written_names_are_read_and_covered() -> None:
    pytest.importorskip("rapidocr")
    image = Image.new("L", (512, 400))
    pen = ImageDraw.Draw(image)
    pen.ellipse((150, 100, 350, 350), fill=90)
    pen.text((10, 10), "DOE JANE 1970-01-01", font=ImageFont.load_default(24), fill=255)
    pixels = np.array(image)
    out = cleaned(scan(pixels, BurnedInAnnotation="YES")).pixel_array
    assert pixels[:40].max() == 255
    assert out[:40].max() == 0
    assert np.array_equal(out[60:], pixels[60:])
