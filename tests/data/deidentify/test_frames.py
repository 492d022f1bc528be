"""Frames and pixels agree in what is written, or nothing is written."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from planted import GREY, done, jpeg
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless
from scans import scan, written

from vesalius.data.deidentify.operators import element
from vesalius.errors import ImageError

THREE = np.stack([GREY, GREY[::-1], GREY.T])


def read(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


def counted(pixels: np.ndarray, count: str) -> Dataset:
    made = scan(pixels)
    made.add(element(0x00280008, "IS", count))
    return made


@pytest.mark.parametrize("count", ["3", "3.0", "3.", " 3", "+3"])
def test_a_whole_number_of_frames_is_one_however_it_is_written(count: str) -> None:
    made = written(counted(THREE, "30"))
    at = made.index(b"\x28\x00\x08\x00IS")
    size = len(count) + len(count) % 2
    raw = made[: at + 6] + bytes([size, 0]) + count.encode().ljust(size) + made[at + 10 :]
    out = read(done(raw).data)
    assert str(out.NumberOfFrames) == count.strip(" +").partition(".")[0]
    assert np.array_equal(out.pixel_array, THREE)


@pytest.mark.parametrize("count", ["", "0"])
def test_no_number_of_frames_is_one(count: str) -> None:
    out = read(done(counted(GREY, count)).data)
    assert (out.NumberOfFrames, out.pixel_array.shape) == (1, GREY.shape)


@pytest.mark.parametrize(
    ("count", "code"),
    [("1", "dicom_frames"), ("2", "dicom_frames"), ("4", "image_truncated"), ("", "dicom_frames")],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_frames_that_are_not_as_many_as_claimed_are_refused(count, code, compressed) -> None:
    made = counted(THREE, "3")
    if compressed:
        made.compress(RLELossless, generate_instance_uid=False)
    made.add(element(0x00280008, "IS", count))
    with pytest.raises(ImageError) as caught:
        done(made)
    assert caught.value.code == code


def test_jpeg_frames_under_a_header_of_one() -> None:
    made = jpeg(b"none", frames=3)
    del made.NumberOfFrames
    with pytest.raises(ImageError) as caught:
        done(made)
    assert caught.value.code == "dicom_frames"


def test_one_rle_frame_is_one() -> None:
    made = scan(GREY)
    made.compress(RLELossless, generate_instance_uid=False)
    assert np.array_equal(read(done(made).data).pixel_array, GREY)


def test_one_jpeg_frame_in_several_fragments_is_one() -> None:
    made = jpeg(b"none")
    (frame,) = pydicom.encaps.generate_frames(made.PixelData, number_of_frames=1)
    made.PixelData = encapsulate([frame], fragments_per_frame=3, has_bot=False)
    assert read(done(made).data).pixel_array.shape == GREY.shape


def test_a_description_that_may_not_stay_refuses_the_file() -> None:
    made = scan(GREY)
    made.add(element(0x00280010, "US", [16, 16]))
    with pytest.raises(ImageError):
        done(made)


def test_good_values_stay_beside_a_bad_one() -> None:
    made = scan(GREY)
    made.add(element(0x00080008, "CS", ["ORIGINAL", "PRIMARY", "Doe, Jane", "Axial"]))
    made.add(element(0x00180015, "CS", "Chest"))
    made.add(element(0x00180022, "CS", ["FAST_GEMS", "x" * 20]))
    made.add(element(0x00181210, "SH", ["B30f", "a\x07b"]))
    made.add(element(0x00281050, "DS", ["40", "30", "9999"]))
    made.add(element(0x00280030, "DS", ["0.5", "9999"]))
    out = read(done(written(made).replace(b"9999", b"Doe ")).data)
    assert list(out.ImageType) == ["ORIGINAL", "PRIMARY", "", "AXIAL"]
    assert (out.BodyPartExamined, list(out.ScanOptions)) == ("CHEST", ["FAST_GEMS", ""])
    assert (list(out.ConvolutionKernel), list(out.WindowCenter)) == (["B30f", ""], [40, 30])
    assert "PixelSpacing" not in out


@pytest.mark.parametrize("value", ["ORIGINAL", "Original"])
def test_an_image_type_of_one_value_stays(value: str) -> None:
    made = scan(GREY)
    made.add(element(0x00080008, "CS", value))
    assert read(done(made).data).ImageType == "ORIGINAL"
