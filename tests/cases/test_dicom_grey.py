"""Grey values to shades as PS3.3 says it: windows, tables, padding, sign, and what is told."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from scans import scan, written

from vesalius.cases.decoded import Decoded
from vesalius.cases.image import decode
from vesalius.cases.reencode import reencode
from vesalius.cases.view import OWN_VIEW, View
from vesalius.errors import ImageError

PERCENTILES = "no window in the header: the 0.5th to 99.5th percentiles are shown"
OWN = "no window in the header: the picture's own range of values is shown"
EXACT = "a window narrower than 1 is shown as LINEAR_EXACT (PS3.3 C.11.2.1.3)"
STEPS = np.arange(256).reshape(16, 16)


def decoded(made: Dataset, view: View = OWN_VIEW) -> Decoded:
    """As the file is shown, and as what is kept of it is shown, too."""
    data = written(made)
    found, kept = decode(data, view), reencode(data)
    again = decode(kept.data, view)
    assert np.array_equal(np.asarray(again.image), np.asarray(found.image))
    assert again.warnings == found.warnings
    return found


def shades(made: Dataset, view: View = OWN_VIEW) -> np.ndarray:
    return np.asarray(decoded(made, view).image)[..., 0].astype(int)


def refused(made: Dataset) -> str:
    """Why, by `ask` and by an upload alike."""
    with pytest.raises(ImageError) as caught:
        decode(written(made))
    with pytest.raises(ImageError) as kept:
        reencode(written(made))
    assert str(kept.value) == str(caught.value)
    assert caught.value.code == "dicom_invalid"
    return caught.value.what


def share(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.rint((values.astype(np.float64) - low).clip(0, high - low) * 255 / (high - low))


@pytest.mark.parametrize("width", [0.8, 0.999, 0.001])
@pytest.mark.parametrize("by", ["file", "user"])
def test_a_window_narrower_than_one_is_exact_and_said(width, by):
    # Values 0, 0.001 ... 0.255, C 0.1: LINEAR_EXACT is linear from C - W/2 to C + W/2.
    window = {"WindowCenter": 0.1, "WindowWidth": width} if by == "file" else {}
    view = View() if by == "file" else View(None, (0.1, width))
    made = scan(STEPS.astype(np.uint16), RescaleSlope=0.001, RescaleIntercept=0, **window)
    found = decoded(made, view)
    assert found.warnings == (EXACT,)
    wanted = share(STEPS / 1000, 0.1 - width / 2, 0.1 + width / 2)
    assert np.abs(np.asarray(found.image)[..., 0] - wanted).max() <= 1


def test_a_window_of_one_is_a_step_and_exact_ones_may_be_narrow():
    one = scan(STEPS.astype(np.uint16), WindowCenter=100, WindowWidth=1)
    # black up to C - 0.5, white above it
    np.testing.assert_array_equal(shades(one), np.where(STEPS > 99.5, 255, 0))
    for function in ("LINEAR_EXACT", "SIGMOID"):
        narrow = {"WindowCenter": 0.1, "WindowWidth": 0.1, "VOILUTFunction": function}
        made = scan(STEPS.astype(np.uint16), RescaleSlope=0.001, RescaleIntercept=0, **narrow)
        assert decoded(made).warnings == ()
        assert shades(made)[6, 4] == 128


def test_a_function_of_no_standard_is_linear_and_said():
    window = {"WindowCenter": 100, "WindowWidth": 50}
    odd = decoded(scan(STEPS.astype(np.uint16), VOILUTFunction="JANE", **window))
    plain = decoded(scan(STEPS.astype(np.uint16), **window))
    assert np.array_equal(np.asarray(odd.image), np.asarray(plain.image))
    assert odd.warnings == (
        "VOILUTFunction (0028,1056) is none of the standard's: LINEAR is shown",
    )


def test_a_window_beside_all_values_is_said():
    beside = scan(STEPS.astype(np.uint16), WindowCenter=5000, WindowWidth=50)
    assert decoded(beside).warnings == ("the header's window shows the whole picture in one shade",)


@pytest.mark.parametrize(
    "fields",
    [
        {"RescaleSlope": 4, "RescaleIntercept": -1024},
        {"RescaleSlope": 0.0039, "RescaleIntercept": 0},
        {"RescaleSlope": 100, "RescaleIntercept": 0},
        {"RescaleIntercept": -1000},
        {"BitsStored": 8, "HighBit": 7, "PixelRepresentation": 1},
    ],
)
def test_eight_bits_that_are_no_shades_yet_span_all_shades(fields):
    pixels = STEPS.astype(np.uint8)
    found = decoded(scan(pixels, **fields))
    assert found.warnings == (OWN,)
    values = pixels.astype(np.int8) if "PixelRepresentation" in fields else pixels
    np.testing.assert_array_equal(
        np.asarray(found.image)[..., 0], share(values, int(values.min()), int(values.max()))
    )


def test_the_range_is_the_pictures_not_the_bits_and_a_slope_may_fall():
    counts = (STEPS % 200).astype(np.uint8)
    made = scan(counts, RescaleSlope=100, RescaleIntercept=0)
    assert shades(made)[STEPS == 50].tolist() == [round(255 * 50 / 199)]
    falling = scan(counts, RescaleSlope=-1, RescaleIntercept=255)
    np.testing.assert_array_equal(shades(falling), 255 - shades(made))


def test_one_hot_pixel_does_not_darken_eight_bits():
    counts = (STEPS % 20).astype(np.uint8)
    counts[0, 0] = 255
    found = decoded(scan(counts, RescaleSlope=3, RescaleIntercept=0))
    assert found.warnings == (PERCENTILES,)
    assert np.asarray(found.image)[1:, :, 0].max() == 255


def test_a_picture_of_nearly_one_value_keeps_what_differs():
    """Both percentiles are the ground's: the few pixels that differ are the picture."""
    for ground, mark in ((0, 900), (900, 0)):
        pixels = np.full((32, 32), ground, np.uint16)
        pixels[3, 3:5] = mark
        found = shades(scan(pixels))
        assert (found[3, 3], found[9, 9]) == ((255, 0) if mark else (0, 255))


