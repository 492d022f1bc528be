from __future__ import annotations

import io
from dataclasses import replace

import pytest
from layouts import drawing
from PIL import Image

from vesalius.cases.case import Answer, Box, Case, Question
from vesalius.cases.picture import Picture
from vesalius.data.dialogues import to_dialogues
from vesalius.data.open import open_dataset
from vesalius.data.sheet import sheet_html, sheet_png, tiles
from vesalius.errors import DatasetError

QUESTION = Question(text="What <is> it?", answers=(Answer(text="a & b"),), category="kind")
BOXES = (Box(4, 4, 20, 20, "cyst"),)
CASES = [
    Case("one", "g", (Picture("a", lambda: drawing(1)),), (QUESTION,), boxes=BOXES),
    Case("two", "g", (Picture("b", lambda: b"junk"),), caption="A long caption " * 40),
    Case("three", "g", (), caption="text only"),
]  # fmt: skip


def test_png_has_a_tile_a_case_and_draws_boxes():
    image = Image.open(io.BytesIO(sheet_png(CASES, columns=2, size=128)))
    # Two tiles of 128 and three gaps of 16 across.
    assert image.width == 2 * 128 + 3 * 16
    # The box's left edge: 16 (gap) + 4 px x scale 2 = 24; top: 16 + (128 - 96) / 2 + 8 = 40.
    assert image.convert("RGB").getpixel((24, 60)) == (0xFF, 0x9F, 0x1C)


def test_html_is_self_contained_and_escaped():
    page = sheet_html(CASES, title="A <set>")
    assert "A &lt;set&gt;" in page
    assert "What &lt;is&gt; it?" in page
    assert page.count("data:image/jpeg;base64,") == 1
    assert "http" not in page
    assert "text only" in page


def test_nothing_to_show():
    with pytest.raises(DatasetError, match="no case"):
        sheet_png([])


def test_a_board_says_what_each_picture_holds():
    one = next(open_dataset("phantom", options={"cases": {"train": 1}}).cases("train"))
    crowd = Box(2, 30, 40, 9, "cyst", crowd=True)
    boxes = (Box(2, 2, 9, 9, "cyst"), Box(20, 2, 9, 9, "cyst"), crowd)
    shown = tiles([replace(one, boxes=some) for some in (boxes, (), None)])
    assert [tile.boxes for tile in shown] == ["2 cyst, 1 cyst (crowd)", "negative: no box", ""]
    assert "negative: no box" in sheet_html([replace(one, boxes=())], title="x")


def test_phantoms_of_detection_have_true_boxes_and_negatives():
    cases = list(open_dataset("phantom", options={"cases": {"train": 40}}).cases("train"))
    empty = [case for case in cases if case.boxes == ()]
    # 12 of 20 are abnormal: of 40 about 16 are not, 8 to 24 within three deviations of 3.1
    assert 8 <= len(empty) <= 24
    for case in cases:
        width, height = case.pictures[0].size()
        for box in case.boxes:
            assert 0 <= box.x < box.x + box.width <= width
            assert 0 <= box.y < box.y + box.height <= height
    negative = next(iter(to_dialogues(empty[0], "detect", instruction="Where?")))
    assert negative.question.answers == (Answer(boxes=()),)
