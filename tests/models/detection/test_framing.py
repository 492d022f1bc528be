"""Pictures into a square and boxes back, for sides from 1:4 to 4:1."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vesalius.cases.case import Box
from vesalius.models.detection.framing import Framing
from vesalius.system.files import _finite

FRAMINGS = [Framing(64), Framing(64, stretched=True)]


@given(
    st.tuples(st.integers(20, 400), st.floats(0.25, 4.0)),
    st.tuples(st.floats(0, 0.7), st.floats(0, 0.7), st.floats(0.05, 0.3), st.floats(0.05, 0.3)),
    st.booleans(),
    st.sampled_from(FRAMINGS),
)
@settings(max_examples=60, deadline=None)
def test_a_box_goes_there_and_comes_back(
    shape: tuple[int, float], where: tuple[float, ...], flipped: bool, framing: Framing
) -> None:
    width, height = shape[0], max(8, round(shape[0] * shape[1]))
    left, top, across, down = where
    box = Box(left * width, top * height, across * width, down * height, "a")
    place = replace(framing.place((width, height)), flipped=flipped)
    corners = place.corners([box])
    assert corners.min() >= -0.01
    assert corners.max() <= 64.01
    x1, y1, x2, y2 = place.back(corners)[0].tolist()
    assert (x1, y1) == pytest.approx((box.x, box.y), abs=0.01)
    assert (x2 - x1, y2 - y1) == pytest.approx((box.width, box.height), abs=0.01)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", [(80, 20), (20, 80), (50, 50), (128, 96)])
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.6, 1.4])
def test_a_box_lies_on_what_it_marked(
    framing: Framing, size: tuple[int, int], flipped: bool, scale: float
) -> None:
    """A white square is where its box is, mirrored, enlarged or made smaller, to a pixel."""
    image = Image.new("RGB", size)
    x, y, side = size[0] // 3, size[1] // 3, 10
    image.paste((255, 255, 255), (x, y, x + side, y + side))
    place = replace(framing.place(size, scale), flipped=flipped)
    lit = replace(framing, fill=0).pixels(image, place)[0] > 0.5
    rows, columns = np.nonzero(lit.numpy())
    (corners,) = place.corners([Box(x, y, side, side, "a")]).clamp(0, 64).tolist()
    marked = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert corners == pytest.approx(marked, abs=1.0)


def test_what_leaves_the_picture_is_cut_at_its_edges() -> None:
    place = Framing(64).place((128, 64))
    corners = place.corners([Box(-20, 10, 400, 20, "a")])
    assert place.back(corners).tolist() == [[0, 10, 128, 30]]


def test_the_fields_survive_json() -> None:
    framing = Framing(64, stretched=True, mean=(0.1, 0.2, 0.3))
    assert Framing.read(_finite(asdict(framing))) == framing


def test_pixels_are_normalised_as_said() -> None:
    image = Image.new("RGB", (64, 64), (255, 0, 51))
    framing = Framing(64, mean=(0.5, 0.5, 0.2), std=(0.5, 0.25, 1.0))
    values = framing.pixels(image, framing.place((64, 64)))
    # (1 - .5) / .5 = 1; (0 - .5) / .25 = -2; (.2 - .2) / 1 = 0
    assert values[:, 5, 7].tolist() == pytest.approx([1.0, -2.0, 0.0], abs=1e-6)
