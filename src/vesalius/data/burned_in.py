"""Text burned into pictures: where it is, never what it says; and black boxes over it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from vesalius.cases.decoded import DEFAULT_LIMITS
from vesalius.cases.image import decode, tiff_pages
from vesalius.cases.picture import Picture
from vesalius.cases.reencode import Reencoded, png_of, tiff_of
from vesalius.cases.reencode_dicom import stored_frames, with_frames
from vesalius.cases.shades import stretch
from vesalius.cases.view import View
from vesalius.errors import MissingExtra, VesaliusError

FRAMES = 5
"""How many frames of a long series are looked at."""
SCORE = 0.5
"""How sure of its reading the text reader must be."""
_LEAST = 3  # characters: a marker of side (R, L) stays, a name or a date does not
_TALLEST = 0.25  # of the picture's shorter side: a round skull is read as a zero
_PAGE, _SAMPLE = 30, 12  # more places than that are a page, of which so many are read
# Pixels of the longer side: a smaller picture is enlarged for the search, a larger one reduced.
_SMALLER, _LARGER = 512, 1600


WRITING = "text burned into the picture"
"""How the warning of it begins."""


@dataclass(frozen=True, slots=True)
class Region:
    """A box around one line of text, in pixels of the picture; ``score`` in [0, 1]."""

    x: int
    y: int
    width: int
    height: int
    score: float


def find_text(image: Image.Image, *, faint: bool = True) -> tuple[Region, ...]:
    """Lines of text in the picture, by PP-OCR: only where three or more characters can be read.

    Single letters, such as the markers of side, are no finding. ``faint`` searches the picture a
    second time with its grey levels equalised, for writing that hardly differs from its ground.
    Works offline; MissingExtra without the extra ``ocr``.
    """
    lines = _lines(image)
    if faint:
        lines += _lines(equalised(np.asarray(image.convert("L"))))
    return _merged(lines)


def text_in(picture: Picture) -> tuple[Region, ...]:
    """Lines of text in a data set's picture, as it is shown: what ``vesalius data check`` reports.

    Raises ImageError where it cannot be decoded. Runs in a worker process: argument and result can
    be pickled.
    """
    return find_text(picture.pixels(), faint=False)


def equalised(values: np.ndarray) -> Image.Image:
    """Grey values of any depth, shape (height, width), spread evenly over 8 bits by their rank."""
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        # Counted, not sorted: of a scanned sheet's 40 million pixels that takes a gigabyte less.
        lowest = int(values.min())
        places: np.ndarray = (
            values if values.dtype.kind == "u" else (values.astype(np.int32) - lowest)
        )
        counts = np.zeros(int(places.max()) + 1, np.int64)
        for start in range(0, len(places), 256):  # bincount makes 8 bytes of every value
            rows = places[start : start + 256].reshape(-1)
            counts += np.bincount(rows, minlength=counts.size)
    else:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        places = inverse.reshape(values.shape)
    below = np.cumsum(counts) - counts
    scale = 255.0 / max(int(below[-1]), 1)
    shades: np.ndarray = np.rint(below * scale).astype(np.uint8)[places]
    return Image.fromarray(shades)


def cover(image: Image.Image, regions: Iterable[Region]) -> Image.Image:
    """A copy of the picture (8-bit RGB or grey) with black boxes over the regions."""
    covered = image.copy()
    pen = ImageDraw.Draw(covered)
    for region in regions:
        corner = (region.x + region.width - 1, region.y + region.height - 1)
        pen.rectangle(((region.x, region.y), corner), fill=0)
    return covered


def inspect(picture: Reencoded, mask: bool = False) -> tuple[Reencoded, tuple[Region, ...]]:
    """Where text is burned into a kept picture, and the picture with a warning that says so.

    With ``mask`` the regions are black in what comes back, in every frame. Of more than
    ``FRAMES`` frames so many are looked at, the first, the last and evenly between them: what a
    device writes stands in the same place throughout. Text that is only in a frame between them
    is missed. A frame is searched as it is shown and with its grey levels equalised; of a DICOM
    object all stored values, so that a window cannot hide writing. Runs in a worker process
    (:class:`vesalius.system.workers.Pool`): argument and result can be pickled.
    """
    pictures = picture.frames if picture.suffix != ".png" else 1
    looked_at = sorted({round(at) for at in np.linspace(0, pictures - 1, min(pictures, FRAMES))})
    regions = _merged(
        region
        for frame in looked_at
        for view in _views(picture, frame)
        for region in find_text(view, faint=False)
    )
    if not regions:
        return picture, ()
    if mask:
        picture = mask_regions(picture, dict.fromkeys(range(pictures), regions))
    places = "place" if len(regions) == 1 else "places"
    done = "covered" if mask else "found"
    warning = f"{WRITING} was {done} in {len(regions)} {places}"
    text = () if mask else tuple((one.x, one.y, one.width, one.height) for one in regions)
    return replace(picture, warnings=(*picture.warnings, warning), text=text), regions


def mask_regions(picture: Reencoded, regions: Mapping[int, Sequence[Region]]) -> Reencoded:
    """The kept picture with the regions of each frame (0-based) filled with its darkest shade.

    The stored values of a DICOM object are overwritten, so that no window brings them back.
    """
    if picture.suffix == ".dcm":
        return replace(picture, data=_masked_dicom(picture, regions))
    if picture.suffix == ".png":
        covered = cover(decode(picture.data).image, regions.get(0, ()))
        return replace(picture, data=png_of(covered))
    pages = (
        cover(page, regions.get(number, ()))
        for number, page in enumerate(tiff_pages(picture.data, DEFAULT_LIMITS))
    )
    return replace(picture, data=tiff_of(pages))


def _views(picture: Reencoded, frame: int) -> Iterable[Image.Image]:
    image = decode(picture.data, View(frame)).image
    yield image
    values = shown = np.asarray(image.convert("L"))
    if picture.suffix == ".dcm":
        _, frames = stored_frames(picture.data)
        if frames.ndim == 3:
            values = frames[frame].copy()
            del frames
            spread = stretch(values)
            if not np.array_equal(spread, shown):  # a scanned sheet, read twice, takes a minute
                yield Image.fromarray(spread)
    yield equalised(values)


def _masked_dicom(picture: Reencoded, regions: Mapping[int, Sequence[Region]]) -> bytes:
    file, frames = stored_frames(picture.data)
    dark = _darkest(picture.data, file.PhotometricInterpretation == "MONOCHROME1", frames)
    for number, boxes in regions.items():
        for box in boxes:
            frames[number, box.y : box.y + box.height, box.x : box.x + box.width] = dark
    return with_frames(file, frames)


def _darkest(data: bytes, inverted: bool, frames: np.ndarray) -> Any:
    """The stored value that is shown darkest: the lowest, or the highest where shades fall."""
    if frames.ndim == 4:  # colours
        return 0
    shades, values = np.asarray(decode(data).image)[..., 0], frames[len(frames) // 2]
    at_lowest, at_highest = int(shades.flat[values.argmin()]), int(shades.flat[values.argmax()])
    falling = at_highest < at_lowest or (at_highest == at_lowest and inverted)
    return np.nanmax(frames) if falling else np.nanmin(frames)


def _lines(image: Image.Image) -> list[Region]:
    width, height = image.size
    scale = min(max(_SMALLER / max(width, height), 1.0), 4.0)
    scale = min(scale, _LARGER / max(width, height))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC).convert("RGB"))
    regions = []
    for corners, score in _readable(np.ascontiguousarray(pixels[..., ::-1])):
        left, top = np.min(corners, axis=0) / scale
        right, bottom = np.max(corners, axis=0) / scale
        thick = min(right - left, bottom - top)
        if thick > max(_TALLEST * min(width, height), 24):
            continue
        rim = 1 + thick / 8  # the box is drawn tightly around the letters
        x, y = max(int(left - rim), 0), max(int(top - rim), 0)
        across = min(int(right + rim) + 1, width) - x
        down = min(int(bottom + rim) + 1, height) - y
        if across > 0 and down > 0:
            regions.append(Region(x, y, across, down, float(score)))
    return regions


def _readable(pixels: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Corners [4, 2] and score of what looks like lines of text and can be read.

    A page has many: reading each would take minutes. Where most of a sample can be read, all are
    taken for text.
    """
    places = _read(pixels, use_det=True, use_rec=False)
    corners, sure = _some(places, "boxes"), _some(places, "scores")
    if not len(corners):
        return []
    if len(corners) > _PAGE:
        sample = [corners[at] for at in np.linspace(0, len(corners) - 1, _SAMPLE).astype(int)]
        if sum(_is_text(pixels, one) for one in sample) > _SAMPLE / 2:
            return list(zip(corners, sure, strict=True))
    read = _read(pixels, use_det=True, use_rec=True)
    found = zip(*(_some(read, name) for name in ("boxes", "scores", "txts")), strict=True)
    return [(one, score) for one, score, text in found if _are_words(text, score)]


