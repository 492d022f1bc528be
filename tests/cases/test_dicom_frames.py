"""A frame count and the pixel data agree, or both `ask` and an upload say that they do not."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from scans import colour_scan, scan, written

from vesalius.cases.image import decode, picture_size
from vesalius.cases.reencode import reencode
from vesalius.errors import ImageError

FRAMES = np.random.default_rng(0).integers(0, 255, (3, 64, 48), dtype=np.uint8)
SYNTAXES = [None, RLELossless, JPEG2000Lossless, JPEGLSLossless]


def packed(syntax: str | None, pixels: np.ndarray = FRAMES) -> Dataset:
    made = scan(pixels)
    if syntax is not None:
        made.compress(syntax, generate_instance_uid=False)
    return made


def refused(data: bytes) -> ImageError:
    """The one reason that all who read it give."""
    reasons = []
    for reading in (decode, reencode, picture_size):
        with pytest.raises(ImageError) as caught:
            reading(data)
        reasons.append(caught.value)
    assert len({(error.code, str(error)) for error in reasons}) == 1
    return reasons[0]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("said", "code"), [(None, "dicom_invalid"), (1, "dicom_invalid"), (2, "dicom_invalid")]
)
def test_more_frames_than_are_said(syntax, said, code):
    made = packed(syntax)
    del made.NumberOfFrames
    if said is not None:
        made.NumberOfFrames = said
    error = refused(written(made))
    assert error.code == code
    assert error.what == f"NumberOfFrames (0028,0008) says {said or 1}, the pixel data holds 3"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_fewer_frames_than_are_said(syntax):
    made = packed(syntax)
    made.NumberOfFrames = 4
    error = refused(written(made))
    assert error.code == "image_truncated"
    assert error.what == "NumberOfFrames (0028,0008) says 4, the pixel data holds 3"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_as_many_as_are_said(syntax):
    data = written(packed(syntax))
    assert decode(data).frames == reencode(data).frames == 3
    kept = decode(reencode(data).data)
    assert np.array_equal(np.asarray(kept.image), np.asarray(decode(data).image))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("table", [True, False])
def test_a_frame_in_several_fragments_is_one(syntax, table):
    made = packed(syntax, FRAMES[0])
    frames = list(generate_frames(made.PixelData, number_of_frames=1))
    made.PixelData = encapsulate(frames, fragments_per_frame=3, has_bot=table)
    made["PixelData"].is_undefined_length = True
    data = written(made)
    assert decode(data).frames == reencode(data).frames == 1


def test_padding_of_the_pixel_data_is_no_frame():
    """An odd length is padded; bits of one frame leave room for more in their last byte."""
    odd = scan(FRAMES[0, :1, :1])
    assert decode(written(odd)).frames == 1
    mask = np.array([[1, 0], [0, 1]], np.uint8)
    bits = np.packbits(mask.reshape(-1), bitorder="little").tobytes() + b"\0"
    made = scan(mask, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=bits)
    assert decode(written(made)).frames == 1
    longer = scan(FRAMES[0])
    longer.PixelData += bytes(10)  # excess that is no whole frame
    assert decode(written(longer)).frames == 1


def test_colours_stored_whole_are_not_half_of_them():
    """YBR_FULL_422 has two samples a pixel; some write three and name it so all the same."""
    pixels = np.full((8, 6, 3), 128, np.uint8)
    full = colour_scan(pixels, PhotometricInterpretation="YBR_FULL_422")
    full.PhotometricInterpretation = "YBR_FULL_422"
    error = refused(written(full))
    assert error.code == "dicom_invalid"
    assert error.what.startswith("PhotometricInterpretation (0028,0004) says YBR_FULL_422, but")
    full.PixelData = full.PixelData[: 8 * 6 * 2]
    data = written(full)
    assert decode(data).frames == reencode(data).frames == 1


def test_a_frame_count_that_is_none_is_named():
    made = packed(None)
    made.NumberOfFrames = 77
    data = written(made)
    element = b"\x28\x00\x08\x00IS\x02\x00"
    assert data.count(element + b"77") == 1
    for said in (b"3x", b"-3", b"J\\"):
        error = refused(data.replace(element + b"77", element + said))
        assert error.what == "NumberOfFrames (0028,0008) is no number of frames"
    three = element.replace(b"\x02", b"\x04") + b"3.0 "
    assert decode(data.replace(element + b"77", three)).frames == 3


@pytest.mark.parametrize(("rows", "said"), [(64, False), (60, True), (33, True)])
def test_pixels_beyond_the_rows_that_are_said(rows, said):
    made = scan(FRAMES[0])
    made.Rows = rows
    decoded = decode(written(made))
    assert decoded.image.size == (48, rows)
    assert any("more than the header describes" in one for one in decoded.warnings) == said


def test_a_byte_that_pads_is_no_surplus():
    assert not decode(written(scan(FRAMES[0][:63, :47]))).warnings
