"""Pixel data without passengers: bits no pixel uses, bytes past the last pixel, comments."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_fragments, generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from vesalius.cases.decoded import Limits
from vesalius.data.deidentify import operators
from vesalius.data.deidentify.clean import Cleaner
from vesalius.data.deidentify.codestreams import strip
from vesalius.errors import ImageError

PIXELS = 0x7FE00010
_FLOATS = {0x7FE00008: ("OF", 4), 0x7FE00009: ("OD", 8)}
_DESCRIPTION = ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "PhotometricInterpretation")
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")
"""Of a codestream: JPEG and JPEG-LS, JPEG 2000, JP2."""
LIMITS = Limits(max_pixels=2**30, max_aspect=65_535, max_frames=100_000)
"""Of what has to be decompressed; the rest is bounded by the file's own size."""


def frame_count(source: Dataset) -> int:
    """How many frames the header claims: 1 where it says nothing or 0, 3 for ``3.0``.

    Raises ImageError for what is no count of frames.
    """
    if "NumberOfFrames" not in source:
        return 1
    kept = operators.keep(source["NumberOfFrames"])
    if kept is None or (kept.value and int(kept.value) < 0):
        raise ImageError("dicom_frames", "Number of Frames (0028,0008) is no whole number")
    return int(kept.value or 1)


def copy_pixels(source: Dataset, output: Dataset, cleaner: Cleaner) -> UID:
    """Put the source's pixels, bare, into ``output``; the transfer syntax they are now in.

    Raises ImageError for pixel data that are shorter than they claim, that hold more frames, or
    are no codestream, and where what describes them may not stay.
    """
    syntax = UID(source.file_meta.TransferSyntaxUID)
    if PIXELS in source or any(tag in source for tag in _FLOATS):
        _describe(source, output)
    for tag, (representation, size) in _FLOATS.items():
        if tag in source:
            length = _samples(source) * size
            _refuse_more(source[tag].value, length, source)
            output.add(operators.element(tag, representation, _cut(source[tag].value, length)))
            cleaner.count("K", tag)
    if PIXELS not in source:
        return syntax
    if not syntax.is_encapsulated:
        _native(source, output, cleaner, syntax.is_little_endian)
        return syntax
    stored = _stored_frames(source)
    if syntax == RLELossless or not _bare_frames(source, output, cleaner, stored):
        _native(decompressed(source), output, cleaner, little=True)
        return ExplicitVRLittleEndian
    return syntax


def _describe(source: Dataset, output: Dataset) -> None:
    """Write the count of frames as it is used; ImageError where a description has been removed."""
    if "NumberOfFrames" in source:
        count = str(frame_count(source))
        output.add(operators.element(source["NumberOfFrames"].tag, "IS", count))
    for name in _DESCRIPTION:
        if name in source and name not in output:
            raise ImageError("dicom_invalid", f"{name} is broken, and pixels are not read without")


