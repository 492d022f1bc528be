"""A DICOM object written anew from what its pixels need: an allow-list, and nothing beside it.

Grey pictures keep their stored values, so that a window can still be chosen; colours become the
8-bit RGB that is shown. Rescaling, windows and tables are kept per frame where frames differ.
"""

from __future__ import annotations

import hashlib
import struct
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.config import IGNORE
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import iter_pixels, pixel_array
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from vesalius.cases.decoded import DEFAULT_LIMITS, Limits
from vesalius.cases.dicom import (
    GREY,
    check_header,
    check_syntax,
    colour,
    frame_item,
    modality,
    own_window,
    read_dicom,
    refusing_dicom,
    voi_function,
)
from vesalius.errors import ImageError

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_FLOATS = {4: ("FloatPixelData", "OF"), 8: ("DoubleFloatPixelData", "OD")}
_FUNCTIONS = ("LINEAR_EXACT", "SIGMOID")


def reencode_dicom(data: bytes, limits: Limits) -> tuple[bytes, bool | None]:
    """The bytes of the new object, and what the old header said of text in the picture.

    Explicit VR little endian, every frame uncompressed, a preamble of zeros. No UID is the
    source's: the object's own is drawn from its pixels. Raises ImageError.
    """
    file = read_dicom(data)
    with refusing_dicom():
        frames = check_header(file, limits)
        rows, columns = int(file.Rows), int(file.Columns)
        limits.check_total(rows * columns * frames)
        grey = file.PhotometricInterpretation in GREY
        size = max(int(file.BitsAllocated), 8) // 8 if grey else 3
        _check_unpacked(rows * columns * frames * size)
        check_syntax(file, range(frames), frames)
        output = _grey(file, frames) if grey else _colour(file, frames)
        burned_in = {"YES": True, "NO": False}.get(str(file.get("BurnedInAnnotation", "")).upper())
        if burned_in is not None:
            _put(output, "BurnedInAnnotation", "CS", "YES" if burned_in else "NO")
        if (code := modality(file)) is not None:
            _put(output, "Modality", "CS", code)
        return as_bytes(output), burned_in


def stored_frames(data: bytes) -> tuple[Dataset, np.ndarray]:
    """A kept object and its stored values, (frames, rows, columns) or (..., 3); a copy."""
    file = pydicom.dcmread(BytesIO(data))
    values, frames = pixel_array(file), int(file.get("NumberOfFrames") or 1)
    shape = (frames, int(file.Rows), int(file.Columns), *((3,) * (file.SamplesPerPixel == 3)))
    return file, np.array(values.reshape(shape))


def with_frames(file: Dataset, values: np.ndarray) -> bytes:
    """A kept object with other stored values of the same shape and type."""
    name = next(name for name in _PIXELS if name in file)
    _put(file, name, file[name].VR, _even(values))
    return as_bytes(file)


def as_bytes(output: Dataset) -> bytes:
    """The object as a file; its UID is a hash of its pixels (PS3.5 B.2)."""
    pixels = next(output[name].value for name in _PIXELS if name in output)
    uid = f"2.25.{int.from_bytes(hashlib.sha256(pixels).digest()[:16], 'big')}"
    output.file_meta = meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = output.SOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = output.SOPInstanceUID = uid
    file = BytesIO()
    output.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _check_unpacked(size: int) -> None:
    if size > DEFAULT_LIMITS.max_bytes:
        raise ImageError(
            "image_too_large",
            f"unpacked, its frames have {size:,} bytes; {DEFAULT_LIMITS.max_bytes:,} are allowed",
            hint="send fewer frames",
        )


def _grey(file: pydicom.Dataset, frames: int) -> Dataset:
    output = _described(file, frames, str(file.PhotometricInterpretation))
    values = _all(iter_pixels(file), frames, (int(file.Rows), int(file.Columns)))
    size = values.dtype.itemsize
    if values.dtype.kind == "f":
        name, vr = _FLOATS[size]
    else:
        name, vr = "PixelData", "OB" if size == 1 else "OW"
        # The decoder has emptied the bits that are allocated but not stored: overlays hid there.
        bits = min(int(file.get("BitsStored") or 8 * size), 8 * size)
        _put(output, "BitsStored", "US", bits)
        _put(output, "HighBit", "US", bits - 1)
        _put(output, "PixelRepresentation", "US", int(values.dtype.kind == "i"))
    _put(output, "BitsAllocated", "US", 8 * size)
    _put(output, name, vr, _even(values))
    padding = file.get_item("PixelPaddingValue") and file["PixelPaddingValue"]
    if padding and padding.VR in ("US", "SS") and isinstance(padding.value, int):
        _put(output, "PixelPaddingValue", padding.VR, padding.value)
    _put_transformations(file, output, frames)
    return output


