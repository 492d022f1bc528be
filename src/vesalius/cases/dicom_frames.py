"""The frames that a DICOM object's pixel data hold, against those it says, and their values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pydicom
from pydicom.encaps import generate_fragments, parse_basic_offsets
from pydicom.filebase import DicomBytesIO
from pydicom.pixels import iter_pixels, pixel_array
from pydicom.uid import RLELossless

from vesalius.cases.dicom_elements import invalid, label, number
from vesalius.errors import ImageError

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# How a frame begins: JPEG and JPEG-LS, a JPEG 2000 codestream, and one in a JP2 box.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")
_SEGMENTS = range(1, 16)  # of a run-length frame, whose first segment lies at byte 64 (PS3.5 G.5)


def check_frames(file: pydicom.Dataset, frames: int) -> None:
    """Refuse pixel data that hold fewer or more frames than the header says; ImageError.

    ``frames`` is the header's number, and the sizes have been checked. Frames that nothing
    announces would be left out in silence, or the picture be another than the one meant.
    """
    if file.file_meta.TransferSyntaxUID.is_encapsulated:
        held, short = _encapsulated(file, frames), False
    else:
        held, short = _native(file, frames)
    if short and frames == 1:
        raise ImageError("image_truncated", "the DICOM pixel data is shorter than it claims")
    if held != frames:
        fault = f"{label('NumberOfFrames')} says {frames:,}, the pixel data holds {held:,}"
        raise ImageError("image_truncated" if held < frames else "dicom_invalid", fault)


def has_surplus(file: pydicom.Dataset, frames: int) -> bool:
    """Whether native pixel data go on after the last frame, by less than one more; padding aside.

    Rows, columns or bits may then be other than the header says.
    """
    if file.file_meta.TransferSyntaxUID.is_encapsulated:
        return False
    return _held(file) > _even(_size(_frame_bits(file) * frames))


def _native(file: pydicom.Dataset, frames: int) -> tuple[int, bool]:
    """The number of whole frames, and whether some of the pixels that are said are missing."""
    have, bits = _held(file), _frame_bits(file)
    halved = file.PhotometricInterpretation == "YBR_FULL_422"
    if halved and have == _even(_size(bits // 2 * 3 * frames)):
        raise invalid(
            "PhotometricInterpretation",
            "says YBR_FULL_422, but all samples are stored: it is YBR_FULL or RGB",
        )
    if have < _size(bits * frames):
        return 8 * have // bits, True
    # Frames of single bits are packed without a gap, and the whole is padded to an even length.
    more = have > _even(_size(bits * frames)) and have >= _size(bits * (frames + 1))
    return (8 * have // bits if more else frames), False


def _held(file: pydicom.Dataset) -> int:
    return max(len(file[name].value or b"") for name in PIXELS if name in file)


def _frame_bits(file: pydicom.Dataset) -> int:
    # Of YBR_FULL_422 two samples a pixel are stored instead of three (PS3.3 C.7.6.3.1.2).
    halved = file.PhotometricInterpretation == "YBR_FULL_422"
    samples = 2 if halved else int(file.SamplesPerPixel)
    return int(file.Rows) * int(file.Columns) * int(file.BitsAllocated) * samples


def _size(bits: int) -> int:
    return (bits + 7) // 8


def _even(size: int) -> int:
    return size + size % 2


def _encapsulated(file: pydicom.Dataset, frames: int) -> int:
    """The number of fragments that begin a frame; ``frames`` where no beginning is known."""
    buffer = DicomBytesIO(file.PixelData)
    parse_basic_offsets(buffer)
    run_lengths = file.file_meta.TransferSyntaxUID == RLELossless
    begins = _begins_runs if run_lengths else _begins_codestream
    return sum(begins(fragment) for fragment in generate_fragments(buffer)) or frames


def _begins_codestream(fragment: bytes) -> bool:
    return fragment.startswith(_STARTS)


def _begins_runs(fragment: bytes) -> bool:
    segments, first = (int.from_bytes(fragment[at : at + 4], "little") for at in (0, 4))
    return segments in _SEGMENTS and first == 64


def stored_values(file: pydicom.Dataset, frame: int) -> np.ndarray:
    """A frame's stored values, (rows, columns) or (rows, columns, 3), from the bits that hold them.

    Colours are RGB where the object says YBR.
    """
    shift, how = _above(file)
    values: np.ndarray = pixel_array(file, index=frame, **how)
    return values >> shift if shift else values


def every_frame(file: pydicom.Dataset) -> Iterator[np.ndarray]:
    """:func:`stored_values` of each frame in turn."""
    shift, how = _above(file)
    for values in iter_pixels(file, **how):
        yield values >> shift if shift else values


def misplaced(file: pydicom.Dataset) -> bool:
    """Whether HighBit names bits that the pixels do not have; the lowest ones are read then."""
    high = number(file, "HighBit")
    if high is None or "PixelData" not in file:
        return False
    return not int(file.BitsStored) - 1 <= high < int(file.BitsAllocated)


def _above(file: pydicom.Dataset) -> tuple[int, dict[str, int]]:
    """How many bits lie below the stored ones, and the decoder's option to keep them.

    HighBit is BitsStored - 1 today; older objects put 12 bits at the top of 16, and overlays
    below them (PS3.5 8.1.1). A compressed codestream holds the values alone.
    """
    high, syntax = number(file, "HighBit"), file.file_meta.TransferSyntaxUID
    packed = syntax.is_encapsulated and syntax != RLELossless
    if high is None or packed or "PixelData" not in file or misplaced(file):
        return 0, {}
    shift = int(high) + 1 - int(file.BitsStored)
    return (shift, {"bits_stored": int(high) + 1}) if shift else (0, {})