def _refuse_more(data: bytes, length: int, source: Dataset) -> None:
    """ImageError where whole frames follow the claimed ones: one of the two numbers is wrong."""
    if len(data or b"") >= length + max(length // frame_count(source), 1):
        raise ImageError("dicom_frames", "the pixel data hold more frames than the header claims")


def decompressed(source: Dataset) -> Dataset:
    """A copy of the image in native pixels; ImageError where no decoder reads it."""
    syntax = UID(source.file_meta.TransferSyntaxUID)
    LIMITS.check_size(int(source.Columns), int(source.Rows))
    LIMITS.check_frames(frame_count(source))
    if not syntax.is_encapsulated:
        return source
    if not get_decoder(syntax).is_available:
        raise ImageError("dicom_transfer_syntax", f"no decoder for {syntax.name} is installed")
    copy = pydicom.Dataset()
    copy.file_meta = pydicom.dataset.FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = syntax
    copy.set_original_encoding(False, True)
    for tag in source.group_dataset(0x0028).keys() | {PIXELS}:
        copy.add(source[tag])
    copy.SOPInstanceUID = source.SOPInstanceUID
    copy.decompress(as_rgb=True, generate_instance_uid=False)
    return copy


def _native(source: Dataset, output: Dataset, cleaner: Cleaner, little: bool) -> None:
    bits = int(source.BitsAllocated)
    length = (_samples(source) * bits + 7) // 8
    stored, words = source.PixelData, "OW" if bits > 8 else str(source[PIXELS].VR)
    if bits <= 8 and words == "OW" and not little:
        # Bytes in big-endian words stand in pairs the wrong way round (PS3.5 8.1.2).
        words, stored = "OB", np.frombuffer(stored, ">u2").astype("<u2").tobytes()
    _refuse_more(stored, length, source)
    data = _masked(source, _cut(stored, length), little)
    cleaner.count("K" if data == stored else "C", PIXELS)
    output.add(operators.element(PIXELS, words, data))
    for name in ("PhotometricInterpretation", "PlanarConfiguration"):
        # Decompressing may have changed both.
        if name in source and source[name].value != output.get(name):
            output.add(source[name])


def _samples(source: Dataset) -> int:
    try:
        rows, columns = int(source.Rows), int(source.Columns)
        frames, samples = frame_count(source), int(source.SamplesPerPixel)
    except (AttributeError, TypeError, ValueError) as error:
        raise ImageError("dicom_invalid", "the picture's description is broken") from error
    # YBR_FULL_422 stores two samples a pixel instead of three (PS3.3 C.7.6.3.1.2).
    stored = 2 if source.get("PhotometricInterpretation") == "YBR_FULL_422" else samples
    if min(rows, columns, frames, samples) < 1:
        raise ImageError("dicom_invalid", "the picture's description is broken")
    return rows * columns * frames * stored


def _cut(data: bytes, length: int) -> bytes:
    if len(data or b"") < length:
        raise ImageError("image_truncated", "the pixel data are shorter than they claim")
    return data[:length] + b"\0" * (length % 2)


def _masked(source: Dataset, data: bytes, little: bool) -> bytes:
    """The bytes with zeros, or copies of the sign, in the bits that no pixel value uses.

    Old scanners, and whoever hides something, put overlays there (PS3.5 8.1.1, 2004).
    """
    allocated, stored = int(source.BitsAllocated), int(source.get("BitsStored") or 0)
    high = int(source.get("HighBit") or stored - 1)
    if allocated == 1 or not 0 < stored < allocated:
        return data
    if allocated not in {8, 16, 32, 64} or not stored - 1 <= high < allocated:
        raise ImageError("dicom_invalid", "the picture's bits are not supported")
    kind = np.dtype(f"{'<' if little else '>'}u{allocated // 8}")
    pixels = np.frombuffer(data, kind, count=len(data) * 8 // allocated)
    mask = (2**stored - 1) << (high - stored + 1)
    bare = pixels & kind.type(mask)
    if int(source.get("PixelRepresentation") or 0) and high == stored - 1:
        negative = pixels & kind.type(1 << high) != 0
        bare[negative] |= kind.type(2**allocated - 1 - mask)
    if np.array_equal(bare, pixels):
        return data
    masked: bytes = bare.astype(kind, copy=False).tobytes()
    return masked + data[pixels.nbytes :]


def _stored_frames(source: Dataset) -> list[bytes]:
    """The compressed frames; ImageError where they are not as many as the header claims."""
    frames = frame_count(source)
    LIMITS.check_frames(frames)
    stored = list(generate_frames(BytesIO(source.PixelData), number_of_frames=frames))
    starts = frames
    if frames == 1:
        # What is one frame by the header is read as one, however many there are. An RLE frame is
        # always one fragment (PS3.5 A.4.2).
        _, *parts = generate_fragments(source.PixelData)  # the first is the table of offsets
        one_each = source.file_meta.TransferSyntaxUID == RLELossless
        starts = len(parts) if one_each else sum(part.startswith(_STARTS) for part in parts)
    if max(starts, len(stored)) > frames:
        raise ImageError("dicom_frames", "there are more frames than the header claims")
    if len(stored) < frames:
        raise ImageError("image_truncated", "there are fewer frames than the header claims")
    return stored


def _bare_frames(source: Dataset, output: Dataset, cleaner: Cleaner, stored: list[bytes]) -> bool:
    """Encapsulate the frames again without comments; False if they must be decompressed."""
    bare = [strip(frame) for frame in stored]
    used = int(source.get("BitsStored") or 0)
    if any(frame.precision > max(used, 8) for frame in bare):
        return False  # bits above the stored ones may hold an overlay
    removed = sum(frame.removed for frame in bare)
    cleaner.count("C" if removed else "K", PIXELS)
    data = encapsulate([frame.data for frame in bare], has_bot=len(bare) > 1)
    pixels = operators.element(PIXELS, "OB", data)
    pixels.is_undefined_length = True
    output.add(pixels)
    return True
