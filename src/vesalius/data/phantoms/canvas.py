"""Brushes for drawn anatomy: ellipses, clouds, grain. Knows no organ.

Only +, −, ×, ÷, square roots and comparisons in float32 are used, each of which IEEE 754 rounds in
one way, so that the same numbers give the same pixels on every machine; no exp, no sin, no sums
whose order may vary.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Point = tuple[float, float]


@lru_cache(maxsize=8)
def grid(size: int) -> tuple[Plane, Plane]:
    """Pixel centres in [-1, 1]: u to the right, shape (1, size), and v downwards, (size, 1)."""
    centres = ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)
    return centres[None, :], centres[:, None]


def smooth(t: Plane) -> Plane:
    """The smoothstep of ``t`` clipped to [0, 1]: 3t² − 2t³."""
    t = t.clip(0, 1)
    curve: Plane = t * t * (np.float32(3) - np.float32(2) * t)
    return curve


@lru_cache(maxsize=64)
def _weights(size: int, cells: int) -> tuple[NDArray[np.intp], Plane]:
    at = (np.arange(size) + 0.5) * (cells / size)
    below = at.astype(np.intp)
    past: Plane = (at - below).astype(np.float32)
    return below, smooth(past)


def clouds(rng: np.random.Generator, size: int, cells: int) -> Plane:
    """Smooth noise in [-1, 1], shape (size, size): a random lattice of ``cells``, interpolated."""
    raw: Plane = rng.integers(0, 256, (cells + 1, cells + 1), dtype=np.uint8).astype(np.float32)
    lattice: Plane = raw * np.float32(2 / 255) - np.float32(1)
    at, t = _weights(size, cells)
    rows = lattice[at] + (lattice[at + 1] - lattice[at]) * t[:, None]
    left = rows[:, at]
    plane: Plane = left + (rows[:, at + 1] - left) * t
    return plane


def grain(rng: np.random.Generator, size: int) -> Plane:
    """White noise of mean 0 and deviation 1, shape (size, size): four bytes added up."""
    four = rng.integers(0, 256, (4, size, size), dtype=np.uint8)
    total = four[0].astype(np.int16) + four[1] + four[2] + four[3]
    white: Plane = (total.astype(np.float32) - np.float32(510)) * np.float32(1 / 147.8)
    return white


class Canvas:
    """A grey picture in [0, 1] that shapes are painted on; (0, 0) is its centre, 1 its edge."""

    def __init__(self, size: int, *, wobble: Plane | None = None) -> None:
        self.size = size
        self.u, self.v = grid(size)
        self.pixels: Plane = np.zeros((size, size), np.float32)
        self._wobble = wobble

    def ellipse(
        self,
        centre: Point,
        radii: Point,
        *,
        lean: float = 0.0,
        soft: float = 0.03,
        rough: float = 0,
    ) -> tuple[tuple[slice, slice], Plane]:
        """Where an ellipse lies: a window of the canvas, and its cover in [0, 1] there.

        ``lean`` shears it (u shifts by lean × v), ``soft`` is the width of its edge, ``rough``
        how far the canvas's wobble dents the edge, relative to its radius.
        """
        (x, y), (rx, ry) = centre, radii
        soft = max(soft, 2.5 / self.size)
        reach = 1 + rough
        window = self._window(
            x - (rx + abs(lean) * ry) * reach - soft,
            x + (rx + abs(lean) * ry) * reach + soft,
            y - ry * reach - soft,
            y + ry * reach + soft,
        )
        down = self.v[window[0]] - np.float32(y)
        across = (self.u[:, window[1]] - np.float32(x) - np.float32(lean) * down) / np.float32(rx)
        far = np.sqrt(across * across + (down / np.float32(ry)) ** 2)
        if rough and self._wobble is not None:
            far = far + self._wobble[window] * np.float32(rough)
        return window, smooth((1 - far) * np.float32(min(rx, ry) / soft) + np.float32(0.5))

    def paint(
        self,
        shape: tuple[tuple[slice, slice], Plane],
        value: float | Plane,
        *,
        alpha: float = 1.0,
        within: Plane | None = None,
    ) -> None:
        """Draw ``value`` (a number, or a whole plane) over a shape, ``within`` a mask if given."""
        window, cover = shape
        if within is not None:
            cover = cover * within[window]
        under = self.pixels[window]
        over = value[window] if isinstance(value, np.ndarray) else np.float32(value)
        under += (over - under) * cover * np.float32(alpha)

    def mask(self, *shapes: tuple[tuple[slice, slice], Plane]) -> Plane:
        """The union of shapes as a plane of covers in [0, 1]."""
        whole: Plane = np.zeros_like(self.pixels)
        for window, cover in shapes:
            np.maximum(whole[window], cover, out=whole[window])
        return whole

    def _window(self, left: float, right: float, top: float, bottom: float) -> tuple[slice, slice]:
        def pixel(at: float) -> int:
            return min(max(int((at + 1) / 2 * self.size), 0), self.size)

        return slice(pixel(top), pixel(bottom) + 1), slice(pixel(left), pixel(right) + 1)
