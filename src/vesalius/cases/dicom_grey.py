"""Stored grey values to shades: modality transformation, padding, window or table (PS3.3 C.11)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom

from vesalius.cases.dicom_elements import label, number
from vesalius.cases.lookup_table import ABOVE, Table, read_table
from vesalius.cases.shades import (
    NOT_FINITE,
    Range,
    linear,
    own_range,
    percentiles,
    real,
    rounded,
    windowed,
)
from vesalius.errors import ImageError

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_PADDING = {
    "PixelData": ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    "FloatPixelData": ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    "DoubleFloatPixelData": ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
}


OTHER_SHAPE = (
    "the presentation LUT shape does not go with the photometric interpretation, which is shown"
)
"""PS3.3 C.11.6.1.2: INVERSE with MONOCHROME1, IDENTITY with MONOCHROME2, nothing else."""


def grey_shades(
    file: pydicom.Dataset, stored: np.ndarray, frame: int, window: tuple[float, float] | None
) -> tuple[np.ndarray, list[str]]:
    """The shades (uint8) of a frame's stored values, and remarks; ImageError.

    ``window`` (centre, width) replaces the file's own.
    """
    scale = rescaling(file, frame)
    values, remarks = scale.applied(stored), list(scale.remarks)
    voi = frame_item(file, frame, "FrameVOILUTSequence")
    if window is not None:
        function, notes = voi_function(voi)
        shades, more = windowed(values, window, function)
        more = (*notes, *more)
    else:
        shades, more = _by_header(file, voi, scale, stored, values)
    finite = np.isfinite(values)
    if not finite.all():
        shades, more = np.where(finite, shades, 0), (*more, NOT_FINITE)
    grey = rounded(shades)
    inverted = file.PhotometricInterpretation == "MONOCHROME1"
    shape = str(file.get("PresentationLUTShape") or "")
    if shape and shape != ("INVERSE" if inverted else "IDENTITY"):
        more = (*more, OTHER_SHAPE)
    return (255 - grey if inverted else grey), [*remarks, *more]


@dataclass(frozen=True, slots=True)
class Rescaling:
    """A frame's modality transformation: a table, or a slope and an intercept where stated."""

    slope: float | None
    intercept: float | None
    table: Table | None
    remarks: tuple[str, ...] = ()

    @property
    def is_identity(self) -> bool:
        """Whether the stored values are the modality's."""
        line = (self.slope or 1.0, self.intercept or 0.0)
        return self.table is None and line == (1.0, 0.0)

    def applied(self, stored: np.ndarray) -> np.ndarray:
        """The modality's values, e.g. Hounsfield units; float32, or 64 where that is too short."""
        if self.table is not None:
            return self.table.at(stored).astype(np.float32)
        values = real(stored)
        values *= values.dtype.type(self.slope or 1.0)
        values += values.dtype.type(self.intercept or 0.0)
        return values

    def is_signed(self, file: pydicom.Dataset) -> bool:
        """Whether what comes out may lie below 0, by the header alone."""
        if self.table is not None:
            return False
        if "PixelData" not in file:
            return True
        ends = _stored_ends(file)
        return min((self.slope or 1.0) * end for end in ends) + (self.intercept or 0.0) < 0


def rescaling(file: pydicom.Dataset, frame: int) -> Rescaling:
    """The modality transformation of a frame; ImageError names the element at fault."""
    item = frame_item(file, frame, "PixelValueTransformationSequence")
    if item.get("ModalityLUTSequence"):
        signed = "PixelData" in file and _stored_ends(file)[0] < 0
        return Rescaling(None, None, read_table(item.ModalityLUTSequence[0], signed=signed))
    slope, intercept = number(item, "RescaleSlope"), number(item, "RescaleIntercept")
    unusable = (f"{label('RescaleSlope')} is 0: taken for 1",) if slope == 0 else ()
    return Rescaling(slope, intercept, None, unusable)


def voi_table(file: pydicom.Dataset, voi: pydicom.Dataset, scale: Rescaling) -> Table | None:
    """The VOI table of a frame, None where there is none; ImageError names the element at fault."""
    if not voi.get("VOILUTSequence"):
        return None
    return read_table(voi.VOILUTSequence[0], signed=scale.is_signed(file))


def padding_range(file: pydicom.Dataset) -> tuple[float, float] | None:
    """Lowest and highest stored value that is padding (PS3.3 C.7.5.1.1.2), or None; ImageError.

    Written with another sign, or more bits, than the pixels have, it is the value that the
    pixels' bits spell: 63536 beside signed pixels is -2000.
    """
    value, limit = (number(file, name) for name in padding_names(file))
    if value is None:
        return None
    ends = [value if end is None else end for end in (value, limit)]
    if "PixelData" in file:
        lowest, highest = _stored_ends(file)
        ends = [(int(end) - lowest) % (highest - lowest + 1) + lowest for end in ends]
    return min(ends), max(ends)


