"""A picture saved again is found, another patient's is not; flat ground decides nothing."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vesalius.cases.likeness import _kernel, structure, thumbnail, turned
from vesalius.data.likeness import _nearest, most_alike, near_pairs, symmetric_parts
from vesalius.data.open import open_dataset

TURN = Image.Transpose


def jpeg(image, quality=75):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("L")


def windowed(image, low, high):
    levels = np.asarray(image, np.float32)
    return Image.fromarray(((levels - low) / (high - low) * 255).clip(0, 255).astype(np.uint8))


def cropped(image, left, top, right, bottom):
    width, height = image.size
    edges = width * left, height * top, width * (1 - right), height * (1 - bottom)
    return image.crop(tuple(round(edge) for edge in edges))


CHANGES = {
    "jpeg": jpeg,
    "coarse jpeg": lambda image: jpeg(image, 30),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "window": lambda image: windowed(image, 30, 150),
    "cropped": lambda image: cropped(image, 0.01, 0.01, 0.01, 0.01),
    "cropped on two sides": lambda image: cropped(image, 0.02, 0.02, 0, 0),
    "quarter turn": lambda image: image.transpose(TURN.ROTATE_90),
    "half turn": lambda image: image.transpose(TURN.ROTATE_180),
    "flipped": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "negated": ImageOps.invert,
    "all of it": lambda image: jpeg(
        cropped(ImageOps.invert(image.transpose(TURN.ROTATE_270)), 0.01, 0.01, 0.01, 0.01)
    ),
}


@pytest.fixture(scope="module")
def phantoms():
    """One picture of each of some patients, several of every kind."""
    cases = open_dataset("phantom", options={"cases": {"test": 120}}).cases("test")
    firsts = {case.group: case for case in cases}
    return [case.pictures[0].pixels().convert("L") for case in firsts.values()]


def pairs(pictures, *, named=True):
    thumbnails = [thumbnail(picture) for picture in pictures]
    groups = [str(n) for n in range(len(pictures))]
    return {(i, j) for i, j, _ in near_pairs(thumbnails, groups, [named] * len(pictures))}


def test_pictures_of_different_patients_stay_apart(phantoms):
    assert len(phantoms) == 80
    assert pairs(phantoms) == set()


@pytest.mark.parametrize("change", sorted(CHANGES))
@pytest.mark.parametrize("named", [True, False])
def test_a_picture_saved_again_is_found(phantoms, change, named):
    some = phantoms[:60]
    copies = [CHANGES[change](picture) for picture in some[:12]]
    found = pairs([*some, *copies], named=named) & {(n, 60 + n) for n in range(12)}
    # Drawn anatomy is alike: where half of it is cut off by a window, a few are lost.
    assert len(found) >= (8 if change == "window" else 11)


def test_a_group_is_compared_with_others_only(phantoms):
    thumbnails = [thumbnail(phantoms[0]), thumbnail(jpeg(phantoms[0])), thumbnail(phantoms[1])]
    assert list(near_pairs(thumbnails, ["a", "a", "b"], [True] * 3)) == []
    (found,) = near_pairs(thumbnails, ["a", "b", "c"], [True] * 3)
    assert found[:2] == (0, 1)
    assert found[2] > 0.97


@pytest.mark.parametrize("count", [0, 1])
def test_few_pictures_have_no_pairs(phantoms, count):
    assert pairs(phantoms[:count]) == set()


def test_flat_ground_has_no_structure_and_decides_nothing():
    rng = np.random.default_rng(0)

    def small(seed):
        # A little something of its own on the same black ground, with the noise of a sensor.
        levels = rng.integers(0, 2, (96, 96), np.uint8)
        levels[8:24, 8:24] = np.random.default_rng(seed).integers(0, 255, (16, 16), np.uint8)
        return Image.fromarray(levels)

    fine, where = structure(thumbnail(small(1))[None])
    assert not where[0, 24:, 24:].any()
    assert not fine[0, 24:, 24:].any()
    assert where[0, 4:12, 4:12].all()
    assert pairs([small(n) for n in range(1, 12)], named=False) == set()


def test_blank_pictures_are_alike_to_nothing():
    ramp = np.tile(np.linspace(100, 110, 96, dtype=np.uint8), (96, 1))
    assert pairs([Image.fromarray(ramp), Image.fromarray(ramp[::-1])], named=False) == set()


@given(st.integers(0, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_eight_orientations_are_eight_and_each_is_undone(turn, seed):
    plane = np.random.default_rng(seed).random((1, 4, 4))
    all_eight = {turned(plane, each).tobytes() for each in range(8)}
    assert len(all_eight) == 8
    assert any(np.array_equal(turned(turned(plane, turn), back), plane) for back in range(8))


def test_products_over_all_orientations_come_from_symmetric_parts():
    planes = np.random.default_rng(0).normal(size=(9, 16, 16)).astype(np.float32)
    basis = symmetric_parts()
    assert np.abs(basis.T @ basis - np.eye(256)).max() < 1e-5
    flat = planes.reshape(9, 256)
    each = [np.abs(flat @ turned(planes, turn).reshape(9, 256).T) for turn in range(8)]
    ours = most_alike(flat[:4] @ basis, flat @ basis)
    assert np.abs(ours - np.max(each, axis=0)[:4]).max() < 1e-3


@pytest.mark.parametrize("deviation", [0.6, 1.5, 2.5])
def test_a_blur_has_no_subnormal_weight(deviation):
    weights = _kernel(deviation)
    assert weights.sum(axis=1) == pytest.approx(np.ones(len(weights)), abs=1e-6)
    assert not ((weights > 0) & (weights < np.finfo(np.float32).tiny)).any()


def test_blocks_compared_once_have_the_nearest_of_all():
    rng = np.random.default_rng(4)
    kinds = rng.normal(size=(5, 256))
    planes = kinds[np.arange(1200) % 5] + rng.normal(size=(1200, 256)) * 0.7  # over four blocks
    parts = (planes / np.linalg.norm(planes, axis=1, keepdims=True)).astype(np.float32)
    groups = np.arange(1200) // 2
    best = most_alike(parts, parts)
    best[groups[:, None] == groups] = 0
    wanted = [set(row) for row in np.argsort(-best, axis=1)[:, :12].tolist()]
    row, column = _nearest(parts, groups)
    found = [set(column[row == i].tolist()) for i in range(1200)]
    assert (np.diff(row) >= 0).all()
    assert sum(len(a & b) for a, b in zip(found, wanted, strict=True)) >= 12 * 1200 - 5  # rounding
    assert all(len(one) == 12 for one in found)
