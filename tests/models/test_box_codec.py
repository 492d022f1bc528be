"""The contract of every family's box codec: there and back, and what never becomes a box."""

from __future__ import annotations

import io
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

import hostile
from vesalius.cases.case import Answer, Box, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.models.box_codec import BoxCodec
from vesalius.models.box_convention import (
    CLASS,
    COORDINATES,
    ORDER,
    PROSE,
    RANGE,
    BoxConvention,
    UnreadBox,
)
from vesalius.models.box_forms import FORMS
from vesalius.models.codecs import classes_in
from vesalius.models.generative.network import resized
from vesalius.models.generative.text.families import families

FAMILIES = sorted(families())
SIZES = [(256, 1024), (300, 901), (512, 1024), (777, 777), (1024, 640), (1000, 333), (1024, 256)]
"""From 1:4 to 4:1."""
PROCESSOR = SimpleNamespace(
    size={"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280}, patch_size=14, merge_size=2
)
"""The limits that Qwen2.5-VL is published with."""
CLASSES = ("cyst", "mass")


def picture(size: tuple[int, int]) -> Picture:
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    return Picture(f"{size}", buffer.getvalue)


SQUARE = picture((100, 100))


def codec(family: str) -> BoxCodec:
    return BoxCodec(
        families()[family].boxes, lambda size: resized(PROCESSOR, size), classes=CLASSES
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
def test_boxes_come_back_to_a_pixel_at_every_aspect_ratio(
    family: str, size: tuple[int, int]
) -> None:
    width, height = size
    boxes = (
        Box(0, 0, width, height, "mass"),
        Box(0.37 * width, 0.61 * height, 0.23 * width, 0.29 * height, "mass"),
        Box(width - 7.3, height - 5.9, 7.3, 5.9, "cyst"),
        Box(3.5, 1.25, 11.5, 9.75, "mass"),
    )
    text = codec(family).encode(Answer(boxes=boxes), picture(size))
    decoded = codec(family).decode(text, picture(size))
    assert not decoded.unread
    assert decoded.answer.boxes is not None
    for box, wanted in zip(decoded.answer.boxes, boxes, strict=True):
        assert box.label == wanted.label
        ends = (box.x, box.y, box.x + box.width, box.y + box.height)
        theirs = (wanted.x, wanted.y, wanted.x + wanted.width, wanted.y + wanted.height)
        assert ends == pytest.approx(theirs, abs=1.0)


def turned() -> bytes:
    """200 x 100 pixels, stored lying on its side."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (100, 200)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def deep() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((100, 200), np.uint16)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "content",
    [turned, deep, lambda: hostile.written(hostile.scan(np.zeros((100, 200), np.uint16)))],
)
def test_boxes_are_counted_in_the_picture_as_decoded(family: str, content: Any) -> None:
    boxes, other = (Box(110, 10, 60, 40, "mass"),), Picture("a", content)  # beyond 100: upright
    text = codec(family).encode(Answer(boxes=boxes), other)
    assert text == codec(family).encode(Answer(boxes=boxes), picture((200, 100)))
    (box,) = codec(family).decode(text, other).answer.boxes or ()
    assert (box.x, box.y, box.width, box.height) == pytest.approx((110, 10, 60, 40), abs=1.0)


def test_a_region_with_many_is_no_box_to_be_written() -> None:
    boxes = (Box(10, 10, 30, 40, "mass"), Box(0, 0, 90, 90, "cyst", crowd=True))
    text = codec("llava").encode(Answer(boxes=boxes), SQUARE)
    assert text == '[{"box": [0.1, 0.1, 0.4, 0.5], "label": "mass"}]'
    question = Question("where?", answers=(Answer(boxes=boxes),))
    assert classes_in([Dialogue("d", (Turn(question, ()),), "g")]) == ("mass",)


def written(convention: BoxConvention, corners: list[Any], label: str = "mass") -> str:
    """A box's text with corners as given, whatever they are worth."""
    return FORMS[convention.style].write([(corners, label)], convention.key)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_no_box_by_the_letter_is_counted_and_becomes_none(family: str) -> None:
    reading = codec(family)
    convention = reading.convention
    good = convention.corners(Box(10, 20, 40, 50, "mass"), (100, 100), reading.resized)
    beyond = {1: 1.5, 1000: 1001, 1024: 1024}.get(convention.scale or 0, 10_000)
    faulty = {
        COORDINATES: written(convention, good[:3]),
        ORDER: written(convention, [good[2], good[1], good[0], good[3]]),
        RANGE: written(convention, [*good[:2], beyond, good[3]]),
        CLASS: written(convention, good, "fracture"),
        PROSE: "There is a mass in the left lung.",
    }
    for reason, text in faulty.items():
        decoded = reading.decode(text, SQUARE)
        assert decoded.answer == Answer(text=text), text
        assert decoded.unread == {reason: 1}, text
        assert not reading.holds(decoded.answer)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "words",
    [
        "none", "None.", "no boxes", "No findings.", "There are no lesions in this image.",
        "No abnormality detected", "there is nothing",
    ],
)  # fmt: skip
def test_no_boxes_in_words_is_an_empty_list(family: str, words: str) -> None:
    decoded = codec(family).decode(words, SQUARE)
    assert decoded.answer == Answer(text=words, boxes=())
    assert not decoded.unread


def test_a_bare_no_is_no_empty_list_and_one_class_of_several_denied_is_none() -> None:
    for words in ("no", "No.", "no mass", "no cyst is seen", "normal"):
        assert codec("llava").decode(words, SQUARE).unread == {PROSE: 1}
    alone = BoxCodec(BoxConvention(), classes=("mass",))
    assert alone.decode("There is no mass.", SQUARE).answer.boxes == ()


def test_sound_boxes_stay_beside_faulty_ones() -> None:
    text = (
        '[{"box": [0.1, 0.1, 0.4, 0.5], "label": "mass"}, {"box": [0.5, 0.1, 0.4, 0.5], '
        '"label": "mass"}, {"box": [0.1, 0.1, 0.4], "label": "mass"}, {"box": [0, 0, 1, 1]}, 7]'
    )
    decoded = codec("llava").decode(text, SQUARE)
    assert decoded.answer.boxes == (Box(10, 10, 30, 40, "mass"),)
    assert decoded.unread == {CLASS: 1, COORDINATES: 2, ORDER: 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", PROSE), ("a mass", PROSE), ("null", PROSE), ("3", PROSE), ("[" * 100_000, PROSE),
        ("{}", COORDINATES), ('["box"]', COORDINATES),
        ('[{"box": [0.1, 0.1, 0.4, 0.5], "label": 3}]', CLASS),
        ('[{"box": [0.1, 0.1, 0.4, 0.5], "label": " "}]', CLASS),
        ('[{"box": ["0.1", 0.1, 0.4, 0.5], "label": "mass"}]', COORDINATES),
        ('[{"box": [true, 0.1, 0.4, 0.5], "label": "mass"}]', COORDINATES),
        ('[{"box": [NaN, 0.1, 0.4, 0.5], "label": "mass"}]', COORDINATES),
        ('[{"box": [0.1, 0.1, 1e999, 0.5], "label": "mass"}]', COORDINATES),
        ('[{"box": {"a": 1}, "label": "mass"}]', COORDINATES),
        ('[{"box": [2, 2, 3, 3], "label": "mass"}]', RANGE),
        ('[{"box": [-0.1, 0.1, 0.4, 0.5], "label": "mass"}]', RANGE),
        (f'[{{"box": [0.1, 0.1, {"9" * 400}, 0.5], "label": "mass"}}]', RANGE),
        # Cut at the token limit: what stands there is no list.
        ('[{"box": [0.1, 0.1, 0.4, 0.5], "label": "mass"}, {"box": [0.1', PROSE),
    ],
)  # fmt: skip
def test_faults_of_a_list_in_json(text: str, reason: str) -> None:
    decoded = codec("llava").decode(text, SQUARE)
    assert decoded.answer == Answer(text=text)
    assert decoded.unread == {reason: 1}


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("<loc0001><loc0002><loc0003> mass", {COORDINATES: 1}),
        ("<loc0001> " * 4, {CLASS: 1}),
        ("<loc0001><loc0002><loc0003><loc0004> mass ; a mass", {PROSE: 1}),
        ("<loc0001><loc0002><loc0003><loc0004><loc0005> mass", {COORDINATES: 1}),
    ],
)
def test_faults_of_location_tokens(text: str, unread: dict[str, int]) -> None:
    assert codec("paligemma").decode(text, SQUARE).unread == unread


