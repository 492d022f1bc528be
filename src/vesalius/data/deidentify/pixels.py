"""Pixel data without passengers: bits no pixel uses, bytes past the last pixel, comments."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from vesalius.cases.decoded import Limits
from vesalius.data.deidentify import operators
from vesalius.data.deidentify.clean import Cleaner
from vesalius.data.deidentify.codestreams import strip
from vesalius.errors import ImageError

PIXELS = 0x7FE00010
_FLOATS = {0x7FE00008: ("OF", 4), 0x7FE00009: ("OD", 8)}
LIMITS = Limits(max_pixels=2**30, max_aspect=65_535, max_frames=100_000)
"""Of what has to be decompressed; the rest is bounded by the file's own size."""


def copy_pixels(source: Dataset, output: Dataset, cleaner: Cleaner) -> UID:
    """Put the source's pixels, bare, into ``output``; the transfer syntax they are now in.

    Raises ImageError for pixel data that are shorter than they claim, or no codestream.
    """
    syntax = UID(source.file_meta.TransferSyntaxUID)
    for tag, (representation, size) in _FLOATS.items():
        if tag in source:
            length = _samples(source) * size
            output.add(operators.element(tag, representation, _cut(source[tag].value, length)))
            cleaner.count("K", tag)
    if PIXELS not in source:
        return syntax
    if not syntax.is_encapsulated:
        _native(source, output, cleaner, syntax.is_little_endian)
        return syntax
    if syntax == RLELossless or not _bare_frames(source, output, cleaner):
        _native(decompressed(source), output, cleaner, little=True)
        return ExplicitVRLittleEndian
    return syntax


def decompressed(source: Dataset) -> Dataset:
    """A copy of the image in native pixels; ImageError where no decoder reads it."""
    syntax = UID(source.file_meta.TransferSyntaxUID)
    LIMITS.check_size(int(source.Columns), int(source.Rows))
    LIMITS.check_frames(int(source.get("NumberOfFrames") or 1))
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
        frames, samples = int(source.get("NumberOfFrames") or 1), int(source.SamplesPerPixel)
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


def _bare_frames(source: Dataset, output: Dataset, cleaner: Cleaner) -> bool:
    """Encapsulate the frames again without comments; False if they must be decompressed."""
    frames = int(source.get("NumberOfFrames") or 1)
    LIMITS.check_frames(frames)
    stored = list(generate_frames(BytesIO(source.PixelData), number_of_frames=frames))
    if len(stored) != frames:
        raise ImageError("image_truncated", "the frames are not as many as the header claims")
    bare = [strip(frame) for frame in stored]
    used = int(source.get("BitsStored") or 0)
    if any(frame.precision > max(used, 8) for frame in bare):
        return False  # bits above the stored ones may hold an overlay
    removed = sum(frame.removed for frame in bare)
    cleaner.count("C" if removed else "K", PIXELS)
    data = encapsulate([frame.data for frame in bare], has_bot=frames > 1)
    pixels = operators.element(PIXELS, "OB", data)
    pixels.is_undefined_length = True
    output.add(pixels)
    return True