def table(
    entries: int, first: int, bits: int, data: object, descriptor: str = "US", vr: str = "OW"
) -> Dataset:
    made = Dataset()
    made.add_new(0x00283002, descriptor, [entries, first, bits])
    made.add_new(0x00283006, vr, data)
    return made


def words(numbers: np.ndarray) -> bytes:
    return numbers.astype("<u2").tobytes()


def test_a_modality_table_on_eight_bits_without_a_window():
    made = scan(
        STEPS.astype(np.uint8),
        ModalityLUTSequence=[table(256, 0, 16, words(np.arange(256) * 100 + 7))],
    )
    np.testing.assert_array_equal(shades(made), STEPS)
    assert decoded(made).warnings == (OWN,)


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (10, 1023), (12, 4095), (16, 65535)])
def test_a_voi_table_spans_its_stated_bits_and_is_not_stretched(bits, top):
    # The table's middle half: the picture holds shades of 64 to 191 and no others.
    numbers = np.rint(np.linspace(top / 4, top * 3 / 4, 256))
    made = scan(STEPS.astype(np.uint16), VOILUTSequence=[table(256, 0, bits, words(numbers))])
    np.testing.assert_array_equal(shades(made), np.rint(numbers * (255 / top)).reshape(16, 16))
    dark = scan(np.full((4, 4), 3, np.uint16), VOILUTSequence=made.VOILUTSequence)
    assert shades(dark)[0, 0] == shades(made)[0, 3]


def test_bytes_packed_in_words_are_a_table_of_bytes():
    numbers = np.arange(256)[::-1].astype(np.uint8)
    for vr, data in (
        ("OW", numbers.tobytes()),
        ("US", np.frombuffer(numbers.tobytes(), "<u2").tolist()),
        ("OW", words(numbers)),
        ("US", numbers.tolist()),
    ):
        made = scan(STEPS.astype(np.uint16), VOILUTSequence=[table(256, 0, 8, data, vr=vr)])
        np.testing.assert_array_equal(shades(made), 255 - STEPS)


def test_no_entries_are_all_that_sixteen_bits_count():
    made = scan(
        (STEPS * 257).astype(np.uint16),
        VOILUTSequence=[table(0, 0, 16, words(np.arange(65536)))],
    )
    np.testing.assert_array_equal(shades(made), STEPS)


@pytest.mark.parametrize(
    ("pixels", "fields"),
    [
        ((STEPS - 128).astype(np.int16), {}),
        (STEPS.astype(np.uint16), {"RescaleSlope": 1, "RescaleIntercept": -128}),
    ],
)
@pytest.mark.parametrize("written_as", ["US", "SS"])
def test_the_first_value_mapped_is_signed_where_values_are(pixels, fields, written_as):
    first = 65536 - 128 if written_as == "US" else -128
    entry = table(256, first, 8, words(np.arange(256)), descriptor=written_as)
    np.testing.assert_array_equal(shades(scan(pixels, VOILUTSequence=[entry], **fields)), STEPS)


def test_the_first_value_mapped_is_no_negative_one_beside_unsigned_values():
    entry = table(256, 65280, 8, words(np.arange(256)))
    made = scan((STEPS + 65280).astype(np.uint16), VOILUTSequence=[entry])
    np.testing.assert_array_equal(shades(made), STEPS)