def padding_names(file: pydicom.Dataset) -> tuple[str, str]:
    """The elements for padding that go with the kind of pixel data: its value, and the limit."""
    return next(names for pixels, names in _PADDING.items() if pixels in file)


def frame_item(file: pydicom.Dataset, frame: int, name: str) -> pydicom.Dataset:
    """The data set that holds a frame's transformation: enhanced objects keep one per frame."""
    for groups, at in (
        ("PerFrameFunctionalGroupsSequence", frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        items = file.get(groups) or ()
        if at < len(items) and items[at].get(name):
            inner: pydicom.Dataset = items[at][name].value[0]
            return inner
    return file


def own_window(voi: pydicom.Dataset) -> tuple[float, float] | None:
    """The first window (centre, width), or None; several may be offered.

    One that is no pair of numbers has the width 0, as one that names none.
    """
    try:
        pair = [_first(voi.get(name)) for name in ("WindowCenter", "WindowWidth")]
        window = None if None in pair else (float(pair[0]), float(pair[1]))
    except (ValueError, OverflowError):  # words in a decimal string
        return 0.0, 0.0
    return window if window is None or all(map(math.isfinite, window)) else (0.0, 0.0)


def voi_function(voi: pydicom.Dataset) -> tuple[str, tuple[str, ...]]:
    """The window's function (PS3.3 C.11.2.1.3): LINEAR where none, or none of it, is named."""
    function = str(voi.get("VOILUTFunction") or "LINEAR")
    if function in FUNCTIONS:
        return function, ()
    return "LINEAR", (f"{label('VOILUTFunction')} is none of the standard's: LINEAR is shown",)


def _by_header(
    file: pydicom.Dataset,
    voi: pydicom.Dataset,
    scale: Rescaling,
    stored: np.ndarray,
    values: np.ndarray,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Shades by the header's window, else its table, else by a range of the values."""
    own = own_window(voi)
    remarks: tuple[str, ...] = ()
    if own is not None and own[1] > 0:
        function, remarks = voi_function(voi)
        shades, more = windowed(values, own, function)
        return shades, (*remarks, *more, *_flat(shades, values, "window"))
    try:
        table = voi_table(file, voi, scale)
    except ImageError as error:
        table, remarks = None, (f"the VOI table is not used: {error.what}",)
    if table is not None:
        shades = linear(table.at(values), 0, table.top)
        above = (ABOVE,) if table.numbers.max() > table.top else ()
        return shades, (*above, *_flat(shades, values, "VOI table"))
    shades, more = _by_range(file, scale, stored, values, own)
    return shades, (*remarks, *more)


def _by_range(
    file: pydicom.Dataset,
    scale: Rescaling,
    stored: np.ndarray,
    values: np.ndarray,
    own: tuple[float, float] | None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    shown, remarks = range_without_window(file, scale, stored, values, own)
    return linear(values, shown.low, shown.high), remarks


def range_without_window(
    file: pydicom.Dataset,
    scale: Rescaling,
    stored: np.ndarray,
    values: np.ndarray,
    own: tuple[float, float] | None,
) -> tuple[Range, tuple[str, ...]]:
    """The range that is shown where the header has no window to use, and remarks."""
    narrow = int(file.BitsAllocated) <= 8
    if narrow and own is None and scale.is_identity and not int(file.PixelRepresentation):
        # They are shades already; a mask of one bit would be black on black.
        return Range(0, 2 ** min(int(file.BitsStored), 8) - 1, ""), ()
    seen, remarks = _without_padding(file, stored, values)
    shown: Range = own_range(seen) if narrow else percentiles(seen)
    why = "no window" if own is None else "a window without a width above 0"
    return shown, (*remarks, f"{why} in the header: {shown.words}")


def _without_padding(
    file: pydicom.Dataset, stored: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The values that are no padding; all of them where nothing else is there."""
    try:
        padding = padding_range(file)
    except ImageError as error:
        return values, (f"padding is not left out: {error.what}",)
    if padding is None:
        return values, ()
    seen = values[(stored < padding[0]) | (stored > padding[1])]
    return (seen if seen.size else values), ()


def _flat(shades: np.ndarray, values: np.ndarray, what: str) -> tuple[str, ...]:
    """That the header's own view hides a picture which has more than one value."""
    hidden = rounded(shades).min() == rounded(shades).max() and values.min() < values.max()
    return (f"the header's {what} shows the whole picture in one shade",) if hidden else ()


def _stored_ends(file: pydicom.Dataset) -> tuple[int, int]:
    """The lowest and highest value that the stored bits hold."""
    bits, signed = int(file.BitsStored), int(file.PixelRepresentation)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def _first(value: Any) -> Any:
    several = not isinstance(value, str | bytes) and hasattr(value, "__len__")
    return (value[0] if len(value) else None) if several else value or (0 if value == 0 else None)
