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
from vesalius.cases.image import DEFAULT_LIMITS, Limits
from vesalius.errors import ImageError

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_FLOATS = {4: ("FloatPixelData", "OF"), 8: ("DoubleFloatPixelData", "OD")}
_FUNCTIONS = ("LINEAR_EXACT", "SIGMOID")


def rewritten(data: bytes, limits: Limits) -> tuple[bytes, bool | None]:
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
        made = _grey(file, frames) if grey else _colour(file, frames)
        said = {"YES": True, "NO": False}.get(str(file.get("BurnedInAnnotation", "")).upper())
        if said is not None:
            _put(made, "BurnedInAnnotation", "CS", "YES" if said else "NO")
        if (code := modality(file)) is not None:
            _put(made, "Modality", "CS", code)
        return as_bytes(made), said


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


def as_bytes(made: Dataset) -> bytes:
    """The object as a file; its UID is a hash of its pixels (PS3.5 B.2)."""
    pixels = next(made[name].value for name in _PIXELS if name in made)
    uid = f"2.25.{int.from_bytes(hashlib.sha256(pixels).digest()[:16], 'big')}"
    made.file_meta = meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = made.SOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = uid
    file = BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _check_unpacked(size: int) -> None:
    if size > DEFAULT_LIMITS.max_bytes:
        raise ImageError(
            "image_too_large",
            f"unpacked, its frames have {size:,} bytes; {DEFAULT_LIMITS.max_bytes:,} are allowed",
            hint="send fewer frames",
        )


def _grey(file: pydicom.Dataset, frames: int) -> Dataset:
    made = _described(file, frames, str(file.PhotometricInterpretation))
    values = _all(iter_pixels(file), frames, (int(file.Rows), int(file.Columns)))
    size = values.dtype.itemsize
    if values.dtype.kind == "f":
        name, vr = _FLOATS[size]
    else:
        name, vr = "PixelData", "OB" if size == 1 else "OW"
        # The decoder has emptied the bits that are allocated but not stored: overlays hid there.
        bits = min(int(file.get("BitsStored") or 8 * size), 8 * size)
        _put(made, "BitsStored", "US", bits)
        _put(made, "HighBit", "US", bits - 1)
        _put(made, "PixelRepresentation", "US", int(values.dtype.kind == "i"))
    _put(made, "BitsAllocated", "US", 8 * size)
    _put(made, name, vr, _even(values))
    padding = file.get_item("PixelPaddingValue") and file["PixelPaddingValue"]
    if padding and padding.VR in ("US", "SS") and isinstance(padding.value, int):
        _put(made, "PixelPaddingValue", padding.VR, padding.value)
    _put_transformations(file, made, frames)
    return made


def _colour(file: pydicom.Dataset, frames: int) -> Dataset:
    made = _described(file, frames, "RGB")
    shown = (
        np.asarray(Image.fromarray(colour(file, one)).convert("RGB")) for one in iter_pixels(file)
    )
    values = _all(shown, frames, (int(file.Rows), int(file.Columns), 3))
    for name, value in (("BitsAllocated", 8), ("BitsStored", 8), ("HighBit", 7)):
        _put(made, name, "US", value)
    for name in ("PixelRepresentation", "PlanarConfiguration"):
        _put(made, name, "US", 0)
    _put(made, "PixelData", "OB", _even(values))
    return made


def _described(file: pydicom.Dataset, frames: int, colours: str) -> Dataset:
    made = Dataset()
    _put(made, "SamplesPerPixel", "US", 3 if colours == "RGB" else 1)
    _put(made, "PhotometricInterpretation", "CS", colours)
    _put(made, "Rows", "US", int(file.Rows))
    _put(made, "Columns", "US", int(file.Columns))
    if frames > 1:
        _put(made, "NumberOfFrames", "IS", frames)
    return made


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


def _put_transformations(file: pydicom.Dataset, made: Dataset, frames: int) -> None:
    """Rescaling and window: on the object where all frames share them, else frame by frame."""
    each = [(_rescaling(file, frame), _voi(file, frame)) for frame in range(frames)]
    if all(one == each[0] for one in each):
        for part in each[0]:
            made.update(part)
        return
    groups = []
    for rescaling, voi in each:
        group = Dataset()
        _put(group, "PixelValueTransformationSequence", "SQ", [rescaling])
        _put(group, "FrameVOILUTSequence", "SQ", [voi])
        groups.append(group)
    _put(made, "PerFrameFunctionalGroupsSequence", "SQ", groups)


def _rescaling(file: pydicom.Dataset, frame: int) -> Dataset:
    item, kept = frame_item(file, frame, "PixelValueTransformationSequence"), Dataset()
    if "ModalityLUTSequence" in item:
        tables = item.ModalityLUTSequence or ()
        _put(kept, "ModalityLUTSequence", "SQ", [_table(tables[0], exact=True)] if tables else [])
    for name in ("RescaleSlope", "RescaleIntercept"):
        if item.get(name) is not None:
            _put_number(kept, name, item.get(name))
    return kept


def _voi(file: pydicom.Dataset, frame: int) -> Dataset:
    item, kept = frame_item(file, frame, "FrameVOILUTSequence"), Dataset()
    if (window := own_window(item)) is not None:
        _put_number(kept, "WindowCenter", window[0])
        _put_number(kept, "WindowWidth", window[1])
    if item.get("VOILUTSequence"):
        _put(kept, "VOILUTSequence", "SQ", [_table(item.VOILUTSequence[0], exact=False)])
    if (function := voi_function(item)) in _FUNCTIONS:
        _put(kept, "VOILUTFunction", "CS", function)
    return kept


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
    kept = Dataset()
    # With signed pixels the first value mapped is signed, and all three are written so.
    signed = item["LUTDescriptor"].VR == "SS"
    size = entries - 2**16 if signed and entries >= 2**15 else entries
    _put(kept, "LUTDescriptor", "SS" if signed else "US", [size, first, bits])
    _put(kept, "LUTData", "OW", struct.pack(f"<{count}H", *numbers))
    return kept


def _put_number(made: Dataset, name: str, number: Any) -> None:
    # The shortest text that reads back as the same number; it may pass the 16 characters of a DS.
    _put(made, name, "DS", repr(float(number)))


def _put(made: Dataset, name: str, vr: str, value: Any) -> None:
    tag = tag_for_keyword(name)
    assert tag is not None
    made[tag] = DataElement(tag, vr, value, validation_mode=IGNORE)