def _is_text(pixels: np.ndarray, corners: np.ndarray) -> bool:
    left, top = np.floor(np.min(corners, axis=0)).clip(0).astype(int)
    right, bottom = np.ceil(np.max(corners, axis=0)).astype(int)
    line = np.ascontiguousarray(pixels[top:bottom, left:right])
    if not line.size:
        return False
    read = _read(line, use_det=False, use_rec=True)
    words = zip(_some(read, "txts"), _some(read, "scores"), strict=True)
    return any(_are_words(text, score) for text, score in words)


def _are_words(text: str, score: float) -> bool:
    letters = [letter for letter in text if letter.isalnum()]
    return score >= SCORE and len(letters) >= _LEAST and len(set(letters)) > 1


def _read(pixels: np.ndarray, **steps: bool) -> Any:
    """What the reader finds; MemoryError where its libraries say in their ways that it is short."""
    try:
        return _reader()(pixels, use_cls=False, **steps)
    except VesaliusError:
        raise
    except Exception as error:
        words = f"{error} {error.__cause__ or error.__context__ or ''}".lower()
        if any(short in words for short in _SHORT):
            raise MemoryError from error
        raise


# onnxruntime's, C++'s and OpenCV's words for a lack of memory: none of them raises a MemoryError.
_SHORT = ("failed to allocate", "bad_alloc", "bad allocation", "insufficient memory")


