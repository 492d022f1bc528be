"""Values to shades of 0 to 255: windows (PS3.3 C.11.2.1), and ranges where nothing names one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_PERCENTILES = (0.5, 99.5)
# Of the whole range: where all but the outermost percent lie within less, lone pixels set it.
_NARROW = 0.25
_OWN = "the picture's own range of values is shown"
NOT_FINITE = "pixels that are no finite numbers are shown as the lowest"


@dataclass(frozen=True, slots=True)
class Range:
    """From the value shown black to the value shown white, and what a user is told of it."""

    low: float
    high: float
    words: str


def percentiles(values: np.ndarray) -> Range:
    """The 0.5th to 99.5th percentile of the finite values; all of them where the two are one."""
    return _range(values, narrow=math.inf)


def own_range(values: np.ndarray) -> Range:
    """The lowest to the highest finite value; percentiles where a few lone pixels are the range."""
    return _range(values, narrow=_NARROW)


def _range(values: np.ndarray, *, narrow: float) -> Range:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not finite.size:
        return Range(0.0, 0.0, _OWN)
    lowest, highest = float(finite.min()), float(finite.max())
    low, high = (float(value) for value in np.percentile(finite, _PERCENTILES))
    if low < high <= low + narrow * (highest - lowest):
        return Range(low, high, "the 0.5th to 99.5th percentiles are shown")
    return Range(lowest, highest, _OWN)


def linear(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Shades in [0, 255] that rise evenly from ``low`` to ``high``; a step where they are one."""
    if not high > low:
        return np.where(values > high, 255.0, 0.0)
    shades = real(values)
    shades -= shades.dtype.type(low)
    shades *= shades.dtype.type(255.0 / (high - low))
    return np.clip(shades, 0.0, 255.0, out=shades)


def real(values: np.ndarray) -> np.ndarray:
    """A copy as float32, or as float64 where float32 does not hold every value."""
    narrow = values.dtype.itemsize < 4 or values.dtype == np.float32
    return values.astype(np.float32 if narrow else np.float64)


def windowed(
    values: np.ndarray, window: tuple[float, float], function: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Shades in [0, 255] by the window function of PS3.3 C.11.2.1.2 and .3, and remarks.

    ``window`` is (centre, width) with a width above 0. A LINEAR one narrower than 1 is not
    allowed there, because its lower end would lie above its upper: it is shown as LINEAR_EXACT.
    """
    centre, width = window
    if function == "SIGMOID":
        return 255.0 / (1.0 + np.exp(np.clip(-4 * (values - centre) / width, -80, 80))), ()
    exact = linear(values, centre - width / 2, centre + width / 2)
    if function == "LINEAR_EXACT":
        return exact, ()
    if width < 1:
        return exact, ("a window narrower than 1 is shown as LINEAR_EXACT (PS3.3 C.11.2.1.3)",)
    low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    return linear(values, low, high), ()


def rounded(shades: np.ndarray) -> np.ndarray:
    """Shades as uint8; what is no number is black."""
    whole: np.ndarray = np.rint(np.nan_to_num(shades, nan=0.0)).astype(np.uint8)
    return whole


def deep_shades(values: np.ndarray, *, inverted: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """A picture of more than 8 bits, or of signed ones, as uint8, and remarks.

    Its own range is shown, or percentiles where lone pixels set that. ``inverted``: the highest
    value is black. Values that are not finite count as the lowest.
    """
    finite = np.isfinite(values)
    shown = own_range(values)
    grey = rounded(linear(np.where(finite, values, shown.low), shown.low, shown.high))
    what = "more than 8 bits" if values.dtype.itemsize > 1 else "signed values"
    how = (
        "rescaled linearly to 0..255"
        if shown.words == _OWN
        else f"a few lone pixels; {shown.words}"
    )
    remarks = (f"{what}: {how}", *(() if finite.all() else (NOT_FINITE,)))
    return (255 - grey if inverted else grey), remarks


def stretch(values: np.ndarray) -> np.ndarray:
    """``values`` (any shape) mapped linearly to uint8, lowest to 0 and highest to 255.

    Values that are not finite count as the lowest; a constant picture becomes black.
    """
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        return rounded(linear(values, float(values.min()), float(values.max())))
    deep = values.astype(np.float64)
    finite = np.isfinite(deep)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low = float(deep[finite].min())
    return rounded(linear(np.where(finite, deep, low), low, float(deep[finite].max())))
