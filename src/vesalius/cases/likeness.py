"""Whether one picture is another saved again: encoded, scaled, cropped, turned, windowed, negated.

A picture is compared as a thumbnail of 48 x 48 grey levels, of which only the *structure* counts:
its fine band, divided by the local contrast. A window or a rescale changes contrast and leaves
structure alone; flat ground has none and decides nothing. Likeness is the correlation of two
structures where both have any, after the one is fitted onto the other by scale and shift
(Gauss-Newton, after B. D. Lucas and T. Kanade, 1981), in absolute value, in the best of the eight
orientations: 1 for the same picture, about 0.2 for two of one kind.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Thumbnail = NDArray[np.uint8]
Packed = NDArray[np.uint8]
"""Structures [..., 48, 48] as they are stored: 0 where there is none, else 128 + 32 times it."""
Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

SIDE = 48
"""Grey levels along each side of a thumbnail."""
CELLS = 16
"""Along each side of what the first search compares."""
ALIKE, ALIKE_OF_TWO = 0.70, 0.905
"""From this likeness on a picture may be another saved again, if it stands out; and where the two
are said to be of two patients."""
SAME = 0.985
"""From this on it is, whatever else is like it."""
OUTSTANDING = 0.5
"""What is left to 1 must be at most this share of what is left for the pictures around it."""
NEIGHBOURS = 12
"""How many of the most similar pictures each is compared with."""
AROUND, AROUND_OF_TWO = 8, 2
"""Whose likeness, in order, tells how alike pictures of this kind are anyway. A picture may have
been saved many times over, but seldom under many patients' names."""
SIMILAR = 0.55
"""Of the first search: below it no picture was another's copy in any trial."""
LEAST = 0.08
"""The share of the picture in which both must have structure."""
CONTRAST = 0.5
"""Squared grey levels: local variance below twice this is flat ground, or the rounding of it."""
STRETCH, SHIFT = 0.06, 2.0
"""How far one picture is fitted to another: of its size, and in thumbnail pixels."""
STEPS = 2
"""Of fitting; with four more likeness rises by 0.005 at most."""
BLOCK = 256
"""Pictures, or pairs, that are worked on at once: of each with 80,000 others some 200 MB."""


def thumbnail(grey: Image.Image) -> Thumbnail:
    """The picture in ``SIDE`` x ``SIDE`` averaged levels, whatever its own shape."""
    small = min(grey.size) < SIDE
    how = Image.Resampling.BILINEAR if small else Image.Resampling.BOX
    return np.asarray(grey.resize((SIDE, SIDE), how), dtype=np.uint8)


def structure(thumbnails: NDArray[np.uint8]) -> tuple[Plane, Mask]:
    """The fine band over the local contrast, [n, 48, 48], and where there is any; 0 elsewhere."""
    smooth = _blurred(thumbnails.astype(np.float32), 0.6)
    fine = smooth - _blurred(smooth, 1.5)
    energy = _blurred(fine * fine, 2.5)
    where = energy > 2 * CONTRAST
    return np.where(where, fine / np.sqrt(energy + np.float32(CONTRAST)), np.float32(0)), where


def is_copy(value: float, usual: float, *, of_two: bool = False) -> bool:
    """Whether a likeness is that of a picture and itself saved again.

    ``usual`` is how alike pictures of this kind are anyway: anatomy is alike, and where all are a
    pair has to stand out among them. ``of_two``: they are said to be of two patients.
    """
    stands_out = 1 - value <= OUTSTANDING * (1 - usual)
    return value >= SAME or (stands_out and value >= (ALIKE_OF_TWO if of_two else ALIKE))


