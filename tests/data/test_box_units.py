from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.cases.case import Box
from vesalius.data.box_units import PerCent, in_fractions

sides = st.floats(0.01, 1)


@given(st.lists(st.tuples(sides, sides, sides, sides), min_size=1))
def test_fractions_are_seen_in_any_convention(numbers):
    # corners and sizes, centres and sizes, two corners: all are within 0 and 1
    assert in_fractions([Box(*four, "cyst") for four in numbers])
    x, y, width, height = numbers[0]
    assert not in_fractions(
        [*(Box(*n, "cyst") for n in numbers), Box(x, y, width + 1, height, "c")]
    )


def test_a_box_that_begins_in_the_first_pixel_is_no_fraction():
    assert not in_fractions([])
    assert not in_fractions([Box(0.5, 0.5, 30, 1, "cyst")])


@pytest.mark.parametrize(
    ("boxes", "side", "likely"),
    [
        ([(10, 10, 80, 85)] * 5, 512, True),
        ([(10, 10, 80, 85)] * 4, 512, False),  # too few
        ([(10, 10, 80, 85)] * 5, 150, False),  # a small picture: pixels reach 100 there
        ([(10, 10, 80, 95)] * 5, 512, False),  # 105: pixels
        ([(10, 10, 20, 30)] * 5, 512, False),  # all in the first fifth, as in a corner
    ],
)
def test_per_cent_is_doubted_over_many_boxes_of_large_pictures(boxes, side, likely):
    seen = PerCent()
    for box in boxes:
        seen.add([Box(*box, "cyst")], (side, side), "row")
    assert seen.likely() is likely