def test_numbers_above_the_stated_bits_are_white_and_said():
    entry = table(256, 0, 8, words(np.arange(256) * 2))
    found = decoded(scan(STEPS.astype(np.uint16), VOILUTSequence=[entry]))
    assert np.asarray(found.image)[8:, :, 0].min() == 255
    assert found.warnings == (
        "the look-up table holds values above its stated bits: they are shown white",
    )


def test_a_broken_voi_table_is_named_and_the_values_are_shown():
    short = scan(STEPS.astype(np.uint16), VOILUTSequence=[table(300, 0, 16, words(STEPS[0]))])
    found = decode(written(short))
    assert found.warnings == (
        "the VOI table is not used: LUTData (0028,3006) has fewer numbers than its descriptor says",
        PERCENTILES,
    )
    kept = decode(reencode(written(short)).data)
    assert np.array_equal(np.asarray(kept.image), np.asarray(found.image))
    broken = scan(STEPS.astype(np.uint16), ModalityLUTSequence=[table(300, 0, 16, words(STEPS[0]))])
    assert "LUTData (0028,3006)" in refused(broken)


def holed(dtype: type, value: int, *more: int) -> np.ndarray:
    pixels = (STEPS * 10).astype(dtype)
    for row, one in enumerate((value, *more)):
        pixels[row] = one
    return pixels


@pytest.mark.parametrize(
    ("pixels", "vr", "padding", "limit"),
    [
        (holed(np.int16, -2000), "US", 63536, None),
        (holed(np.int16, -2000), "SS", -2000, None),
        (holed(np.uint16, 63536), "SS", -2000, None),
        (holed(np.uint16, 0, 50, 100), "US", 0, 100),
        (holed(np.uint16, 0, 50, 100), "US", 100, 0),
        (holed(np.int16, -2000, -1500, -1000), "US", 63536, 64536),
    ],
)
def test_padding_is_left_out_by_sign_and_range(pixels, vr, padding, limit):
    made = scan(pixels)
    made.add_new(0x00280120, vr, padding)
    if limit is not None:
        made.add_new(0x00280121, vr, limit)
    rows = slice(1 if limit is None else 3, None)
    seen = pixels[rows]
    low, high = np.percentile(seen, (0.5, 99.5))
    assert np.abs(shades(made)[rows] - share(seen, low, high)).max() <= 1
    assert decoded(made).warnings == (PERCENTILES,)


def test_padding_alone_is_shown_as_values_are():
    assert shades(scan(np.full((4, 4), 7, np.uint16), PixelPaddingValue=7)).max() == 0


def test_padding_that_is_no_number_is_said_and_not_used():
    data = written(scan((STEPS * 10).astype(np.uint16), PixelPaddingValue=[0, 100]))
    found = decode(data)
    assert found.warnings == (
        "padding is not left out: PixelPaddingValue (0028,0120) has 2 values where one is due",
        PERCENTILES,
    )
    assert np.array_equal(np.asarray(decode(reencode(data).data).image), np.asarray(found.image))


@pytest.mark.parametrize(
    ("dtype", "name"), [("<f4", "FloatPixelData"), ("<f8", "DoubleFloatPixelData")]
)
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 1, "WindowWidth": 0.5}])
def test_fractions_that_are_no_numbers_are_the_lowest(dtype, name, window):
    values = (STEPS / 128).astype(dtype)
    values[0, :3], values[1, :] = (np.nan, np.inf, -np.inf), -1e30
    made = scan(STEPS.astype(np.uint16), BitsAllocated=8 * np.dtype(dtype).itemsize, **window)
    del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
    setattr(made, name, values.tobytes())
    setattr(made, name.removesuffix("Data") + "PaddingValue", float(np.float32(-1e30)))
    found = decoded(made)
    grey = np.asarray(found.image)[..., 0]
    assert grey[0, :3].tolist() == [0, 0, 0]
    assert grey[2:].max() == 255
    assert grey[5].min() > 0 if not window else grey[8, 0] == 128
    assert found.warnings[-1] == "pixels that are no finite numbers are shown as the lowest"


def test_doubles_keep_what_single_precision_would_lose():
    values = 1e9 + STEPS / 1000
    made = scan(STEPS.astype(np.uint16), BitsAllocated=64)
    del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
    made.DoubleFloatPixelData = values.astype("<f8").tobytes()
    assert len(np.unique(shades(made))) > 250


def test_thirty_two_bits_keep_their_lowest():
    values = (2**31 + STEPS).astype(np.uint32)
    assert len(np.unique(shades(scan(values)))) > 250


