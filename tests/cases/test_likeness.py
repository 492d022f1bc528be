"""Structures as they are stored: the likeness is that of the thumbnails, levels are not in them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from vesalius.cases.likeness import (
    ALIKE,
    SAME,
    is_copy,
    likeness,
    packed,
    packed_likeness,
    thumbnail,
)


def drawn(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 255, (12, 12), dtype=np.uint8)
    return Image.fromarray(small).resize((160, 160), Image.Resampling.BICUBIC)


def structures(*images: Image.Image) -> np.ndarray:
    return packed(np.stack([thumbnail(image) for image in images]))


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: image.resize((90, 90)),
        lambda image: image.rotate(90),
        ImageOps.mirror,
        ImageOps.invert,
        lambda image: image.point(lambda v: 40 + v // 2),
        lambda image: image.crop((3, 2, 158, 157)),
    ],
    ids=["smaller", "turned", "mirrored", "negated", "window", "cropped"],
)
def test_a_picture_saved_again_is_alike_in_any_orientation(changed) -> None:
    for seed in range(4):
        image = drawn(seed)
        value = packed_likeness(structures(image), structures(changed(image)))[0]
        assert value > 0.9, seed


def test_other_pictures_are_not() -> None:
    first, second = structures(*map(drawn, range(20))), structures(*map(drawn, range(20, 40)))
    assert packed_likeness(first, second).max() < ALIKE


def test_packing_costs_no_likeness() -> None:
    images = [thumbnail(drawn(n)) for n in range(3)] + [thumbnail(drawn(0).resize((100, 100)))]
    stack = np.stack(images)
    exact = likeness(stack, np.array([0, 0]), np.array([3, 1]), np.array([0, 0]))
    stored = packed_likeness(packed(stack[[0, 0]]), packed(stack[[3, 1]]))
    assert stored[0] == pytest.approx(exact[0], abs=0.01)


def test_a_flat_picture_has_no_structure_and_is_like_nothing() -> None:
    flat = structures(Image.new("L", (80, 80), 90))
    assert not flat.any()
    assert packed_likeness(flat, structures(drawn(1)))[0] == 0
    assert packed_likeness(flat, flat)[0] == 0


def test_a_copy_stands_out_among_pictures_that_are_alike() -> None:
    # Half of what the others lack: 1 - .85 = .15 <= .5 * (1 - .70), and .84 is .16
    assert is_copy(0.85, 0.70)
    assert not is_copy(0.84, 0.70)
    assert is_copy(SAME, 0.98)
    assert not is_copy(0.80, 0.0, of_two=True)
