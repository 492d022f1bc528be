"""Classes go by name, and a mirrored picture by the names of its mirror image."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vesalius.cases.case import Answer, Box, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.models.detection.box_classes import BoxClasses, other_side
from vesalius.models.detection.framing import Framing


@pytest.mark.parametrize(
    ("name", "mirrored"),
    [
        ("left lung", "right lung"),
        ("Right_Lung", "Left_Lung"),
        ("LUNG-LEFT", "LUNG-RIGHT"),
        ("bright spot", "bright spot"),
        ("leftover", "leftover"),
        ("nodule", "nodule"),
        ("left of right", "right of left"),
    ],
)
def test_sides_change_places_as_whole_words(name: str, mirrored: str) -> None:
    assert other_side(name) == mirrored
    assert other_side(mirrored) == name


def dialogue(*labels: str) -> Dialogue:
    boxes = tuple(Box(0, 0, 20, 10, label) for label in labels)
    question = Question("Where?", answers=(Answer(boxes=boxes),))
    return Dialogue("a", (Turn(question, ()),), group="a")


def test_a_flip_swaps_sides_in_words_and_in_the_picture() -> None:
    """A box at x 0 to 20 of 100 pixels lies at 80 to 100 afterwards: its centre at .9."""

    one, framing = dialogue("left lung"), Framing(100)
    classes = BoxClasses(("left lung", "right lung"))
    place = framing.place((100, 100))
    labels, boxes = classes.target(one, place, 100)
    assert (labels.tolist(), boxes[0, 0].item()) == ([0], pytest.approx(0.1))
    labels, boxes = classes.target(one, replace(place, flipped=True), 100)
    assert (labels.tolist(), boxes[0, 0].item()) == ([1], pytest.approx(0.9))


def test_a_side_without_its_other_is_not_mirrored() -> None:
    assert not BoxClasses(("left lung", "nodule")).may_flip(dialogue("nodule", "left lung"))
    assert BoxClasses(("left lung", "nodule")).may_flip(dialogue("nodule"))
    assert BoxClasses(("nodule",)).may_flip(dialogue())