def test_references_hold_several_boxes_and_words_around_them_are_counted() -> None:
    text = "Here they are:\n<ref>mass</ref><box>[[0, 0, 500, 500], [500, 0, 1000, 400]]</box>"
    decoded = codec("internvl").decode(text, SQUARE)
    assert decoded.answer.boxes == (Box(0, 0, 50, 50, "mass"), Box(50, 0, 50, 40, "mass"))
    assert decoded.unread == {PROSE: 1}
    boxes = (Box(0, 0, 50, 50, "mass"), Box(50, 0, 50, 40, "mass"), Box(0, 0, 10, 10, "cyst"))
    assert codec("internvl").encode(Answer(boxes=boxes), SQUARE) == (
        "<ref>mass</ref><box>[[0, 0, 500, 500], [500, 0, 1000, 400]]</box>\n"
        "<ref>cyst</ref><box>[[0, 0, 100, 100]]</box>"
    )
    for broken in ("<ref>mass</ref><box>[0, 0, 500</box>", "<ref>mass</ref><box>[[0, 0, 500, 5"):
        assert codec("internvl").decode(broken, SQUARE).unread == {COORDINATES: 1}


def test_a_fence_is_no_part_of_the_list_and_words_around_it_are_counted() -> None:
    fenced = '```json\n{"box_2d": [0, 0, 500, 1000], "label": "mass", "sure": 1}\n```'
    decoded = codec("gemma3").decode(fenced, SQUARE)
    assert decoded.answer.boxes == (Box(0, 0, 100, 50, "mass"),)
    assert not decoded.unread
    decoded = codec("gemma3").decode(f"Final answer: {fenced}", SQUARE)
    assert decoded.answer.boxes == (Box(0, 0, 100, 50, "mass"),)
    assert decoded.unread == {PROSE: 1}
    assert codec("gemma3").decode(f"{fenced} or {fenced}", SQUARE).unread == {PROSE: 1}


def test_corners_that_are_one_in_pixels_are_no_box() -> None:
    # neighbouring numbers from 0 to 1000: in pixels of a picture 97 wide they are the same
    convention = BoxConvention(scale=1000)
    left = 757.9544029403024
    with pytest.raises(UnreadBox, match=ORDER):
        convention.box([left, 0, math.nextafter(left, 1000), 10], "mass", (97, 53), None)
