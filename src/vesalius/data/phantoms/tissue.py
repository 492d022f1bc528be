"""A drawn histology patch in haematoxylin and eosin: crypts, stroma, nuclei, and its findings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.data.phantoms.canvas import Canvas, Plane, clouds, smooth
from vesalius.data.phantoms.findings import strength
from vesalius.data.phantoms.scene import Finding

# What each stain takes from white light in red, green and blue.
HAEMATOXYLIN = (0.62, 0.70, 0.36)
EOSIN = (0.10, 0.46, 0.28)

Points = NDArray[np.float32]


def patch(
    c: Canvas, rng: np.random.Generator, findings: tuple[Finding, ...], difficulty: float
) -> Plane:
    """A patch in RGB, shape (3, size, size), values in [0, 1]; ``c`` becomes its eosin."""
    fibres, drift = clouds(rng, c.size, 26), clouds(rng, c.size, 4)
    c.pixels += 0.50 + 0.16 * fibres + 0.10 * drift
    nuclei = np.full((c.size, c.size), 0.10, np.float32) + np.float32(0.05) * drift
    crypts = _crypts(rng)
    for x, y, r in crypts:
        c.paint(c.ellipse((x, y), (r, r), soft=0.05, rough=0.10), 0.70)
        c.paint(c.ellipse((x, y), (r * 0.52, r * 0.52), soft=0.06, rough=0.12), 0.06)
    _dots(nuclei, _ring_nuclei(rng, crypts), 0.042, 0.82)
    _dots(nuclei, _stroma_nuclei(rng, crypts), 0.034, 0.78)
    scattered = _scatter(rng)
    for i, finding in enumerate(findings):
        _draw(c, nuclei, finding, scattered[i], strength(difficulty))
    light = [1 - h * nuclei - e * c.pixels for h, e in zip(HAEMATOXYLIN, EOSIN, strict=True)]
    return np.stack(light)


def _crypts(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Centres and radii of glands on a shaken 3 × 3 lattice that runs over the edges."""
    shake = rng.integers(-1000, 1001, (9, 3)) / 1000
    return [
        (
            -0.72 + 0.72 * (i % 3) + 0.12 * float(shake[i, 0]) + 0.18 * (i // 3 % 2),
            -0.70 + 0.70 * (i // 3) + 0.10 * float(shake[i, 1]),
            0.26 + 0.03 * float(shake[i, 2]),
        )
        for i in range(9)
    ]


# The corners of a regular polygon, written out: sines differ between machines in the last digit.
_ROUND = np.array(
    [
        (1.0, 0.0), (0.924, 0.383), (0.707, 0.707), (0.383, 0.924),
        (0.0, 1.0), (-0.383, 0.924), (-0.707, 0.707), (-0.924, 0.383),
        (-1.0, 0.0), (-0.924, -0.383), (-0.707, -0.707), (-0.383, -0.924),
        (0.0, -1.0), (0.383, -0.924), (0.707, -0.707), (0.924, -0.383),
    ],
    np.float32,
)  # fmt: skip


def _ring_nuclei(rng: np.random.Generator, crypts: list[tuple[float, float, float]]) -> Points:
    shake = (rng.integers(-1000, 1001, (9, 16, 2)) * 0.000018).astype(np.float32)
    centres = np.array(crypts, np.float32)
    ring = centres[:, None, :2] + centres[:, None, 2:] * np.float32(0.84) * _ROUND + shake
    points: Points = ring.reshape(-1, 2)
    return points


def _stroma_nuclei(rng: np.random.Generator, crypts: list[tuple[float, float, float]]) -> Points:
    points = (rng.integers(-1000, 1001, (150, 2)) / 1000).astype(np.float32)
    centres = np.array(crypts, np.float32)
    away = ((points[:, None] - centres[:, :2]) ** 2).sum(-1) > (centres[:, 2] * 1.15) ** 2
    between: Points = points[away.all(1)]
    return between


def _scatter(rng: np.random.Generator) -> NDArray[np.float32]:
    """Three times 90 points in the unit square about 0, for what findings are made of."""
    return (rng.integers(-1000, 1001, (3, 90, 2)) / 1000).astype(np.float32)


def _draw(c: Canvas, nuclei: Plane, finding: Finding, points: Points, alpha: float) -> None:
    centre, radii = (finding.x, finding.y), (finding.rx, finding.ry)
    window, cover = c.ellipse(centre, radii, soft=0.06)
    veil = cover * np.float32(alpha)
    if finding.kind == "necrosis":  # nuclei gone, the ground evenly pink
        nuclei[window] += (np.float32(0.05) - nuclei[window]) * veil
        c.pixels[window] += (np.float32(1.25) - c.pixels[window]) * veil
        return
    nuclei[window] += (np.float32(0.50) - nuclei[window]) * veil
    inside = points[(points**2).sum(1) < 0.72]
    cells = np.array(centre, np.float32) + inside * np.array(radii, np.float32)
    _dots(nuclei, cells, 0.034, 0.50 + 0.5 * alpha)


def _dots(plane: Plane, points: Points, radius: float, value: float) -> None:
    """Round nuclei at ``points``; where they overlap the darkest counts, in any order."""
    size = plane.shape[0]
    r = np.float32(max(radius * size / 2, 1.0))
    at = (points + 1) * np.float32(size / 2) - np.float32(0.5)
    corner = np.floor(at).astype(np.intp)
    reach = np.arange(-int(r) - 1, int(r) + 3)
    columns = corner[:, 0, None, None] + reach
    rows = corner[:, 1, None, None] + reach[:, None]
    across = columns - at[:, 0, None, None]
    down = rows - at[:, 1, None, None]
    far = np.sqrt((across * across + down * down).astype(np.float32))
    dot = smooth((r - far) * np.float32(0.7) + np.float32(0.5)) * np.float32(value)
    columns, rows = np.broadcast_arrays(columns, rows)
    there = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
    np.maximum.at(plane, (rows[there], columns[there]), dot[there])
