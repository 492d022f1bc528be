"""Answers as text: the journey there and back, and what is not read."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from vesalius.cases.case import Answer, Box, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.errors import ModelError
from vesalius.models.box_codec import BoxCodec
from vesalius.models.box_convention import BoxConvention
from vesalius.models.codecs import Replies, require_answers, written
from vesalius.models.generative.text.families import families


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (200, 100)).save(buffer, "PNG")
    return buffer.getvalue()


WIDE = Picture("wide", _png)
"""200 pixels wide and 100 high."""
MASS = Box(20, 10, 60, 40, "mass")
CYST = Box(100, 50, 100, 50, "cyst, left")
EDGE = Box(199.9, 99.9, 0.1, 0.1, "edge")
SHARES = BoxCodec(BoxConvention())
LOCATIONS = BoxCodec(families()["paligemma"].boxes)
REFERENCES = BoxCodec(families()["internvl"].boxes)


# x: 20/200 = .1, 80/200 = .4; y: 10/100 = .1, 50/100 = .5
@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("llava", '[{"box": [0.1, 0.1, 0.4, 0.5], "label": "mass"}]'),
        ("qwen3_vl", '[{"bbox_2d": [100, 100, 400, 500], "label": "mass"}]'),
        ("gemma3", '[{"box_2d": [100, 100, 500, 400], "label": "mass"}]'),
        ("gemma4", '[{"box_2d": [100, 100, 500, 400], "label": "mass"}]'),
        ("internvl", "<ref>mass</ref><box>[[100, 100, 400, 500]]</box>"),
        # 1024 bins: .1 -> 102, .4 -> 409, .5 -> 512, y before x
        ("paligemma", "<loc0102><loc0102><loc0512><loc0409> mass"),
    ],
)
def test_a_family_writes_boxes_in_its_own_convention(family: str, text: str) -> None:
    codec = BoxCodec(families()[family].boxes)
    assert codec.encode(Answer(boxes=(MASS,)), WIDE) == text


def test_qwen_2_5_counts_pixels_of_the_picture_as_it_sees_it() -> None:
    # 200 x 100 becomes 224 x 112: x times 1.12, y times 1.12.
    codec = BoxCodec(families()["qwen2_5_vl"].boxes, lambda size: (224, 112))
    text = codec.encode(Answer(boxes=(MASS,)), WIDE)
    assert text == '[{"bbox_2d": [22, 11, 90, 56], "label": "mass"}]'
    (box,) = codec.decode(text, WIDE).answer.boxes or ()
    assert (box.x, box.y) == pytest.approx((22 / 1.12, 11 / 1.12))


@pytest.mark.parametrize("family", sorted(families()))
@pytest.mark.parametrize(
    "boxes", [(), (MASS,), (MASS, CYST), (Box(199.9, 99.9, 0.1, 0.1, "edge"),)]
)
def test_boxes_come_back_within_a_step(family: str, boxes: tuple[Box, ...]) -> None:
    convention = families()[family].boxes
    codec = BoxCodec(convention)
    text = codec.encode(Answer(boxes=boxes), WIDE)
    decoded = codec.decode(f"{text}\n", WIDE)
    answer = decoded.answer
    assert not decoded.unread
    assert answer.text == f"{text}\n"
    assert answer.boxes is not None
    assert [box.label for box in answer.boxes] == [box.label for box in boxes]
    step = 1 / (convention.scale or 100) if convention.digits == 0 else 10.0**-convention.digits
    for box, wanted in zip(answer.boxes, boxes, strict=True):
        ends = (box.x, box.x + box.width, box.y, box.y + box.height)
        theirs = (wanted.x, wanted.x + wanted.width, wanted.y, wanted.y + wanted.height)
        for end, other, side in zip(ends, theirs, (200, 200, 100, 100), strict=True):
            assert end == pytest.approx(other, abs=2 * step * side)
    assert codec.encode(answer, WIDE) == text  # what was read is written the same


@pytest.mark.parametrize(
    ("codec", "box", "message"),
    [
        (SHARES, Box(300, 0, 10, 10, "mass"), "outside of its picture"),
        (LOCATIONS, Box(0, 0, 10, 10, "a;b"), "parted by ;"),
        (LOCATIONS, Box(0, 0, 10, 10, "<loc0001>"), "behind location tokens"),
        (LOCATIONS, Box(0, 0, 10, 10, "none"), "behind location tokens"),
        (REFERENCES, Box(0, 0, 10, 10, "a<b"), "between <ref> and </ref>"),
    ],
)
def test_a_box_that_cannot_be_written_is_refused(codec, box: Box, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        codec.encode(Answer(boxes=(box,)), WIDE)


@pytest.mark.parametrize("concepts", [(), ("C0040405",), ("C0040405", "lung, left")])
def test_concepts_come_back(concepts: tuple[str, ...]) -> None:
    codec = Replies("concepts").codec()
    text = codec.encode(Answer(concepts=concepts), None)
    assert codec.decode(text, None).answer == Answer(text=text, concepts=concepts)


def test_a_concept_named_twice_is_one_and_no_text_names_none() -> None:
    codec = Replies("concepts").codec()
    assert codec.decode("a; b;a ;", None).answer.concepts == ("a", "b")
    assert codec.decode("", None).answer == Answer(text="")


@pytest.mark.parametrize("concept", ["a;b", " a", "", "none"])
def test_a_concept_that_cannot_stand_in_a_list_is_refused(concept: str) -> None:
    with pytest.raises(ModelError, match="parted by ;"):
        Replies("concepts").codec().encode(Answer(concepts=(concept,)), None)


def _asked(*references: Answer, reply: Answer | None = None) -> Dialogue:
    first = Turn(Question("where?"), (WIDE,), reply or Answer("there"))
    return Dialogue("d/1", (first, Turn(Question("boxes?", answers=references))), "g")


@pytest.mark.parametrize(
    ("name", "reference", "hint"),
    [
        ("text", Answer(boxes=(MASS,)), "model.answers: boxes"),
        ("boxes", Answer("a mass"), "model.answers: text"),
        ("concepts", Answer(boxes=()), "model.answers: boxes"),
    ],
)
def test_an_answer_that_the_codec_does_not_write_is_refused(name, reference, hint) -> None:
    asked = Dialogue("d/1", (Turn(Question("?", answers=(reference,)), (WIDE,)),), "g")
    with pytest.raises(ModelError, match=rf"^d/1: a reply of .*{hint}") as caught:
        require_answers([asked], Replies(name).codec())
    assert "\n" not in str(caught.value)


def test_what_a_model_wrote_is_shown_to_it_as_it_wrote_it() -> None:
    unread, read = Answer("there[["), Answer(boxes=(MASS,))
    for reply, text in ((unread, "there[["), (read, SHARES.encode(read, WIDE))):
        dialogue = written(_asked(reply=reply), SHARES)
        assert dialogue.turns[0].reply == Answer(text)
    with pytest.raises(ModelError, match=r"^d/1: a reply of concepts cannot be written as boxes"):
        written(_asked(reply=Answer(concepts=())), SHARES)
