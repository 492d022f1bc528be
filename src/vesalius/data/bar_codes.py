"""Bar codes and matrix codes in pictures: where they are, never what they say.

A code is found by its edges. Bars are many hard edges in one direction and hardly any across; a
matrix (QR, Data Matrix) is many in both, between nearly black and nearly white. Text may look like
a matrix, which does no harm where both are blacked out, and so may anatomy with hard edges: on
labels, documents and screens all of that is taken for a code, elsewhere only what is one for sure.
Those are bars that all rows agree on, of irregular widths, and QR codes by their three corners
(OpenCV's detector).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy import ndimage

from vesalius.data.burned_in import Region
from vesalius.errors import MissingExtra

SCALES = (1, 2, 4, 8)
"""Pictures are looked at reduced by these, so that modules of 1 to about 16 pixels are seen."""
_HARD = 0.35
"""The least step of a hard edge, in parts of the picture's range of grey."""
_ALONG, _ACROSS = 41, 9  # pixels of the window that bars are counted in
_SQUARE = 21  # of the one for a matrix
_BARS, _STRAY = 0.16, 0.03  # hard edges a pixel in the window: at least along, at most across
_BALANCE = 0.25  # bars are as much black as white, give or take this share
_MATRIX, _PURE = 0.15, 0.8  # hard edges both ways; pixels in the range's outer quarters
_EDGES, _ROWS = 24, 12  # the least of a bar code: edges along a row, and rows that agree
_AGREEING = 0.8  # of the columns, those that are black, or white, in nearly all rows
_IRREGULAR = 0.3  # deviation of the bars' widths over their mean: a ruler's are all alike
_WIDEST = 12  # widths of the narrowest bar; Code 128 and Code 39 have up to 4 with margins for blur


def find_bar_codes(image: Image.Image, *, sure: bool = False) -> tuple[Region, ...]:
    """Boxes around bar codes (upright or lying) and matrix codes in pixels of the picture.

    With ``sure`` none that may be anatomy. Raises MissingExtra without the extra ``ocr``.
    """
    grey = np.asarray(image.convert("L"), dtype=np.float32)
    low, high = float(grey.min()), float(grey.max())
    if high - low < 1 or min(grey.shape) < _SQUARE:
        return ()
    level, regions = (grey - low) / (high - low), list(_qr_codes(grey))
    for scale in SCALES:
        small = _reduced(level, scale)
        if min(small.shape) < _SQUARE:
            break
        for rows, columns in _codes_in(small, sure=sure):
            x, y = columns.start * scale, rows.start * scale
            width = min(columns.stop * scale, grey.shape[1]) - x
            regions.append(Region(x, y, width, min(rows.stop * scale, grey.shape[0]) - y, 1.0))
    return tuple(regions)


def _qr_codes(grey: np.ndarray) -> Iterator[Region]:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtra("opencv-python-headless", "ocr") from error
    _, corners = cv2.QRCodeDetector().detectMulti(np.ascontiguousarray(grey.astype(np.uint8)))
    for four in () if corners is None else corners.reshape(-1, 4, 2):
        # Its corners are those of a square that is read, which may be smaller than what is printed.
        rim = (four.max(axis=0) - four.min(axis=0)) / 4
        (left, top), (right, bottom) = four.min(axis=0) - rim, four.max(axis=0) + rim
        x, y = max(int(left), 0), max(int(top), 0)
        width, height = min(int(right), grey.shape[1]) - x, min(int(bottom), grey.shape[0]) - y
        if width > 0 and height > 0:
            yield Region(x, y, width, height, 1.0)


def _reduced(grey: np.ndarray, scale: int) -> np.ndarray:
    """The picture with each ``scale`` x ``scale`` pixels averaged into one."""
    height, width = (size // scale for size in grey.shape)
    cut = grey[: height * scale, : width * scale]
    averaged: np.ndarray = cut.reshape(height, scale, width, scale).mean(axis=(1, 3))
    return averaged


def _codes_in(level: np.ndarray, *, sure: bool) -> Iterator[tuple[slice, slice]]:
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
        for box in _boxes(bars, window, along):
            if not sure or _is_bar_code(level[box] if along is edges_x else level[box].T):
                yield box
    if sure:
        return
    window = (_SQUARE, _SQUARE)
    pure = _share(np.abs(level - 0.5) > 0.25, window) >= _PURE
    both = (_share(edges_x, window) >= _MATRIX) & (_share(edges_y, window) >= _MATRIX)
    yield from _boxes(pure & both, window, edges_x | edges_y)


def _is_bar_code(level: np.ndarray) -> bool:
    """Whether nearly all rows of bars agree, and their widths differ as those of a code do."""
    low, high = np.percentile(level, (5, 95))
    middle = level[len(level) // 6 : len(level) - len(level) // 6] < (low + high) / 2
    if len(level) < _ROWS or high - low < _HARD:
        return False
    share = middle.mean(axis=0)
    agreeing = (share < 0.08) | (share > 0.92)
    edges = np.flatnonzero(np.diff(share > 0.5))
    if len(edges) < _EDGES or agreeing.mean() < _AGREEING:
        return False
    widths = np.diff(edges)
    return bool(
        widths.std() > _IRREGULAR * widths.mean() and widths.max() <= _WIDEST * widths.min()
    )


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