@pytest.mark.parametrize("signed", [False, True])
def test_the_high_bit_says_which_bits_are_the_values(signed):
    values = (STEPS * 16 - (2048 if signed else 0)).astype(np.int16)
    placed = (values << 4 | 0x5).astype(np.int16 if signed else np.uint16)
    window = {"WindowCenter": 0 if signed else 2048, "WindowWidth": 4096}
    made = scan(placed, BitsStored=12, HighBit=15, **window)
    plain = scan(
        values if signed else values.astype(np.uint16), BitsStored=12, HighBit=11, **window
    )
    np.testing.assert_array_equal(shades(made), shades(plain))


def test_a_high_bit_that_is_none_is_said_and_not_believed():
    odd = decode(written(scan(STEPS.astype(np.uint8), HighBit=3)))
    np.testing.assert_array_equal(np.asarray(odd.image)[..., 0], STEPS)
    assert odd.warnings == (
        "HighBit (0028,0102) does not go with the stored bits: the lowest are shown",
    )


def test_overlays_above_the_values_are_not_shown():
    values = (STEPS * 16).astype(np.uint16)
    fields = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
    over = scan(values | 0x8000, **fields)
    np.testing.assert_array_equal(shades(over), shades(scan(values, **fields)))


@pytest.mark.parametrize(
    ("name", "said", "fault"),
    [
        ("RescaleIntercept", b"0,50", "is no number"),
        ("RescaleSlope", b"1\\10", "has 2 values where one is due"),
        ("RescaleSlope", b"JANE", "is no number"),
        ("RescaleIntercept", b"inf ", "is no number"),
    ],
)
def test_a_rescale_that_is_no_number_is_named(name, said, fault):
    data = written(scan(STEPS.astype(np.uint16), **{name: "7777"}))
    element = b"DS\x04\x00"  # a UID may hold the same digits
    assert data.count(element + b"7777") == 1
    data = data.replace(element + b"7777", element + said)
    for reading in (decode, reencode):
        with pytest.raises(ImageError) as caught:
            reading(data)
        assert caught.value.code == "dicom_invalid"
        assert caught.value.what.startswith(name)
        assert caught.value.what.endswith(fault)


def test_a_slope_of_nothing_is_said():
    found = decoded(scan(STEPS.astype(np.uint16), RescaleSlope=0, RescaleIntercept=5))
    assert found.warnings == ("RescaleSlope (0028,1053) is 0: taken for 1", PERCENTILES)
    assert np.asarray(found.image).max() == 255


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Rows", None),
        ("BitsStored", None),
        ("BitsStored", 17),
        ("BitsAllocated", 12),
        ("PixelRepresentation", None),
        ("PixelRepresentation", 7),
        ("SamplesPerPixel", 3),
        ("SamplesPerPixel", [1, 1]),
        ("PhotometricInterpretation", "HSV"),
    ],
)
def test_an_element_at_fault_is_named(name, value):
    made = scan(STEPS.astype(np.uint16))
    if value is None:
        delattr(made, name)
    else:
        setattr(made, name, value)
    assert refused(made).startswith(f"{name} (0028,")


def test_each_frame_is_shown_by_its_own_groups():
    groups = []
    for number in range(2):
        scale, window, group = Dataset(), Dataset(), Dataset()
        scale.RescaleSlope, scale.RescaleIntercept = 0.001 * (1 + number), 0
        window.WindowCenter, window.WindowWidth = 0.1, 0.2 if number else 2
        group.PixelValueTransformationSequence = [scale]
        group.FrameVOILUTSequence = [window]
        groups.append(group)
    frames = np.stack([STEPS, STEPS]).astype(np.uint16)
    made = scan(frames, PerFrameFunctionalGroupsSequence=groups)
    assert decoded(made, View(1)).warnings == (EXACT,)
    assert decoded(made, View(0)).warnings == ()
    assert np.abs(shades(made, View(1)) - share(STEPS * 0.002, 0, 0.2)).max() <= 1


@pytest.mark.parametrize(
    ("photometric", "shape", "told"),
    [
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", "INVERSE", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
    ],
)
def test_a_presentation_shape_that_does_not_fit_is_told(photometric, shape, told):
    made = scan(
        STEPS.astype(np.uint16), PhotometricInterpretation=photometric, PresentationLUTShape=shape
    )
    told_of = [w for w in decode(written(made)).warnings if "presentation LUT" in w]
    assert bool(told_of) is told
    first = shades(scan(STEPS.astype(np.uint16), PhotometricInterpretation=photometric))
    assert np.array_equal(np.asarray(decode(written(made)).image)[..., 0], first)
    assert [w for w in reencode(written(made)).warnings if "presentation LUT" in w] == told_of
