"""A scene's pixels, and the PNG that carries them."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vesalius.data.phantoms.anatomy import PAINTERS
from vesalius.data.phantoms.canvas import Canvas, clouds, grain
from vesalius.data.phantoms.findings import draw
from vesalius.data.phantoms.scene import Scene
from vesalius.data.phantoms.tissue import patch

SMALL, REMEMBERED = 128, 2048
"""Pixels a side of what is remembered, and how many: 20 to 40 MB at most."""


def pixels(scene: Scene) -> NDArray[np.uint8]:
    """The picture: (size, size) for radiology, (size, size, 3) for histology, 8 bit.

    The same scene gives the same pixels on every machine (see ``canvas``), as long as numpy's
    ``integers`` draws the same numbers, which it has since version 1.17.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(scene.texture)))
    canvas = Canvas(scene.pixels, wobble=clouds(rng, scene.pixels, 6))
    noise = np.float32(0.014 + 0.045 * scene.difficulty) * grain(rng, scene.pixels)
    if scene.family == "histology":
        light = patch(canvas, rng, scene.findings, scene.difficulty) + noise
        return _eight_bit(np.moveaxis(light, 0, -1))
    PAINTERS[scene.family, scene.view](canvas, rng, scene.build)
    for finding in scene.findings:
        draw(canvas, scene.family, finding, scene.difficulty)
    return _eight_bit(canvas.pixels + noise)


def png(scene: Scene) -> bytes:
    """The picture as PNG bytes; pixels are the same everywhere, the packing is zlib's.

    Small ones are remembered: hashing, decoding and embedding each ask for the bytes.
    """
    return _small_png(scene) if scene.pixels <= SMALL else _png(scene)


def _png(scene: Scene) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels(scene)).save(file, "PNG", compress_level=1)
    return file.getvalue()


_small_png = lru_cache(maxsize=REMEMBERED)(_png)


def _eight_bit(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (values * np.float32(255) + np.float32(0.5)).clip(0, 255).astype(np.uint8)