def _colour(file: pydicom.Dataset, frames: int) -> Dataset:
    output = _described(file, frames, "RGB")
    pictures = (
        np.asarray(Image.fromarray(colour(file, one)).convert("RGB")) for one in iter_pixels(file)
    )
    values = _all(pictures, frames, (int(file.Rows), int(file.Columns), 3))
    for name, value in (("BitsAllocated", 8), ("BitsStored", 8), ("HighBit", 7)):
        _put(output, name, "US", value)
    for name in ("PixelRepresentation", "PlanarConfiguration"):
        _put(output, name, "US", 0)
    _put(output, "PixelData", "OB", _even(values))
    return output


def _described(file: pydicom.Dataset, frames: int, colours: str) -> Dataset:
    output = Dataset()
    _put(output, "SamplesPerPixel", "US", 3 if colours == "RGB" else 1)
    _put(output, "PhotometricInterpretation", "CS", colours)
    _put(output, "Rows", "US", int(file.Rows))
    _put(output, "Columns", "US", int(file.Columns))
    if frames > 1:
        _put(output, "NumberOfFrames", "IS", frames)
    return output


def _all(each: Any, frames: int, shape: tuple[int, ...]) -> np.ndarray:
    """The frames in one array, filled one by one; little endian."""
    values = None
    for number, one in zip(range(frames), each, strict=True):
        if one.shape != shape:
            raise ImageError("dicom_invalid", "the DICOM picture's description is not supported")
        if values is None:
            values = np.empty((frames, *shape), one.dtype.newbyteorder("<"))
        values[number] = one
    assert values is not None
    return values


def _even(values: np.ndarray) -> bytes:
    data = values.tobytes()
    return data + bytes(len(data) % 2)


def _put_transformations(file: pydicom.Dataset, output: Dataset, frames: int) -> None:
    """Rescaling and window: on the object where all frames share them, else frame by frame."""
    each = [(_rescaling(file, frame), _voi(file, frame)) for frame in range(frames)]
    if all(one == each[0] for one in each):
        for part in each[0]:
            output.update(part)
        return
    groups = []
    for rescaling, voi in each:
        group = Dataset()
        _put(group, "PixelValueTransformationSequence", "SQ", [rescaling])
        _put(group, "FrameVOILUTSequence", "SQ", [voi])
        groups.append(group)
    _put(output, "PerFrameFunctionalGroupsSequence", "SQ", groups)


def _rescaling(file: pydicom.Dataset, frame: int) -> Dataset:
    item, output = frame_item(file, frame, "PixelValueTransformationSequence"), Dataset()
    if "ModalityLUTSequence" in item:
        tables = item.ModalityLUTSequence or ()
        _put(output, "ModalityLUTSequence", "SQ", [_table(tables[0], exact=True)] if tables else [])
    for name in ("RescaleSlope", "RescaleIntercept"):
        if item.get(name) is not None:
            _put_number(output, name, item.get(name))
    return output


def _voi(file: pydicom.Dataset, frame: int) -> Dataset:
    item, output = frame_item(file, frame, "FrameVOILUTSequence"), Dataset()
    if (window := own_window(item)) is not None:
        _put_number(output, "WindowCenter", window[0])
        _put_number(output, "WindowWidth", window[1])
    if item.get("VOILUTSequence"):
        _put(output, "VOILUTSequence", "SQ", [_table(item.VOILUTSequence[0], exact=False)])
    if (function := voi_function(item)) in _FUNCTIONS:
        _put(output, "VOILUTFunction", "CS", function)
    return output


def _table(item: pydicom.Dataset, *, exact: bool) -> Dataset:
    """A look-up table's numbers, and not one more than it declares (PS3.3 C.11.1.1)."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor[:3])
    count, data = entries or 2**16, item["LUTData"]
    if data.VR == "OW":
        order = "<" if item.original_encoding[1] else ">"
        form = f"{order}{count}H"
        numbers = struct.unpack(form, data.value) if exact else struct.unpack_from(form, data.value)
    else:
        numbers = tuple(data.value)[:count]
        numbers += (0,) * (count - len(numbers))
    output = Dataset()
    # With signed pixels the first value mapped is signed, and all three are written so.
    signed = item["LUTDescriptor"].VR == "SS"
    size = entries - 2**16 if signed and entries >= 2**15 else entries
    _put(output, "LUTDescriptor", "SS" if signed else "US", [size, first, bits])
    _put(output, "LUTData", "OW", struct.pack(f"<{count}H", *numbers))
    return output


def _put_number(output: Dataset, name: str, number: Any) -> None:
    # The shortest text that reads back as the same number; it may pass the 16 characters of a DS.
    _put(output, name, "DS", repr(float(number)))


def _put(output: Dataset, name: str, vr: str, value: Any) -> None:
    tag = tag_for_keyword(name)
    assert tag is not None
    output[tag] = DataElement(tag, vr, value, validation_mode=IGNORE)
