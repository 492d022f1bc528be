"""Text in pictures is found and covered in every form that is kept; phantoms have none."""

from __future__ import annotations

import sys
from dataclasses import fields
from importlib.util import find_spec
from io import BytesIO
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from hostile import SECRETS, encoded, hostile, noise, scan, written
from vesalius.cases.decoded import Decoded
from vesalius.cases.image import decode
from vesalius.cases.reencode import Reencoded, reencode
from vesalius.cases.view import View
from vesalius.data import burned_in
from vesalius.data.burned_in import Region, cover, equalised, find_text, inspect, mask_regions
from vesalius.data.open import open_dataset
from vesalius.errors import MissingExtra
from vesalius.system.workers import Pool

needs_reader = pytest.mark.skipif(find_spec("rapidocr") is None, reason="needs the extra ocr")
BOX = Region(10, 4, 20, 8, 0.9)
LINE = "ROE RICHARD 03.02.1961"


def written_on(pixels: np.ndarray, value: int, at: tuple[int, int] = (6, 6)) -> np.ndarray:
    """The pixels with a line of text in a value, and the same letters throughout."""
    page = Image.new("L", pixels.shape[::-1], 0)
    ImageDraw.Draw(page).text(at, LINE, fill=255, font_size=14)
    return np.where(np.asarray(page) > 127, value, pixels).astype(pixels.dtype)


def covers(regions: tuple[Region, ...], x: int, y: int) -> bool:
    return any(
        r.x <= x < r.x + r.width and r.y <= y < r.y + r.height and r.score > 0.5 for r in regions
    )


def test_a_region_says_where_and_never_what():
    assert [field.name for field in fields(Region)] == ["x", "y", "width", "height", "score"]


def test_a_box_covers_its_pixels_and_no_more():
    covered = np.asarray(cover(noise(64, 48), [BOX]))
    assert not covered[4:12, 10:30].any()
    before = np.asarray(noise(64, 48)).copy()
    before[4:12, 10:30] = 0
    assert np.array_equal(covered, before)


def test_equalising_spreads_what_lies_together():
    values = np.array([[1000, 1001], [1002, 1003]], np.uint16)
    assert np.asarray(equalised(values)).tolist() == [[0, 85], [170, 255]]
    assert not np.asarray(equalised(np.full((3, 3), 7))).any()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int8"])
def test_counted_levels_are_those_of_sorting(dtype):
    rng, info = np.random.default_rng(0), np.iinfo(dtype)
    values = rng.integers(info.min, info.max, (300, 40), dtype=dtype, endpoint=True)
    sorted_ones = equalised(values.astype(np.float64))
    assert np.array_equal(np.asarray(equalised(values)), np.asarray(sorted_ones))


