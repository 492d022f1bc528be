"""Questions about boxes: how they are answered, and read back, by one convention."""

from __future__ import annotations

from typing import Any

import pytest

from vesalius.cases.box_questions import (
    KINDS,
    NONE,
    WORDINGS,
    BoxQuestion,
    questions_of_boxes,
    read_box_question,
)
from vesalius.cases.case import Box

SIZE = (200, 100)


def size() -> tuple[int, int]:
    return SIZE


def box(x: float, y: float, width: float = 20, height: float = 20, **more: Any) -> Box:
    return Box(x, y, width, height, more.pop("label", "tumor"), **more)


def said(kind: Any, *boxes: Box, negated: bool = False) -> str:
    return BoxQuestion(kind, frozenset({"tumor"}), negated).answer(boxes, size)


def test_presence_and_count() -> None:
    other = box(0, 0, label="cyst")
    assert (said("presence", box(0, 0)), said("presence", other), said("presence")) == (
        "yes", "no", "no"
    )  # fmt: skip
    # "Is there no tumor?", "Is this normal?": yes where nothing is marked.
    assert (said("presence", negated=True), said("presence", box(0, 0), negated=True)) == (
        "yes", "no"
    )  # fmt: skip
    assert said("count", box(0, 0), box(50, 0), other) == "2"


@pytest.mark.parametrize(
    ("x", "y", "side", "place"),
    [
        (0, 0, "left", "upper left"),
        (89, 39, "left", "upper left"),  # its centre at 99, 49 of 200 x 100
        (90, 39, "right", "upper right"),  # at 100, 49: the middle is right
        (180, 80, "right", "lower right"),
        (0, 40, "left", "lower left"),
    ],
)
def test_side_and_place_are_those_of_the_centre_in_the_picture(
    x: int, y: int, side: str, place: str
) -> None:
    assert (said("side", box(x, y)), said("place", box(x, y))) == (side, place)


@pytest.mark.parametrize(
    ("width", "height", "word"),
    [
        (20, 19, "small"),  # 380 of 20,000: 1.9 %
        (20, 20, "medium"),  # 2 %
        (40, 50, "medium"),  # 10 %
        (40, 51, "large"),
    ],
)
def test_size_is_a_share_of_the_picture(width: int, height: int, word: str) -> None:
    assert said("size", box(0, 0, width, height)) == word


def test_the_surest_box_has_the_place_and_without_any_there_is_none() -> None:
    assert said("side", box(0, 0, score=0.3), box(150, 0, score=0.6)) == "right"
    assert said("place") == said("size") == NONE


def test_every_question_is_read_back_as_what_was_asked() -> None:
    labels = ["tumor", "glioma_tumor", "inflammatory focus", "mass"]
    for label in labels:
        boxes = [box(150, 60, label=label)]
        asked = questions_of_boxes(labels, boxes, size)
        # Presence and count of four labels; side, place and size of the one that is there.
        assert len(asked) == 4 * 2 + 3
        for question in asked:
            read = read_box_question(question.text, labels)
            assert read is not None, question.text
            assert (f"{next(iter(read.labels))}.{read.kind}", len(read.labels)) == (question.id, 1)
            (reference,) = question.answers
            assert read.answer(boxes, size) == reference.text
            assert reference.boxes == tuple(boxes)
            assert question.options is None or reference.text in question.options
    assert set(WORDINGS) == set(KINDS)


def test_of_several_no_place_is_asked_and_of_a_crowd_no_number() -> None:
    kinds = lambda *boxes: [q.category for q in questions_of_boxes(["tumor"], boxes, size)]  # noqa: E731
    assert kinds(box(0, 0), box(50, 0)) == kinds() == ["presence", "count"]
    assert kinds(box(0, 0, crowd=True)) == ["presence"]


@pytest.mark.parametrize(
    ("text", "kind", "negated"),
    [
        ("Is there a tumour?", "presence", False),
        ("Are there any tumors present?", "presence", False),
        ("does the image show a tumor?", "presence", False),
        ("Is there no tumor?", "presence", True),
        ("Is this normal?", "presence", True),  # yes: nothing that a normal picture lacks
        ("Is this image abnormal?", "presence", False),
        ("Is there an abnormality in this image?", "presence", False),
        ("How many tumors are there?", "count", False),
        ("Where is the tumor located?", "place", False),
        ("is the tumor on the left or right?", "side", False),
        ("What is the size of the tumour?", "size", False),
    ],
)
def test_what_people_ask(text: str, kind: str, negated: bool) -> None:
    read = read_box_question(text, ["tumor"])
    assert read == BoxQuestion(kind, frozenset({"tumor"}), negated)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "What modality is this?",
        "Is there a tumor in the left lung?",  # more than a box of that label tells
        "Is there a fracture?",
        "On which side of the patient is the tumor?",  # not told by a picture's left and right
        "Is the tumor malignant?",
        "Where?",
    ],
)
def test_what_boxes_do_not_answer_is_not_read(text: str) -> None:
    assert read_box_question(text, ["tumor"]) is None


def test_an_abnormality_is_what_no_normal_picture_shows() -> None:
    labels = ["heart", "tumor", "cyst"]
    read = read_box_question("Is this normal?", labels)
    assert read is not None
    assert read.labels == {"tumor", "cyst"}
    assert read_box_question("Is this normal?", ["heart"]) is None
    lesion = read_box_question("Is there a lesion?", ["lesion", "tumor"])
    assert lesion is not None
    assert lesion.labels == {"lesion"}  # a label of that very name is meant
