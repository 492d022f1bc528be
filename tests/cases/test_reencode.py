"""What is kept of a picture: the same pixels for every frame and window, and nothing else."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from hostile import CORNERS, SECRETS, SOURCE_UID, hostile, noise, personal, ramp, scan, written
from vesalius.cases.decoded import DEFAULT_LIMITS, Limits
from vesalius.cases.image import decode
from vesalius.cases.reencode import Reencoded, reencode
from vesalius.cases.view import View
from vesalius.errors import ImageError
from vesalius.system.workers import Pool

STRANGERS = Limits(max_bytes=20 * 2**20)
WINDOWS = (None, (40.0, 400.0), (100.0, 0.5), (-300.5, 1500.0))
GOOD = [name for name, (_, status, _) in hostile().items() if status == 201]


def same(data: bytes, kept: Reencoded) -> None:
    """Every frame, under every window, looks as it did."""
    selectable = kept.frames if kept.suffix != ".png" else 1
    for frame in (None, *range(selectable)):
        for window in WINDOWS:
            before = decode(data, View(frame, window))
            after = decode(kept.data, View(frame, window))
            assert np.array_equal(np.asarray(before.image), np.asarray(after.image))
            assert after.modality == before.modality == kept.modality
            if kept.kind == "dicom":
                assert after.warnings == before.warnings
                assert after.frames == before.frames == kept.frames
    with pytest.raises(ImageError) as caught:
        decode(kept.data, View(selectable))
    assert caught.value.code == "image_frame"


def outcome(
    data: bytes, limits: Limits, keeping: Callable[..., Reencoded] = reencode
) -> Reencoded | ImageError:
    """What was kept, or why not; anything else is raised."""
    try:
        return keeping(data, limits)
    except ImageError as error:
        return error


def refused(data: bytes, limits: Limits = STRANGERS) -> str:
    with pytest.raises(ImageError) as caught:
        reencode(data, limits)
    return caught.value.code


@pytest.mark.parametrize("name", GOOD)
def test_what_is_kept_shows_what_came(name):
    data = hostile()[name][0]
    kept = reencode(data, STRANGERS)
    assert (kept.width, kept.height) == decode(data).image.size
    assert kept.kind == decode(data).kind
    assert kept.warnings == decode(data).warnings
    same(data, kept)
    for secret in (*SECRETS, SOURCE_UID):
        assert secret.encode() not in kept.data


@pytest.mark.parametrize("name", sorted({*hostile()} - {*GOOD}))
def test_what_is_refused_has_its_code(name):
    data, _, code = hostile()[name]
    assert refused(data) == code


def test_every_shared_file_ends_as_its_manifest_says(shared):
    root = shared / "bad_inputs"
    rows = json.loads((root / "manifest.json").read_text())
    stored = {}
    for name, row in rows.items():
        data, expect, meta = (root / "files" / name).read_bytes(), row["expect"], row["meta"]
        allowed = [expect["status"]] if isinstance(expect["status"], int) else expect["status"]
        kept = outcome(data, STRANGERS)
        if isinstance(kept, ImageError):
            assert allowed != [201], name
            assert expect["code"] in (None, kept.code), name
            continue
        assert 201 in allowed, name
        stored[name] = kept
        same(data, kept)
        assert not [secret for secret in meta.get("forbidden", ()) if secret.encode() in kept.data]
        if "stored_must_not_contain" in meta:
            assert bytes.fromhex(meta["stored_must_not_contain"]) not in kept.data
        if "stored_must_not_start" in meta:
            assert not kept.data.startswith(bytes.fromhex(meta["stored_must_not_start"]))
        assert list(meta.get("size_after", (kept.width, kept.height))) == [kept.width, kept.height]
        assert meta.get("frames", kept.frames) == kept.frames, name
    for name, kept in stored.items():
        meta = rows[name]["meta"]
        if "same_as" in meta:
            one, other = (
                np.asarray(decode(k.data).image).astype(int)
                for k in (kept, stored[meta["same_as"]])
            )
            assert np.abs(one - other).max() <= meta["tol"]
    deep = np.asarray(decode(stored["gray16.png"].data).image)
    assert (deep[0, 0, 0], deep[63, 63, 0]) == (0, 255)
    assert abs(deep.mean() - 127.5) <= 1


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turned_photograph_is_kept_upright(turn):
    kept = reencode(hostile()[f"exif_{turn}.jpg"][0])
    assert (kept.width, kept.height) == ((32, 16) if turn < 5 else (16, 32))
    assert b"Exif" not in kept.data
    with Image.open(BytesIO(kept.data)) as file:
        assert file.info == {}
        assert not file.getexif()


def test_an_upright_picture_keeps_its_corners():
    shown = decode(reencode(hostile()["ok.png"][0]).data).image
    assert [shown.getpixel(at) for at in ((0, 0), (31, 0), (0, 15), (31, 15))] == list(CORNERS)


def test_grey_is_kept_in_one_channel():
    file = BytesIO()
    noise().convert("L").convert("RGB").save(file, "BMP")
    kept = reencode(file.getvalue())
    with Image.open(BytesIO(kept.data)) as stored:
        assert stored.mode == "L"
    same(file.getvalue(), kept)


def test_every_page_of_a_tiff_is_kept_and_nothing_it_says():
    kept = reencode(hostile()["three_pages.tiff"][0])
    assert (kept.suffix, kept.frames) == (".tiff", 3)
    with Image.open(BytesIO(kept.data)) as file:
        assert 270 not in file.tag_v2


def test_an_animation_leaves_its_first_picture_and_a_word():
    kept = reencode(hostile()["animated.gif"][0])
    assert (kept.suffix, kept.frames) == (".png", 80)
    assert kept.warnings == ("the first of 80 frames is used",)


def test_one_torn_page_refuses_the_whole_tiff():
    good, file = noise(64, 64), BytesIO()
    good.save(file, "TIFF", save_all=True, append_images=[good], compression="tiff_lzw")
    data = bytearray(file.getvalue())
    with Image.open(BytesIO(data)) as pages:
        pages.seek(1)
        start = pages.tag_v2[273][0]
    data[start : start + 400] = b"\xff" * 400
    assert decode(bytes(data)).frames == 2
    assert refused(bytes(data)) == "image_corrupt"


def allowed(name: str) -> bool:
    pixels = {"SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns"}
    pixels |= {"BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"}
    pixels |= {"PlanarConfiguration", "WindowCenter", "WindowWidth", "RescaleSlope"}
    pixels |= {"RescaleIntercept", "SOPClassUID", "SOPInstanceUID", "Modality"}
    return name in pixels | {"BurnedInAnnotation", "PixelPaddingValue"}


@pytest.mark.parametrize("name", [name for name in GOOD if name.endswith(".dcm")])
def test_a_kept_object_has_pixels_and_no_more(name):
    kept = reencode(hostile()[name][0])
    file = pydicom.dcmread(BytesIO(kept.data))
    assert [element.keyword for element in file if not allowed(element.keyword)] == []
    assert file.preamble == bytes(128)
    assert file.SOPInstanceUID.startswith("2.25.")
    assert not file.file_meta.TransferSyntaxUID.is_compressed
    assert reencode(hostile()[name][0]).data == kept.data


def test_bits_above_the_stored_ones_do_not_survive():
    kept = reencode(written(personal()))
    values = pydicom.dcmread(BytesIO(kept.data)).pixel_array
    assert np.array_equal(values, ramp())
    raw = np.frombuffer(pydicom.dcmread(BytesIO(kept.data)).PixelData, "<u2")
    assert raw.max() < 4096
    assert kept.burned_in is True
    assert any("burned" in said for said in kept.warnings)
    packed = personal()
    packed.compress(RLELossless, generate_instance_uid=False)
    kept = reencode(written(packed))
    assert np.frombuffer(pydicom.dcmread(BytesIO(kept.data)).PixelData, "<u2").max() < 4096
    same(written(packed), kept)


def test_bits_that_are_no_value_are_gone_from_signed_pixels_too():
    values = np.array([[-5, 100, -2000, 7]], np.int16)
    dirty = ((values & 0x0FFF) | np.int16(0x5000)).astype(np.int16)
    made = scan(dirty, BitsStored=12, HighBit=11, WindowCenter=0, WindowWidth=4000)
    kept = reencode(written(made))
    assert np.array_equal(pydicom.dcmread(BytesIO(kept.data)).pixel_array, values)
    same(written(made), kept)


def item(**fields: object) -> Dataset:
    made = Dataset()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def groups(frames: int, *, shared_window: bool) -> dict[str, object]:
    each = []
    for number in range(frames):
        group = Dataset()
        scale = item(RescaleSlope=1 + number, RescaleIntercept=-10 * number, RescaleType=SECRETS[4])
        group.PixelValueTransformationSequence = [scale]
        if not shared_window:
            window = item(
                WindowCenter=500 + 900 * number, WindowWidth=1000, VOILUTFunction="SIGMOID"
            )
            group.FrameVOILUTSequence = [window]
        group.FrameContentSequence = [item(FrameComments=SECRETS[4])]
        each.append(group)
    shared = Dataset()
    shared.FrameVOILUTSequence = [item(WindowCenter=1200, WindowWidth=900)]
    return {
        "PerFrameFunctionalGroupsSequence": each,
        "SharedFunctionalGroupsSequence": [shared],
    }


@pytest.mark.parametrize("shared_window", [True, False])
def test_every_frame_keeps_its_own_scale_and_window(shared_window):
    data = written(scan(ramp(frames=3), **groups(3, shared_window=shared_window)))
    kept = reencode(data)
    same(data, kept)
    assert not any(secret.encode() in kept.data for secret in SECRETS)


def table(first: int, entries: int, bits: int, words: bytes, vr: str = "US") -> Dataset:
    made = item(LUTExplanation=SECRETS[4])
    made.add_new(0x00283002, vr, [entries, first, bits])
    made.add_new(0x00283006, "OW", words)
    return made


@pytest.mark.parametrize(("first", "vr"), [(0, "US"), (200, "US"), (-50, "SS")])
def test_tables_are_kept_as_numbers(first, vr):
    words = struct.pack("<300H", *(7 * n % 65536 for n in range(300)))
    hidden = SECRETS[4].encode().ljust(20)
    pixels = ramp() if vr == "US" else (ramp().astype(np.int32) - 100).astype(np.int16)
    made = scan(pixels, VOILUTSequence=[table(first, 300, 16, words + hidden, vr)])
    same(written(made), kept := reencode(written(made)))
    assert SECRETS[4].encode() not in kept.data
    both = scan(pixels, ModalityLUTSequence=[table(first, 300, 16, words, vr)])
    same(written(both), reencode(written(both)))


def test_a_table_of_numbers_is_kept_like_one_of_words():
    one = item(LUTDescriptor=[4096, 0, 16])
    one.add_new(0x00283006, "US", [(3 * n) % 4096 for n in range(4096)])
    data = written(scan(ramp(), VOILUTSequence=[one]))
    same(data, reencode(data))


def test_a_palette_becomes_the_colours_that_are_shown():
    made = scan(ramp("uint8"), PhotometricInterpretation="PALETTE COLOR")
    for number, name in enumerate(("Red", "Green", "Blue")):
        words = np.arange(256, dtype="<u2") * 257
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", np.roll(words, 50 * number).tobytes())
    data = written(made)
    same(data, kept := reencode(data))
    assert pydicom.dcmread(BytesIO(kept.data)).PhotometricInterpretation == "RGB"


def test_a_palette_in_segments_is_shown_and_a_broken_one_is_named():
    made = scan(ramp("uint8"), PhotometricInterpretation="PALETTE COLOR")
    # A discrete segment of one entry, 0, and a linear one of 255 to 65535 (PS3.3 C.7.9.2).
    segments = struct.pack("<6H", 0, 1, 0, 1, 255, 65535)
    for name in ("Red", "Green", "Blue"):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"Segmented{name}PaletteColorLookupTableData", segments)
    data = written(made)
    same(data, reencode(data))
    assert np.array_equal(np.asarray(decode(data).image)[..., 0], ramp("uint8"))
    made.SegmentedRedPaletteColorLookupTableData = segments[:4]
    with pytest.raises(ImageError, match=r"the palette of RedPalette.* \(0028,1101\)"):
        decode(written(made))
    del made.SegmentedRedPaletteColorLookupTableData
    with pytest.raises(
        ImageError, match=r"RedPaletteColorLookupTableData \(0028,1201\) is missing"
    ):
        reencode(written(made))


def test_padding_does_not_count_as_before():
    pixels = (ramp().astype(np.int32) - 1000).astype(np.int16)
    pixels[:20] = -2000
    data = written(scan(pixels, PixelPaddingValue=-2000))
    same(data, reencode(data))
    other = written(scan(pixels))
    assert not np.array_equal(decode(other).image, decode(data).image)


@pytest.mark.parametrize(
    ("dtype", "name"), [("<f4", "FloatPixelData"), ("<f8", "DoubleFloatPixelData")]
)
def test_fractions_stay_fractions(dtype, name):
    made = scan(ramp(), BitsAllocated=8 * np.dtype(dtype).itemsize)
    del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
    setattr(made, name, (ramp() / 7).astype(dtype).tobytes())
    data = written(made)
    same(data, reencode(data))


def test_a_mask_of_single_bits_is_kept():
    bits = (ramp("uint8") % 3 == 0).astype(np.uint8)
    made = scan(bits, BitsAllocated=1, BitsStored=1, HighBit=0)
    made.PixelData = np.packbits(bits, bitorder="little").tobytes()
    data = written(made)
    same(data, reencode(data))


def test_big_endian_objects_are_turned_round():
    made = scan(ramp(), RescaleSlope=2, RescaleIntercept=-5, WindowCenter=300, WindowWidth=900)
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    made.PixelData = ramp().astype(">u2").tobytes()
    file = BytesIO()
    made.save_as(file, implicit_vr=False, little_endian=False, enforce_file_format=True)
    same(file.getvalue(), reencode(file.getvalue()))


def test_a_decoder_that_panics_says_that_the_picture_is_corrupt():
    data = bytearray(hostile()["rle.dcm"][0])
    start = data.index(b"\x02\0\0\0\x40\0\0\0")  # two segments, the first at byte 64
    data[start + 64] = 0x7F  # a run longer than the picture
    assert refused(bytes(data)) == "image_corrupt"
    with pytest.raises(ImageError):
        decode(bytes(data))


def test_all_frames_together_have_a_limit():
    data = written(scan(ramp(frames=5)))
    exact = Limits(max_total_pixels=5 * 64 * 48)
    assert reencode(data, exact).frames == 5
    short = Limits(max_total_pixels=5 * 64 * 48 - 1)
    assert refused(data, short) == "image_too_many_pixels"
    pages = hostile()["three_pages.tiff"][0]
    assert refused(pages, Limits(max_total_pixels=5000)) == "image_too_many_pixels"


def test_what_unpacks_beyond_what_can_be_read_again_is_refused():
    made = scan(np.zeros((64, 64), np.uint16), Rows=6000, Columns=6000, NumberOfFrames=9)
    made.file_meta.TransferSyntaxUID = RLELossless
    made.PixelData = pydicom.encaps.encapsulate([bytes(64)] * 9)
    made["PixelData"].is_undefined_length = True
    assert DEFAULT_LIMITS.max_bytes < 2 * 9 * 6000**2
    assert refused(written(made)) == "image_too_large"


def test_a_kept_picture_can_be_sent_to_another_process():
    kept = reencode(hostile()["five_frames.dcm"][0])
    assert pickle.loads(pickle.dumps(kept)) == kept


numbers = st.one_of(
    st.none(), st.floats(-5000, 5000, allow_nan=False), st.integers(-3000, 3000).map(float)
)


@st.composite
def scans(draw) -> bytes:
    dtype = draw(st.sampled_from(["uint8", "uint16", "int16", "int8", "uint32"]))
    shape = draw(st.sampled_from([(3, 4), (5, 2), (2, 3, 3), (3, 1, 5)]))
    pixels = draw(arrays.arrays(dtype, shape))
    stored = draw(st.integers(1, 8 * pixels.dtype.itemsize))
    high = draw(st.integers(stored - 1, 8 * pixels.dtype.itemsize - 1))
    made = scan(pixels, BitsStored=stored, HighBit=high)
    made.PhotometricInterpretation = draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"]))
    for name in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        if (number := draw(numbers)) is not None:
            setattr(made, name, f"{number:.10g}"[:16])
    if draw(st.booleans()):
        made.VOILUTFunction = draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "X"]))
    for tag in draw(st.sampled_from([(), (0x00280120,), (0x00280120, 0x00280121)])):
        made.add_new(tag, "US", draw(st.integers(0, 65535)))
    for name in draw(st.sets(st.sampled_from(["ModalityLUTSequence", "VOILUTSequence"]))):
        bits, entries = draw(st.integers(1, 16)), draw(st.integers(1, 40))
        mapped = draw(arrays.arrays("<u2", entries, elements=st.integers(0, 2**bits - 1)))
        lowest = draw(st.sampled_from([0, 1, 100, 32767, 32768, 65530]))
        setattr(made, name, [table(lowest, entries, bits, mapped.tobytes())])
    return written(made)


@st.composite
def fractions(draw) -> bytes:
    """Pixels that are fractions, infinite or no numbers."""
    dtype, name = draw(st.sampled_from([("<f4", "Float"), ("<f8", "DoubleFloat")]))
    pixels = draw(arrays.arrays(dtype, (3, 4), elements=st.floats(width=32)))
    made = scan(np.zeros((3, 4), np.uint16), BitsAllocated=8 * pixels.dtype.itemsize)
    del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
    setattr(made, f"{name}PixelData", pixels.tobytes())
    if draw(st.booleans()):
        padding = float(pixels.flat[0])
        setattr(made, f"{name}PixelPaddingValue", padding if np.isfinite(padding) else 0.0)
    if draw(st.booleans()):
        made.WindowCenter, made.WindowWidth = draw(st.sampled_from([(0, 0.5), (1, 7), (9, 0)]))
    return written(made)


@settings(max_examples=100, deadline=None)
@given(st.one_of(scans(), fractions()))
def test_any_grey_object_shows_the_same(data):
    kept = reencode(data)
    selectable = (None, *range(kept.frames))
    for frame in selectable:
        for window in WINDOWS[:2]:
            before = decode(data, View(frame, window))
            after = decode(kept.data, View(frame, window))
            assert np.array_equal(np.asarray(before.image), np.asarray(after.image))
            assert before.warnings == after.warnings


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool("vesalius.cases.reencode:reencode", size=1, memory=2 * 2**30, seconds=10) as made:
        yield made


@st.composite
def mutated(draw) -> bytes:
    data = bytearray(draw(st.sampled_from(sorted(hostile().values())))[0])
    for _ in range(draw(st.integers(1, 6))):
        if not data:
            break
        # Most of what a decoder believes is said in the first few hundred bytes.
        reach = min(len(data), draw(st.sampled_from([64, 600, 2**20])))
        at = draw(st.integers(0, reach - 1))
        change = draw(st.sampled_from(["put", "cut", "drop", "repeat"]))
        if change == "put":
            some = draw(st.binary(min_size=1, max_size=4))
            data[at : at + len(some)] = some
        elif change == "cut":
            del data[at:]
        elif change == "drop":
            del data[at : at + draw(st.integers(1, 16))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 16))]
    return bytes(data)


SMALL = Limits(max_bytes=2**20, max_pixels=4_000_000, max_total_pixels=8_000_000)


def kept_or_refused(data: bytes, pool: Pool) -> None:
    kept = outcome(data, SMALL, pool.run)
    if isinstance(kept, ImageError):
        assert kept.code.startswith(("image_", "dicom_", "unsupported_media_type"))
        assert not any(secret in str(kept) for secret in SECRETS)
        return
    assert isinstance(kept, Reencoded)
    try:
        shown = decode(data)
    except ImageError:
        pytest.fail("what could not be shown has been kept")
    assert np.array_equal(np.asarray(shown.image), np.asarray(decode(kept.data).image))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=mutated())
def test_damaged_files_are_kept_or_refused_and_nothing_else(data, pool):
    kept_or_refused(data, pool)


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=mutated())
def test_many_damaged_files_are_kept_or_refused_and_nothing_else(data, pool):
    kept_or_refused(data, pool)