@pytest.mark.parametrize(
    "words",
    [
        "[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for requested buffer of size 9",
        "std::bad_alloc",
        "OpenCV(4) error: (-4:Insufficient memory) Failed to allocate 9 bytes",
    ],
)
def test_a_reader_out_of_memory_says_so_in_python(monkeypatch, words):
    """Taken for a fault of the reader's, it would be one of the service's (500)."""

    def short(*_: object, **__: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(burned_in, "_reader", lambda: short)
    with pytest.raises(MemoryError):
        find_text(noise())


def test_other_faults_of_the_reader_stay_faults(monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a tensor has the wrong shape")

    monkeypatch.setattr(burned_in, "_reader", lambda: broken)
    with pytest.raises(RuntimeError, match="wrong shape"):
        find_text(noise())


def test_a_sheet_that_is_shown_as_it_is_stored_is_read_once(monkeypatch):
    seen = []
    monkeypatch.setattr(burned_in, "find_text", lambda view, **_: seen.append(view) or ())
    inspect(kept_of("grey8.dcm"))
    assert len(seen) == 2  # as it is shown, and equalised
    seen.clear()
    inspect(kept_of("signed.dcm"))
    assert len(seen) == 3


def kept_of(name: str) -> Reencoded:
    return reencode(hostile()[name][0])


@pytest.mark.parametrize("name", ["ok.png", "grey16.png", "three_pages.tiff", "rgb.dcm"])
def test_boxes_in_what_is_kept_are_black_and_the_rest_is_as_it_was(name):
    kept = kept_of(name)
    last = kept.frames - 1
    masked = mask_regions(kept, {last: [BOX]})
    for frame in range(kept.frames):
        before = np.asarray(decode(kept.data, View(frame)).image).copy()
        after = np.asarray(decode(masked.data, View(frame)).image)
        if frame == last:
            before[4:12, 10:30] = 0
        assert np.array_equal(before, after)
    assert (masked.suffix, masked.frames) == (kept.suffix, kept.frames)


@pytest.mark.parametrize(
    "fields_",
    [
        {"WindowCenter": 2000, "WindowWidth": 4000},
        {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 2000, "WindowWidth": 4000},
        {"RescaleSlope": -1, "RescaleIntercept": 4000, "WindowCenter": 2000, "WindowWidth": 4000},
        {},
    ],
)
def test_no_window_brings_covered_values_back(fields_):
    frames = np.random.default_rng(0).integers(0, 4096, (3, 40, 50)).astype(np.uint16)
    masked = mask_regions(reencode(written(scan(frames, **fields_))), {0: [BOX], 1: [BOX]})
    for window in (None, (40, 400), (3000, 10), (100, 1)):
        inside = np.asarray(decode(masked.data, View(1, window)).image)[4:12, 10:30]
        assert len(np.unique(inside)) == 1
    shown = np.asarray(decode(masked.data, View(1)).image)
    assert shown[4:12, 10:30].max() == 0
    untouched = decode(written(scan(frames, **fields_)), View(2, (2000, 4000))).image
    assert np.array_equal(untouched, decode(masked.data, View(2, (2000, 4000))).image)


def test_without_the_extra_the_command_that_installs_it_is_said(monkeypatch):
    burned_in._reader.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(MissingExtra, match=r"vesalius\[ocr\]"):
        find_text(noise())
    burned_in._reader.cache_clear()


@needs_reader
def test_a_name_in_a_picture_is_found_and_can_be_covered(capfd):
    image = decode(hostile()["burned_name.png"][0]).image
    (found,) = find_text(image)
    assert covers((found,), 40, 16)
    assert found.height < 40
    assert find_text(cover(image, [found])) == ()
    assert capfd.readouterr() == ("", "")  # above all, no text that was read


@needs_reader
def test_writing_that_hardly_shows_is_found_where_grey_is_spread():
    image = decode(hostile()["faint_order.png"][0]).image
    assert find_text(image, faint=False) == ()
    assert covers(find_text(image), 60, 108)


@needs_reader
def test_the_shared_name_and_the_hidden_order_are_found(shared):
    files = shared / "bad_inputs" / "files"
    for name in ("burned_phi.png", "inject_lowcontrast.png"):
        assert find_text(decode((files / name).read_bytes()).image)


@needs_reader
@pytest.mark.parametrize("cases", [3, pytest.param(24, marks=pytest.mark.slow)])
def test_phantoms_bear_no_text(cases):
    phantoms = open_dataset("phantom")
    for case in islice(phantoms.cases(phantoms.splits()[0]), cases):
        assert find_text(case.pictures[0].pixels()) == ()


@needs_reader
def test_of_a_page_a_sample_is_read_and_every_line_is_found(monkeypatch):
    page = Image.new("L", (900, 1200), 255)
    pen = ImageDraw.Draw(page)
    for line in range(36):
        words = f"Finding {line}: no focal lesion of the liver, {line + 7} mm"
        pen.text((60, 40 + 30 * line), words, fill=0, font_size=18)
    calls = []
    read = burned_in._read
    monkeypatch.setattr(
        burned_in, "_read", lambda pixels, **steps: calls.append(steps) or read(pixels, **steps)
    )
    regions = find_text(page, faint=False)
    assert all(covers(regions, 120, 50 + 30 * line) for line in range(36))
    assert [steps for steps in calls if steps["use_det"] and steps["use_rec"]] == []
    assert len(calls) == 1 + 12


@needs_reader
def test_many_places_that_are_no_text_are_read_one_by_one(monkeypatch):
    places = [np.array([[x, y], [x + 9, y], [x + 9, y + 9], [x, y + 9]], float)
              for x in range(0, 200, 20) for y in range(0, 100, 20)]  # fmt: skip
    read = burned_in._read

    def detected(pixels: np.ndarray, **steps: bool) -> object:
        if not steps["use_rec"]:
            return SimpleNamespace(boxes=places, scores=[0.9] * len(places))
        return read(pixels, **steps)

    monkeypatch.setattr(burned_in, "_read", detected)
    assert find_text(noise(), faint=False) == ()


@needs_reader
def test_a_marker_of_side_is_left_alone():
    image = Image.new("L", (256, 256), 30)
    ImageDraw.Draw(image).text((220, 200), "R", fill=255, font_size=24)
    assert find_text(image) == ()


def echo(frames: int) -> bytes:
    """A series with a moving spot and one line of text in every frame, outside the window."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(900, 1100, (frames, 96, 240)).astype(np.uint16)
    for number in range(frames):
        pixels[number] = written_on(pixels[number], 2500)
        pixels[number, 60:70, 10 + number : 30 + number] = 1500
    # All that is there lies above the window: it is shown as plain white.
    return written(scan(pixels, WindowCenter=500, WindowWidth=300))


@needs_reader
def test_text_is_masked_in_every_frame_whatever_the_window():
    kept = reencode(echo(2))
    flagged, found = inspect(kept)
    assert covers(found, 40, 14)
    assert flagged.data == kept.data
    assert flagged.warnings[-1].startswith("text burned into the picture was found")
    masked, same = inspect(kept, mask=True)
    assert same == found
    assert masked.warnings[-1].startswith("text burned into the picture was covered")
    for frame in range(2):
        before, after = (
            decode(data, View(frame, (1500, 3000))).image for data in (kept.data, masked.data)
        )
        assert find_text(before, faint=False)
        assert not find_text(after, faint=False)
        spot = (slice(60, 70), slice(10, 40))  # below the text all is as it was
        assert np.array_equal(np.asarray(before)[spot], np.asarray(after)[spot])


@needs_reader
def test_long_series_are_looked_at_here_and_there(monkeypatch):
    looked = []

    def spied(data: bytes, view: View) -> Decoded:
        looked.append(view.frame)
        return decode(data, view)

    monkeypatch.setattr(burned_in, "decode", spied)
    kept = reencode(written(scan(np.zeros((40, 8, 8), np.uint8))))
    assert inspect(kept) == (kept, ())
    assert (looked[0], looked[-1], len(looked)) == (0, 39, burned_in.FRAMES)


@needs_reader
def test_pages_and_photographs_are_inspected_in_a_worker():
    file = BytesIO()
    page = Image.fromarray(written_on(np.full((64, 240), 90, np.uint8), 250))
    page.save(file, "TIFF", save_all=True, append_images=[noise(240, 64)])
    with Pool("vesalius.data.burned_in:inspect", size=1, seconds=60) as pool:
        kept, found = pool.run(reencode(file.getvalue()), True)
        assert covers(found, 40, 14)
        assert find_text(decode(kept.data, View(0)).image) == ()
        again = reencode(encoded(noise(64, 64), "PNG"))
        assert pool.run(again, True) == (again, ())
    assert SECRETS[0].encode() not in kept.data
