from __future__ import annotations

import pytest
from layouts import drawing, put, put_json, put_zip, slake, slake_row

from vesalius.cases.case import Box
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError


def test_one_case_an_image_with_boxes(drawn):
    dataset = drawn("slake", slake)
    assert dataset.splits() == ("train", "validation", "test")
    cases = {case.id: case for case in dataset.cases("train")}
    case = cases["xmlab0"]
    assert [(q.id, q.category, q.kind) for q in case.questions] == [
        ("1", "Plane", "open"), ("4", "Plane", "open"),
    ]  # fmt: skip
    assert case.boxes == (Box(3, 4, 20.5, 10, "Liver"),)
    assert case.modality == "MRI"
    assert cases["xmlab1"].boxes is None  # no detection.json: not annotated
    assert case.pictures[0].key == "imgs/xmlab0/source.jpg"


@pytest.mark.parametrize(("language", "texts"), [("zh", {"zh"}), ("all", {"en", "zh"})])
def test_language(drawn, language, texts):
    cases = drawn("slake", slake, language=language).cases("train")
    assert {q.language for case in cases for q in case.questions} == texts


def test_zipped_pictures_are_told_apart_by_folder(tmp_path):
    put_json(tmp_path / "train.json", [slake_row(n, n, "q", "a") for n in (0, 1)])
    members = {f"imgs/xmlab{n}/source.jpg": drawing(n) for n in (0, 1)}
    detected = {"imgs/xmlab1/detection.json": b'[{"Lung": [1, 2, 3, 4]}]'}
    put_zip(tmp_path / "imgs.zip", members | detected)
    first, second = open_dataset("slake", tmp_path).cases("train")
    assert [first.pictures[0].read(), second.pictures[0].read()] == [drawing(0), drawing(1)]
    assert second.boxes[0].label == "Lung"


def test_a_bad_box_is_named(drawn, tmp_path):
    dataset = drawn("slake", slake)
    put_json(tmp_path / "imgs" / "xmlab0" / "detection.json", [{"Liver": [3, 4, 0, 10]}])
    with pytest.raises(DatasetError, match=r"xmlab0/detection.json row 1: not a box: Liver"):
        list(dataset.cases("train"))


def test_paths_with_backslashes_are_the_same_picture(tmp_path):
    rows = [slake_row(0, n, "q", "a") for n in (0, 1)]
    rows[1]["img_name"] = "xmlab0\\source.JPG"
    put_json(tmp_path / "train.json", rows)
    put(tmp_path / "imgs" / "xmlab0" / "source.jpg", drawing(1))
    put_json(tmp_path / "imgs" / "xmlab0" / "detection.json", [{"Lung": [1, 2, 3, 4]}])
    (case,) = open_dataset("slake", tmp_path).cases("train")
    assert (case.id, len(case.questions), case.boxes[0].label) == ("xmlab0", 2, "Lung")