def likeness(
    thumbnails: NDArray[np.uint8],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    turns: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Of pairs by their places in ``thumbnails``, in [0, 1]; ``turns`` as :func:`turned` has them.

    Pairs that are unlike at first sight are not fitted.
    """
    values = np.zeros(len(first))
    for top in range(0, len(first), BLOCK):
        part = slice(top, top + BLOCK)
        others = _structures(thumbnails, second[part])
        values[part] = _in_turn(others, _structures(thumbnails, first[part]), turns[part])
    return values


def packed(thumbnails: NDArray[np.uint8]) -> Packed:
    """The structures of thumbnails [n, 48, 48], a byte a place: grey levels cannot be read off."""
    fine, where = structure(thumbnails)
    levels = np.clip(np.rint(fine * 32) + 128, 1, 255)
    return np.where(where, levels, 0).astype(np.uint8)


def packed_likeness(structures: Packed, others: Packed) -> NDArray[np.float64]:
    """Of packed structures [n, 48, 48], pair by pair, in the best of the eight orientations."""
    ours, theirs = _unpacked(structures), _unpacked(others)
    mine, its = cells(ours[0]), cells(theirs[0])
    similar = np.stack([np.abs((mine * turned(its, t)).sum((1, 2))) for t in range(8)])
    values = np.zeros(len(structures))
    near = np.flatnonzero(similar.max(axis=0) >= SIMILAR)
    if len(near):
        a, b = (theirs[0][near], theirs[1][near]), (ours[0][near], ours[1][near])
        values[near] = _in_turn(a, b, similar.argmax(axis=0)[near])
    return values


def _unpacked(structures: Packed) -> tuple[Plane, Mask]:
    where = structures > 0
    fine = (structures.astype(np.float32) - 128) / 32
    return np.where(where, fine, np.float32(0)), where


def _in_turn(
    others: tuple[Plane, Mask], ours: tuple[Plane, Mask], turns: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Likeness of pairs, the others turned first (in place)."""
    (a, in_a), (b, in_b) = others, ours
    for turn in np.unique(turns):
        at = turns == turn
        a[at], in_a[at] = turned(a[at], turn), turned(in_a[at], turn)
    values = _fitted(a, in_a, b, in_b)
    unsure = np.flatnonzero((values >= ALIKE / 2) & (values < SAME))
    back = _fitted(b[unsure], in_b[unsure], a[unsure], in_a[unsure])
    values[unsure] = np.maximum(values[unsure], back)
    return values


def _structures(thumbnails: NDArray[np.uint8], at: NDArray[np.intp]) -> tuple[Plane, Mask]:
    """Of the thumbnails at these places, each made once: the first of a pair stands in many."""
    different, again = np.unique(at, return_inverse=True)
    fine, where = structure(thumbnails[different])
    return fine[again], where[again]


def turned(planes: NDArray[Any], turn: int) -> NDArray[Any]:
    """[..., s, s] in one of eight orientations: quarter turns, from 4 on of the mirror image."""
    mirrored = planes[..., ::-1] if turn >= 4 else planes
    return np.rot90(mirrored, int(turn) % 4, axes=(-2, -1))


def cells(fine: Plane) -> Plane:
    """Structures in 16 x 16 means, each plane of mean 0 and length 1 (or 0 where it is flat)."""
    size = SIDE // CELLS
    means = fine.reshape(-1, CELLS, size, CELLS, size).mean(axis=(2, 4))
    means -= means.mean(axis=(1, 2), keepdims=True)
    lengths = np.sqrt((means * means).sum(axis=(1, 2), keepdims=True))
    unit: Plane = means / np.maximum(lengths, 1e-6)
    return unit


def _fitted(a: Plane, in_a: Mask, b: Plane, in_b: Mask) -> NDArray[np.float64]:
    """The absolute correlation of each pair once ``a`` is fitted onto ``b``."""
    signed = _correlation(a, b, in_a & in_b)
    best = np.abs(signed)
    sign = np.where(signed < 0, -1, 1).astype(np.float32)[:, None, None]
    fit = np.zeros((len(a), 3), np.float32)
    live = np.flatnonzero(best >= ALIKE / 4)
    for step in range(STEPS + 1):
        if not len(live):
            break
        moved, inside = _moved(a[live] * sign[live], in_a[live], fit[live])
        inside &= in_b[live]
        best[live] = np.maximum(best[live], _correlation(moved, b[live], inside))
        if step < STEPS:
            fit[live] += _step(moved, b[live], inside)
            np.clip(fit, *LIMITS, out=fit)
            live = live[best[live] < 0.995]
    return best


def _correlation(a: Plane, b: Plane, both: Mask) -> NDArray[np.float64]:
    products = (a * b * both).sum(axis=(1, 2), dtype=np.float64)
    squares = (a * a * both).sum(axis=(1, 2)) * (b * b * both).sum(axis=(1, 2))
    enough = both.sum(axis=(1, 2)) >= LEAST * SIDE * SIDE
    return np.where(enough, products / np.sqrt(np.maximum(squares, 1e-6)), 0.0)


LIMITS = (
    np.array([-STRETCH, -SHIFT, -SHIFT], np.float32),
    np.array([STRETCH, SHIFT, SHIFT], np.float32),
)
AT = np.arange(SIDE, dtype=np.float32)
FROM_CENTRE = AT - np.float32((SIDE - 1) / 2)
HOLD = np.diag([SIDE**2 / 6, 2.0, 2.0]).astype(np.float32)
"""Keeps a fit small where the pictures say little of it."""


def _moved(a: Plane, in_a: Mask, fit: Plane) -> tuple[Plane, Mask]:
    """``a`` stretched by column 0 of ``fit``, and shifted across and down by the others."""
    rows, columns = _sampling(fit[:, 0], fit[:, 2]), _sampling(fit[:, 0], fit[:, 1])
    across = columns.transpose(0, 2, 1)
    moved: Plane = (rows @ a @ across).astype(np.float32, copy=False)
    return moved, (rows @ in_a.astype(np.float32) @ across) > 0.6


def _sampling(stretch: Plane, shift: Plane) -> Plane:
    """Linear interpolation as matrices [n, 48, 48]."""
    at = (SIDE - 1) / 2 + FROM_CENTRE * (1 + stretch[:, None]) + shift[:, None]
    weights: Plane = 1 - np.abs(np.clip(at, 0, SIDE - 1)[:, :, None] - AT)
    return np.clip(weights, 0, None).astype(np.float32)


def _step(moved: Plane, b: Plane, inside: Mask) -> Plane:
    down, across = np.gradient(moved, axis=(1, 2))
    slopes = (across * FROM_CENTRE + down * FROM_CENTRE[:, None], across, down)
    by_pixel = (np.stack(slopes, axis=-1) * inside[..., None]).reshape(len(moved), -1, 3)
    left = ((b - moved) * inside).reshape(len(moved), -1, 1)
    turned_over = by_pixel.transpose(0, 2, 1)
    step: Plane = np.linalg.solve(turned_over @ by_pixel + HOLD, turned_over @ left)[..., 0]
    return step


def _blurred(planes: Plane, deviation: float) -> Plane:
    kernel = _kernel(deviation)
    return (kernel @ planes @ kernel.T).astype(np.float32, copy=False)


@lru_cache(maxsize=4)
def _kernel(deviation: float) -> Plane:
    """Gaussian smoothing along one side as a matrix, its rows summing to 1 at the edges too."""
    weights = np.exp(-0.5 * ((AT[:, None] - AT) / deviation) ** 2)
    weights[weights < 1e-12] = 0  # of no weight; as subnormal numbers they cost ten times the time
    kernel: Plane = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return kernel