def _some(read: Any, name: str) -> Sequence[Any]:
    value = getattr(read, name, None)
    return () if value is None else value


@cache
def _reader() -> Any:
    try:
        import onnxruntime
        from rapidocr import RapidOCR
    except ImportError as error:
        raise MissingExtra("rapidocr", "ocr") from error
    onnxruntime.set_default_logger_severity(3)
    threads = int(os.environ.get("OMP_NUM_THREADS") or -1)
    options = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.text_score": SCORE,
            "Global.max_side_len": 2 * _LARGER,  # sizes are ours to choose
            "Det.limit_side_len": 32,
            "Rec.rec_batch_num": 1,  # lines read together are padded to the longest of them
            **{f"EngineConfig.onnxruntime.{name}": value for name, value in options.items()},
        }
    )


def _merged(regions: Iterable[Region]) -> tuple[Region, ...]:
    """The regions, those that mostly lie in another joined with it."""
    merged: list[Region] = []
    for region in sorted(regions, key=lambda one: -one.width * one.height):
        for number, other in enumerate(merged):
            if _shared(region, other) > 0.5 * region.width * region.height:
                merged[number] = _joined(region, other)
                break
        else:
            merged.append(region)
    return tuple(sorted(merged, key=lambda one: (one.y, one.x)))


def _shared(one: Region, other: Region) -> int:
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(across, 0) * max(down, 0)


def _joined(one: Region, other: Region) -> Region:
    x, y = min(one.x, other.x), min(one.y, other.y)
    right = max(one.x + one.width, other.x + other.width)
    bottom = max(one.y + one.height, other.y + other.height)
    return Region(x, y, right - x, bottom - y, max(one.score, other.score))
