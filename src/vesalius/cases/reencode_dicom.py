"""A DICOM object written anew from what its pixels need: an allow-list, and nothing beside it.

Grey pictures keep their stored values, so that a window can still be chosen; colours become the
8-bit RGB that is shown. Rescaling, windows and tables are kept per frame where frames differ.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.config import IGNORE
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from vesalius.cases.decoded import DEFAULT_LIMITS, Limits
from vesalius.cases.dicom import (
    GREY,
    check_header,
    check_syntax,
    colour,
    modality,
    read_dicom,
    refusing_dicom,
)
from vesalius.cases.dicom_display import display_of
from vesalius.cases.dicom_frames import PIXELS, every_frame
from vesalius.cases.dicom_grey import (
    frame_item,
    own_window,
    padding_names,
    padding_range,
    rescaling,
    voi_function,
    voi_table,
)
from vesalius.cases.display import Display
from vesalius.cases.series import SeriesPlace, series_place
from vesalius.errors import ImageError

_FLOATS = {4: ("FloatPixelData", "OF"), 8: ("DoubleFloatPixelData", "OD")}
# Representations of padding by the values' kind and bytes; 16 bits are the standard's.
_PADDING = {
    "u": {1: "US", 2: "US", 4: "UL", 8: "UV"},
    "i": {1: "SS", 2: "SS", 4: "SL", 8: "SV"},
    "f": {4: "FL", 8: "FD"},
}
_OTHER = "OTHER"  # a function that is none of the standard's stays one


@dataclass(frozen=True, slots=True)
class RewrittenDicom:
    """The bytes of the new object, and what the old header said of it.

    ``burned_in``: whether text is in the picture. ``place``: where it stands among others, where
    that was asked for. ``display``: what a viewer writes beside it.
    """

    data: bytes
    burned_in: bool | None
    place: SeriesPlace | None
    display: Display


def reencode_dicom(data: bytes, limits: Limits, key: bytes = b"") -> RewrittenDicom:
    """The picture as a new object.

    Explicit VR little endian, every frame uncompressed, a preamble of zeros. No UID is the
    source's: the object's own is drawn from its pixels. With a ``key`` it is told where among
    others the picture stands. Raises ImageError.
    """
    file, _ = read_dicom(data)
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
        place = series_place(file, key) if key else None
        display = display_of(file, frames, grey=grey)
        return RewrittenDicom(as_bytes(output), burned_in, place, display)


def stored_frames(data: bytes) -> tuple[Dataset, np.ndarray]:
    """A kept object and its stored values, (frames, rows, columns) or (..., 3); a copy."""
    file = pydicom.dcmread(BytesIO(data))
    values, frames = pixel_array(file), int(file.get("NumberOfFrames") or 1)
    shape = (frames, int(file.Rows), int(file.Columns), *((3,) * (file.SamplesPerPixel == 3)))
    return file, np.array(values.reshape(shape))


def with_frames(file: Dataset, values: np.ndarray) -> bytes:
    """A kept object with other stored values of the same shape and type."""
    name = next(name for name in PIXELS if name in file)
    _put(file, name, file[name].VR, _even(values))
    return as_bytes(file)


def as_bytes(output: Dataset) -> bytes:
    """The object as a file; its UID is a hash of its pixels (PS3.5 B.2)."""
    pixels = next(output[name].value for name in PIXELS if name in output)
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
    values = _all(every_frame(file), frames, (int(file.Rows), int(file.Columns)))
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
    _put_padding(file, output, values)
    _put_transformations(file, output, frames)
    return output


def _colour(file: pydicom.Dataset, frames: int) -> Dataset:
    output = _described(file, frames, "RGB")
    pictures = (
        np.asarray(Image.fromarray(colour(file, one)).convert("RGB")) for one in every_frame(file)
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
    for scale, voi in each:
        group = Dataset()
        _put(group, "PixelValueTransformationSequence", "SQ", [scale])
        _put(group, "FrameVOILUTSequence", "SQ", [voi])
        groups.append(group)
    _put(output, "PerFrameFunctionalGroupsSequence", "SQ", groups)


def _put_padding(file: pydicom.Dataset, output: Dataset, values: np.ndarray) -> None:
    try:
        padding = padding_range(file)
    except ImageError:
        # What is no number leaves nothing out of what is shown, and nothing here.
        return
    for name, value in zip(padding_names(output), padding or (), strict=False):
        _put(output, name, _PADDING[values.dtype.kind][values.dtype.itemsize], value)


def _rescaling(file: pydicom.Dataset, frame: int) -> Dataset:
    scale, output = rescaling(file, frame), Dataset()
    if scale.table is not None:
        _put(output, "ModalityLUTSequence", "SQ", [scale.table.item()])
    for name, value in (("RescaleSlope", scale.slope), ("RescaleIntercept", scale.intercept)):
        if value is not None:
            _put_number(output, name, value)
    return output


def _voi(file: pydicom.Dataset, frame: int) -> Dataset:
    item, output = frame_item(file, frame, "FrameVOILUTSequence"), Dataset()
    if (window := own_window(item)) is not None:
        _put_number(output, "WindowCenter", window[0])
        _put_number(output, "WindowWidth", window[1])
    try:
        table = voi_table(file, item, rescaling(file, frame))
    except ImageError:
        # An empty one is not used either, so that the same is shown.
        _put(output, "VOILUTSequence", "SQ", [Dataset()])
    else:
        if table is not None:
            _put(output, "VOILUTSequence", "SQ", [table.item()])
    function, remarks = voi_function(item)
    if function != "LINEAR" or remarks:
        _put(output, "VOILUTFunction", "CS", _OTHER if remarks else function)
    return output


def _put_number(output: Dataset, name: str, number: Any) -> None:
    # The shortest text that reads back as the same number; it may pass the 16 characters of a DS.
    _put(output, name, "DS", repr(float(number)))


def _put(output: Dataset, name: str, vr: str, value: Any) -> None:
    tag = tag_for_keyword(name)
    assert tag is not None
    output[tag] = DataElement(tag, vr, value, validation_mode=IGNORE)
