"""Drawn radiology without findings: chest film, axial head (T1, T2), abdominal CT in two planes.

Each function takes a Canvas and a generator, paints in place, and draws the same random numbers
whatever the findings. ``build`` in [-1, 1] makes the patient slimmer or broader.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vesalius.data.phantoms.canvas import Canvas, Plane, clouds, smooth

Painter = Callable[[Canvas, np.random.Generator, float], None]


def chest(c: Canvas, rng: np.random.Generator, build: float) -> None:
    """A frontal chest film: air dark, bone and heart bright, the heart to the patient's left."""
    wide = 1 + 0.04 * build
    haze, vessels = clouds(rng, c.size, 5), clouds(rng, c.size, 22)
    c.pixels += np.float32(0.04)
    c.paint(c.ellipse((0, 0.75), (0.92 * wide, 1.75), soft=0.10), 0.50 + 0.05 * haze)
    for side in (-1, 1):  # shoulders and arms
        c.paint(c.ellipse((side * 0.80, -0.62), (0.34, 0.20), lean=side * 0.5, soft=0.12), 0.55)
    lungs = c.mask(
        c.ellipse((-0.40, -0.08), (0.29 * wide, 0.70), lean=-0.10, soft=0.06),
        c.ellipse((0.44, -0.08), (0.28 * wide, 0.70), lean=0.12, soft=0.06),
    )
    whole = (slice(None), slice(None))
    c.paint((whole, lungs), 0.17 + 0.03 * haze)
    across = smooth(np.float32(1.15) - np.float32(1.5) * np.abs(c.u))
    near = across * smooth(np.float32(1.3) - np.float32(1.4) * np.abs(c.v))
    c.pixels += lungs * near * (np.float32(0.10) + np.float32(0.09) * vessels)
    _ribs(c, wide)
    c.paint(c.ellipse((0.0, -0.05), (0.13, 1.2), soft=0.08), 0.66)
    c.paint(c.ellipse((0.0, -0.72), (0.045, 0.34), soft=0.05), 0.40, alpha=0.8)
    c.paint(c.ellipse((0.11, -0.24), (0.11, 0.13), soft=0.08), 0.70, alpha=0.8)
    c.paint(c.ellipse((0.13, 0.27), (0.27, 0.30), lean=0.35, soft=0.09), 0.77)
    c.paint(c.ellipse((-0.06, 0.22), (0.14, 0.26), soft=0.09), 0.72, alpha=0.8)
    c.paint(c.ellipse((-0.45, 1.02), (0.56 * wide, 0.50), soft=0.06), 0.78)
    c.paint(c.ellipse((0.50, 1.06), (0.52 * wide, 0.50), soft=0.06), 0.76)
    c.paint(c.ellipse((0.34, 0.78), (0.10, 0.07), soft=0.08), 0.45, alpha=0.7)
    for side in (-1, 1):  # clavicles
        c.paint(c.ellipse((side * 0.38, -0.66), (0.34, 0.035), soft=0.05), 0.82, alpha=0.45)


def _ribs(c: Canvas, wide: float) -> None:
    # Bands that fall off to the sides, faint over the lungs, as seen from behind.
    u = np.abs(c.u / np.float32(wide))
    fall = c.v * np.float32(4.2) - u * np.float32(1.1) + u * u * np.float32(2.4)
    saw = fall - np.floor(fall)
    band = smooth(np.float32(1.9) - np.float32(6) * np.abs(saw - np.float32(0.5)))
    cage = c.mask(c.ellipse((0, -0.05), (0.78 * wide, 0.86), soft=0.10))
    beside = np.float32(3.2) * (u - np.float32(0.10))
    c.pixels += np.float32(0.085) * band * cage * smooth(beside)


def head_t1(c: Canvas, rng: np.random.Generator, build: float) -> None:
    """An axial T1 head: white matter bright, cortex grey, fluid dark, scalp fat bright."""
    _head(c, rng, build, _T1)


def head_t2(c: Canvas, rng: np.random.Generator, build: float) -> None:
    """An axial T2 head: fluid bright, cortex grey, white matter darker, scalp fat grey."""
    _head(c, rng, build, _T2)


_T1 = {"fat": 0.86, "fluid": 0.10, "grey": 0.44, "white": 0.66, "deep": 0.52}
_T2 = {"fat": 0.50, "fluid": 0.93, "grey": 0.56, "white": 0.34, "deep": 0.46}


