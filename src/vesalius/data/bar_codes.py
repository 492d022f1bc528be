"""Bar codes and matrix codes in pictures: where they are, never what they say.

A code is found by its edges. Bars are many hard edges in one direction and hardly any across; a
matrix (QR, Data Matrix) is many in both, between nearly black and nearly white. Text may look like
a matrix, which does no harm where both are blacked out, and so may anatomy with hard edges: look
for codes on labels, documents and screens, not in radiographs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy import ndimage

from vesalius.data.burned_in import Region

SCALES = (1, 2, 4, 8)
"""Pictures are looked at reduced by these, so that modules of 1 to about 16 pixels are seen."""
_HARD = 0.35
"""The least step of a hard edge, in parts of the picture's range of grey."""
_ALONG, _ACROSS = 41, 9  # pixels of the window that bars are counted in
_SQUARE = 21  # of the one for a matrix
_BARS, _STRAY = 0.16, 0.03  # hard edges a pixel in the window: at least along, at most across
_BALANCE = 0.25  # bars are as much black as white, give or take this share
_MATRIX, _PURE = (
    0.15,
    0.8,
)  # hard edges in both directions; pixels in the range's outer quarters


def find_bar_codes(image: Image.Image) -> tuple[Region, ...]:
    """Boxes around bar codes (upright or lying) and matrix codes in pixels of the picture."""
    grey = np.asarray(image.convert("L"), dtype=np.float32)
    low, high = float(grey.min()), float(grey.max())
    if high - low < 1:
        return ()
    level, regions = (grey - low) / (high - low), []
    for scale in SCALES:
        small = _reduced(level, scale)
        if min(small.shape) < _SQUARE:
            break
        for rows, columns in _codes_in(small):
            x, y = columns.start * scale, rows.start * scale
            width = min(columns.stop * scale, grey.shape[1]) - x
            regions.append(Region(x, y, width, min(rows.stop * scale, grey.shape[0]) - y, 1.0))
    return tuple(regions)


def _reduced(grey: np.ndarray, scale: int) -> np.ndarray:
    """The picture with each ``scale`` x ``scale`` pixels averaged into one."""
    height, width = (size // scale for size in grey.shape)
    cut = grey[: height * scale, : width * scale]
    averaged: np.ndarray = cut.reshape(height, scale, width, scale).mean(axis=(1, 3))
    return averaged


def _codes_in(level: np.ndarray) -> Iterator[tuple[slice, slice]]:
    edges_x = np.abs(np.diff(level, axis=1, append=level[:, -1:])) > _HARD
    edges_y = np.abs(np.diff(level, axis=0, append=level[-1:])) > _HARD
    if not edges_x.any() and not edges_y.any():
        return
    for along, across, window in (
        (edges_x, edges_y, (_ACROSS, _ALONG)),
        (edges_y, edges_x, (_ALONG, _ACROSS)),
    ):
        bars = (_share(along, window) >= _BARS) & (_share(across, window) <= _STRAY)
        bars &= np.abs(_share(level > 0.5, window) - 0.5) <= _BALANCE  # a ruler is mostly ground
        yield from _boxes(bars, window, along)
    window = (_SQUARE, _SQUARE)
    pure = _share(np.abs(level - 0.5) > 0.25, window) >= _PURE
    both = (_share(edges_x, window) >= _MATRIX) & (_share(edges_y, window) >= _MATRIX)
    yield from _boxes(pure & both, window, edges_x | edges_y)


def _share(marks: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """The share of marked pixels in a window around each pixel."""
    share: np.ndarray = ndimage.uniform_filter(marks.astype(np.float32), window, mode="constant")
    return share


def _boxes(
    centres: np.ndarray, window: tuple[int, int], edges: np.ndarray
) -> Iterator[tuple[slice, slice]]:
    """The boxes of the hard edges that the windows around connected centres see."""
    numbered, _ = ndimage.label(centres)
    for rows, columns in ndimage.find_objects(numbered):
        high, wide = window[0] // 2, window[1] // 2
        top, left = max(rows.start - high, 0), max(columns.start - wide, 0)
        inside = edges[top : rows.stop + high, left : columns.stop + wide]
        upright, across = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        yield (
            slice(max(top + int(upright[0]) - 1, 0), top + int(upright[-1]) + 2),
            slice(max(left + int(across[0]) - 1, 0), left + int(across[-1]) + 2),
        )
