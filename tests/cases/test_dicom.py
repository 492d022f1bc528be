"""DICOM to shades: each step of PS3.3 C.11, and that no error or warning names a patient."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image, ImageChops
from pydicom.dataset import Dataset
from scans import SECRETS, colour_scan, scan, written

from vesalius.cases.decoded import Decoded, Limits
from vesalius.cases.image import decode
from vesalius.cases.reencode import reencode
from vesalius.cases.view import OWN_VIEW, View
from vesalius.errors import ImageError

RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)


def decoded(made: Dataset, view: View = OWN_VIEW) -> Decoded:
    return decode(written(made), view)


def shades(made: Dataset, view: View = OWN_VIEW) -> np.ndarray:
    return np.asarray(decoded(made, view).image)[..., 0].astype(int)


def refused(made: Dataset, view: View = OWN_VIEW, **how: object) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(written(made), view, **how)
    told = repr(caught.value) + str(caught.value)
    assert not any(secret in told for secret in SECRETS)
    return caught.value


def test_rescale_then_window():
    # Values run from −1024 to 3056 HU in steps of 16. The window (40, 400) is linear between
    # 40 − 0.5 − 399/2 = −160 and 239 (PS3.3 C.11.2.1.2): black at −160, 255·(32 + 160)/399 at 32.
    made = scan(RAMP, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    found, hounsfield = shades(made), RAMP.astype(int) - 1024
    assert found[hounsfield <= -160].max() == 0
    assert found[hounsfield >= 239].min() == 255
    assert found[hounsfield == 32].tolist() == [round(255 * 192 / 399)]
    assert decoded(made).modality == "CT"
    assert decoded(made).warnings == ()


def test_the_first_of_several_windows_is_used():
    several = scan(RAMP, WindowCenter=[1000, 3000], WindowWidth=[400, 100])
    first = scan(RAMP, WindowCenter=1000, WindowWidth=400)
    np.testing.assert_array_equal(shades(several), shades(first))


def test_a_window_can_be_forced():
    made = scan(RAMP, WindowCenter=1000, WindowWidth=400)
    wanted = scan(RAMP, WindowCenter=2000, WindowWidth=4000)
    np.testing.assert_array_equal(shades(made, View(None, (2000, 4000))), shades(wanted))
    for window in ((2000, 0), (2000, np.inf), (np.nan, 400), (-np.inf, 400)):
        assert refused(made, View(None, window)).code == "image_window"


UNUSABLE = "a window without a width above 0"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"WindowCenter": 40, "WindowWidth": 0}, UNUSABLE),
        ({"WindowCenter": 40, "WindowWidth": -5}, UNUSABLE),
        ({}, "no window"),
    ],
)
def test_without_a_usable_window_percentiles_are_shown_and_said(fields, why):
    made = scan(RAMP, **fields)
    found = decoded(made)
    assert found.warnings == (f"{why} in the header: the 0.5th to 99.5th percentiles are shown",)
    grey = np.asarray(found.image)[..., 0].astype(int)
    # Percentiles of 256 even steps: 0.005 · 255 · 16 = 20.4 and 4059.6. 2048 is in the middle.
    assert grey[RAMP == 2048].tolist() == [round(255 * (2048 - 20.4) / (4059.6 - 20.4))]


@pytest.mark.parametrize("width", ["abc", "NaN", "inf"])
def test_a_window_that_is_no_number_is_no_window(width):
    """The picture is shown all the same; what is kept of it, too."""
    data = written(scan(RAMP, WindowCenter=40, WindowWidth="4096"))
    element = b"DS\x04\x00"  # a UID may hold the same digits
    assert data.count(element + b"4096") == 1
    data = data.replace(element + b"4096", element + width.ljust(4).encode())
    found = decode(data)
    assert found.warnings == (
        f"{UNUSABLE} in the header: the 0.5th to 99.5th percentiles are shown",
    )
    kept = reencode(data)
    assert kept.warnings == found.warnings
    assert not ImageChops.difference(decode(kept.data).image, found.image).getbbox()


def test_padding_does_not_move_the_percentiles():
    holed = RAMP.copy()
    holed[0] = 0
    kept = shades(scan(holed, PixelPaddingValue=0))[1:]
    assert kept.min() == 0
    assert shades(scan(holed))[1:].min() > 0


def test_a_modality_table_comes_before_the_window():
    table = Dataset()
    # 256 entries of 16 bits from stored value 0 on: value v becomes 4·v.
    table.LUTDescriptor, table.ModalityLUTType = [256, 0, 16], "US"
    table.LUTData = (4 * np.arange(256)).astype("<u2").tobytes()
    steps = np.arange(256, dtype=np.uint8).reshape(16, 16)
    made = scan(steps, ModalityLUTSequence=[table], WindowCenter=512, WindowWidth=1024)
    linear = scan(steps, RescaleSlope=4, RescaleIntercept=0, WindowCenter=512, WindowWidth=1024)
    np.testing.assert_array_equal(shades(made), shades(linear))


def test_a_voi_table_looks_up_modality_values():
    table = Dataset()
    # 512 entries of 16 bits from value -56 on: black below 200, white from there on.
    table.LUTDescriptor = [512, -56, 16]
    table.LUTData = (60000 * (np.arange(512) - 56 >= 200)).astype("<u2").tobytes()
    table["LUTDescriptor"].VR, table["LUTData"].VR = "SS", "OW"
    steps = np.arange(256, dtype=np.int16).reshape(16, 16)
    made = scan(steps, RescaleSlope=2, RescaleIntercept=-56, VOILUTSequence=[table])
    # 2 s - 56 >= 200 from the stored value 128 on; no stored value reaches 200 + 128
    # Of 16 bits, 60000 is 255 * 60000 / 65535 = 233.5, whatever else the picture holds.
    np.testing.assert_array_equal(shades(made), np.where(steps >= 128, 233, 0))


def test_values_beyond_a_voi_table_take_its_ends():
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 100, 16], np.array([0, 1, 2, 65535], "<u2").tobytes()
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    # 40 s: 0, 40, 80, ... 80000, beyond what 16 bits hold
    steps = np.array([[0, 1], [3, 2000]], np.uint16)
    made = scan(steps, RescaleSlope=40, RescaleIntercept=0, VOILUTSequence=[table])
    assert shades(made).tolist() == [[0, 0], [255, 255]]


@pytest.mark.parametrize("bits", [1, 4])
def test_fewer_than_eight_bits_use_the_whole_range(bits):
    # Four bits: 0..15 become 0, 17, ... 255.
    top = 2**bits - 1
    steps = (np.arange(256) % (top + 1)).astype(np.uint8).reshape(16, 16)
    made = scan(steps, BitsStored=bits, HighBit=bits - 1)
    np.testing.assert_array_equal(shades(made), steps * (255 // top))


def test_a_segmentation_of_one_bit_is_black_and_white():
    mask = np.random.default_rng(0).integers(0, 2, (2, 16, 16), dtype=np.uint8)
    packed = np.packbits(mask.reshape(-1), bitorder="little").tobytes()
    made = scan(mask, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=packed)
    np.testing.assert_array_equal(shades(made, View(1)), 255 * mask[1])


def test_monochrome1_is_inverted_last():
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    inverse = scan(RAMP, PhotometricInterpretation="MONOCHROME1", **window)
    np.testing.assert_array_equal(shades(inverse), 255 - shades(scan(RAMP, **window)))


def test_eight_bits_without_a_window_stay_as_they_are():
    steps = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(shades(scan(steps)), steps)


def test_signed_values():
    values = np.array([[-200, -100], [0, 100]], np.int16)
    # (0, 256) is linear from −128 to 127: −200 is black, −100 and 0 in between, 100 below white.
    found = shades(scan(values, WindowCenter=0, WindowWidth=256))
    assert found.reshape(-1).tolist() == [0, 28, 128, 228]


def test_rgb():
    colours = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    found = decoded(colour_scan(colours, Modality="US"))
    np.testing.assert_array_equal(np.asarray(found.image), colours)
    assert (found.width, found.height, found.modality) == (10, 8, "US")


FRAMES = np.stack([np.full((4, 6), 40 * n, np.uint8) for n in range(5)])


@pytest.mark.parametrize(("asked", "shade"), [(None, 80), (0, 0), (1, 40), (4, 160)])
def test_frames_by_number_and_the_middle_one_by_default(asked, shade):
    found = decoded(scan(FRAMES), View(asked))
    assert found.image.getpixel((0, 0)) == (shade,) * 3
    assert found.frames == 5
    said = ("frame 2 of 5 (counted from 0) is used",) if asked is None else ()
    assert found.warnings == said


@pytest.mark.parametrize("frame", [5, -1])
def test_a_frame_that_is_not_there(frame):
    assert refused(scan(FRAMES), View(frame)).code == "image_frame"


def test_too_many_frames():
    assert refused(scan(FRAMES), limits=Limits(max_frames=4)).code == "image_too_many_frames"


def test_an_object_without_pixels():
    assert refused(scan()).code == "dicom_no_pixels"


def test_sizes_are_checked_before_anything_is_allocated():
    assert refused(scan(RAMP, Rows=65535, Columns=65535)).code == "image_too_many_pixels"
    assert refused(scan(RAMP, Rows=17)).code == "image_truncated"
    assert refused(scan(RAMP, NumberOfFrames=2)).code == "image_truncated"


def test_descriptions_that_make_no_sense():
    assert refused(scan(RAMP, PhotometricInterpretation="CMYK")).code == "dicom_invalid"
    without = scan(RAMP)
    del without.Rows
    assert refused(without).code == "dicom_invalid"


def test_a_header_cut_anywhere_is_refused_without_naming_the_patient():
    whole = written(scan(RAMP))
    for end in range(128, len(whole) - 1, 37):
        with pytest.raises(ImageError) as caught:
            decode(whole[:end])
        assert not any(secret in str(caught.value) for secret in SECRETS), end


def test_burned_in_text_is_pointed_out():
    steps = np.zeros((4, 4), np.uint8)
    found = decoded(scan(steps, BurnedInAnnotation="YES"))
    assert found.warnings == ("the header says that text is burned into the picture",)


def test_nothing_of_the_header_is_said_again():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's own, on writing such a modality
        data = written(scan(FRAMES, Modality="DOE^JANE"))
    found = decode(data)
    assert found.modality is None
    assert not any(secret in repr(found) for secret in SECRETS)
    assert isinstance(found.image, Image.Image)
    assert not found.image.info


def test_no_log_repeats_the_header(caplog: pytest.LogCaptureFixture):
    # pydicom logs an unknown character set by its name, whatever somebody wrote there.
    made = scan(FRAMES)
    made.SpecificCharacterSet = "ISO_IR 100"
    data = written(made).replace(b"ISO_IR 100", b"DOE^JANE  ")
    with caplog.at_level("DEBUG"):
        decode(data)
    assert not any(secret in caplog.text for secret in SECRETS)


def test_a_modality_is_a_defined_term_or_none():
    assert decoded(scan(RAMP, Modality="XA")).modality == "XA"
    assert decoded(scan(RAMP, Modality="DOEJANE")).modality is None


@pytest.mark.parametrize(("factor", "said"), [(1, True), (257, False)])
def test_a_palette_whose_numbers_fill_fewer_bits_than_it_states(factor, said):
    made = scan(np.arange(256, dtype=np.uint8).reshape(16, 16))
    made.PhotometricInterpretation = "PALETTE COLOR"
    for name in ("Red", "Green", "Blue"):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        numbers = (np.arange(256) * factor).astype("<u2").tobytes()
        setattr(made, f"{name}PaletteColorLookupTableData", numbers)
    decoded = decode(written(made))
    assert ("in one shade" in "".join(decoded.warnings)) == said
    assert np.unique(np.asarray(decoded.image)).size == (1 if said else 256)