def _head(c: Canvas, rng: np.random.Generator, build: float, shade: dict[str, float]) -> None:
    folds, drift = clouds(rng, c.size, 17), clouds(rng, c.size, 4)
    wide = 0.66 + 0.025 * build
    c.paint(c.ellipse((0, 0), (wide + 0.06, 0.87), soft=0.04), shade["fat"])
    c.paint(c.ellipse((0, 0), (wide + 0.01, 0.82), soft=0.03), 0.05)
    c.paint(c.ellipse((0, 0), (wide - 0.05, 0.76), soft=0.03), shade["fluid"])
    c.paint(c.ellipse((0, 0), (wide - 0.065, 0.74), soft=0.03, rough=0.035), shade["grey"])
    depth = np.sqrt((c.u / np.float32(wide - 0.06)) ** 2 + (c.v / np.float32(0.74)) ** 2)
    inside = smooth((1 - depth) * 20)
    sulci = smooth(1 - 9 * np.abs(folds)) * smooth((depth - np.float32(0.62)) * 6) * inside
    c.pixels += sulci * np.float32(0.75) * (np.float32(shade["fluid"]) - c.pixels)
    white = smooth((np.float32(0.80) - depth + folds * np.float32(0.13)) * 14)
    c.pixels += white * (shade["white"] + 0.03 * drift - c.pixels)
    for side in (-1, 1):  # deep nuclei, then the ventricles' front and back horns
        c.paint(c.ellipse((side * 0.17, 0.07), (0.09, 0.15), lean=side * 0.2), shade["deep"])
        horn = c.ellipse((side * 0.085, -0.14), (0.055, 0.15), lean=side * -0.35)
        c.paint(horn, shade["fluid"])
        c.paint(c.ellipse((side * 0.12, 0.26), (0.05, 0.13), lean=side * 0.4), shade["fluid"])
    c.paint(c.ellipse((0, 0.08), (0.018, 0.10)), shade["fluid"])
    for y in (-0.57, 0.58):  # the falx, before and behind the ventricles
        c.paint(c.ellipse((0, y), (0.014, 0.17), soft=0.02), shade["fluid"], alpha=0.8)


def abdomen_axial(c: Canvas, rng: np.random.Generator, build: float) -> None:
    """An axial abdominal CT in a soft-tissue window: liver at the picture's left, spine below."""
    speckle, drift = clouds(rng, c.size, 30), clouds(rng, c.size, 5)
    wide, tall = 0.90 + 0.03 * build, 0.70 + 0.04 * build
    c.paint(c.ellipse((0, 0), (wide, tall), soft=0.03), 0.26 + 0.03 * speckle)
    c.paint(c.ellipse((0, 0.01), (wide - 0.07, tall - 0.07), soft=0.03), 0.47)
    c.paint(c.ellipse((0, 0.0), (wide - 0.11, tall - 0.11), soft=0.03), 0.24 + 0.03 * drift)
    cavity = c.mask(c.ellipse((0, 0.0), (wide - 0.12, tall - 0.12), soft=0.03))
    liver = 0.55 + 0.03 * speckle + 0.02 * drift
    loops = smooth((clouds(rng, c.size, 11) + np.float32(0.2)) * 5)
    gut = c.ellipse((0.12, -0.06), (0.46, 0.26), soft=0.15)
    c.paint(gut, 0.27 + 0.18 * loops, within=cavity)
    c.paint(c.ellipse((-0.50, -0.10), (0.34, 0.44), soft=0.03, rough=0.06), liver, within=cavity)
    c.paint(c.ellipse((-0.16, -0.34), (0.34, 0.17), lean=-0.4, rough=0.06), liver, within=cavity)
    c.paint(c.ellipse((0.34, -0.30), (0.25, 0.20), lean=0.3, rough=0.08), 0.45 + 0.04 * drift)
    c.paint(c.ellipse((0.26, -0.46), (0.12, 0.05)), 0.02, within=cavity)
    spleen = c.ellipse((0.64, -0.02), (0.16, 0.27), lean=-0.2, rough=0.06)
    c.paint(spleen, liver + np.float32(0.04), within=cavity)
    for side in (-1, 1):
        c.paint(c.ellipse((side * 0.13, 0.46), (0.12, 0.11), rough=0.1), 0.46)
        c.paint(c.ellipse((side * 0.33, 0.31), (0.14, 0.17), lean=side * -0.2, rough=0.05), 0.66)
        c.paint(c.ellipse((side * 0.28, 0.30), (0.05, 0.07)), 0.36, alpha=0.7)
    c.paint(c.ellipse((0.06, 0.14), (0.07, 0.07)), 0.78)
    c.paint(c.ellipse((-0.10, 0.13), (0.075, 0.06)), 0.70)
    c.paint(c.ellipse((0, 0.36), (0.145, 0.12), soft=0.02), 0.90)
    c.paint(c.ellipse((0, 0.36), (0.11, 0.085)), 0.74 + 0.08 * speckle)
    c.paint(c.ellipse((0, 0.51), (0.05, 0.04), soft=0.02), 0.42)
    c.paint(c.ellipse((0, 0.58), (0.05, 0.06), soft=0.02), 0.88)
    for x, y in ((0.60, 0.30), (0.74, 0.10), (0.72, -0.18), (0.52, -0.40)):
        for side in (-1, 1):
            rib = c.ellipse((side * x * wide / 0.9, y * tall / 0.7), (0.035, 0.05), soft=0.03)
            c.paint(rib, 0.92, alpha=0.8)


def abdomen_coronal(c: Canvas, rng: np.random.Generator, build: float) -> None:
    """A coronal abdominal CT: lung bases on top, liver at the picture's left, pelvis below."""
    speckle, loops = clouds(rng, c.size, 30), clouds(rng, c.size, 12)
    wide = 0.76 + 0.05 * build
    c.paint(_trunk(c, wide), 0.26 + 0.03 * speckle)
    c.paint(_trunk(c, wide - 0.07), 0.47)
    c.paint(_trunk(c, wide - 0.10), 0.24)
    cavity = _trunk(c, wide - 0.11)[1]
    bowel = smooth((loops + np.float32(0.15)) * 5)
    mid = c.ellipse((0, 0.42), (0.52, 0.44), soft=0.12)
    c.paint(mid, 0.27 + 0.20 * bowel, within=cavity)
    liver = 0.55 + 0.03 * speckle
    c.paint(c.ellipse((-0.36, -0.38), (0.36, 0.36), lean=-0.2, rough=0.05), liver, within=cavity)
    c.paint(c.ellipse((0.06, -0.50), (0.26, 0.14), rough=0.05), liver, within=cavity)
    c.paint(c.ellipse((0.30, -0.40), (0.15, 0.18), rough=0.06), 0.45)
    spleen = c.ellipse((0.52, -0.40), (0.13, 0.24), lean=0.1, rough=0.05)
    c.paint(spleen, liver + np.float32(0.04), within=cavity)
    for side in (-1, 1):  # lung bases, kidneys, psoas, iliac bones
        c.paint(c.ellipse((side * 0.36, -1.02), (0.32, 0.34), soft=0.05), 0.05, within=cavity)
        c.paint(c.ellipse((side * 0.20, 0.40), (0.08, 0.34), lean=side * 0.25), 0.46)
        c.paint(c.ellipse((side * 0.36, 0.08), (0.13, 0.21), lean=side * 0.25, rough=0.04), 0.66)
        c.paint(c.ellipse((side * 0.32, 0.08), (0.04, 0.09)), 0.36, alpha=0.7)
        c.paint(c.ellipse((side * 0.52, 0.82), (0.09, 0.28), lean=side * -0.7), 0.88)
    _vertebrae(c)


def _trunk(c: Canvas, wide: float) -> tuple[tuple[slice, slice], Plane]:
    # Waisted: narrowest a little above the middle.
    edge = np.float32(wide) + np.float32(0.06) * (c.v - np.float32(0.1)) ** 2
    return (slice(None), slice(None)), smooth((edge - np.abs(c.u)) * 30 + np.float32(0.5))


def _vertebrae(c: Canvas) -> None:
    step = c.v * np.float32(5) + np.float32(0.3)
    body = smooth(3.4 - 7.5 * np.abs(step - np.floor(step) - np.float32(0.5)))
    waist = np.float32(0.085) + np.float32(0.012) * (1 - body)
    column = smooth((waist - np.abs(c.u)) * 26 + np.float32(0.5))
    c.pixels += column * (np.float32(0.52) + np.float32(0.26) * body - c.pixels)


PAINTERS: dict[tuple[str, str], Painter] = {
    ("chest_film", "frontal"): chest,
    ("head_mr_t1", "axial"): head_t1,
    ("head_mr_t2", "axial"): head_t2,
    ("abdomen_ct", "axial"): abdomen_axial,
    ("abdomen_ct", "coronal"): abdomen_coronal,
}
