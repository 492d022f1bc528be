from __future__ import annotations

import math

import pytest
from layouts import brain_tumor, coco, drawing, put, put_json

from vesalius.cases.case import Box
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError


def test_coco_beside_the_pictures(drawn):
    dataset = drawn("brain_tumor", brain_tumor)
    assert dataset.splits() == ("train", "validation")
    first, second = dataset.cases("train")
    outline = ((5, 5), (25, 5), (25, 15), (5, 15))
    assert first.boxes == (Box(5, 5, 20, 10, "tumor", polygon=outline),)
    assert second.boxes is None  # nothing is said of it: no invented box, and no "healthy"
    assert first.group == "a1_jpg"  # Roboflow's augmented copies stay together


def test_negatives_only_if_the_set_says_so(drawn):
    _, second = drawn("brain_tumor", brain_tumor, negatives=True).cases("train")
    assert second.boxes == ()


def yolo(root):
    put(root / "data.yaml", "names: [glioma, meningioma]\n")
    for number in range(2):
        put(root / "images" / "train" / f"a{number}.png", drawing(number))
    put(root / "labels" / "train" / "a0.txt", "1 0.5 0.5 0.25 0.5\n")
    return {}


def test_yolo_fractions_become_pixels(drawn):
    first, second = drawn("brain_tumor", yolo).cases("train")
    # 64 x 48 picture: centre (32, 24), size 16 x 24 -> left 24, top 12.
    assert first.boxes == (Box(24, 12, 16, 24, "meningioma"),)
    assert second.boxes is None  # no label file


@pytest.mark.parametrize(
    ("line", "fault"),
    [("7 .5 .5 .1 .1", "class 7"), ("0 .5 .5 .1", "3 numbers"), ("0 .5 .5 0 .1", "not a box"),
     ("x y", "not a YOLO label")],
)  # fmt: skip
def test_a_bad_yolo_line_is_named(drawn, tmp_path, line, fault):
    dataset = drawn("brain_tumor", yolo)
    put(tmp_path / "labels" / "train" / "a0.txt", f"0 .5 .5 .1 .1\n{line}\n")
    with pytest.raises(DatasetError, match=rf"a0.txt row 2: .*{fault}"):
        list(dataset.cases("train"))


def test_yolo_as_roboflow_lays_it_out_with_outlines(tmp_path):
    put(tmp_path / "data.yaml", "names: {0: tumor}\ntrain: ../train/images\n")
    put(tmp_path / "valid" / "images" / "a.png", drawing(1))
    put(tmp_path / "valid" / "labels" / "a.txt", "0 0.25 0.5 0.75 0.5 0.75 1.0\n")
    (case,) = open_dataset("brain_tumor", tmp_path).cases("validation")
    # x: 0.25 and 0.75 of 64; y: 0.5 and 1 of 48
    assert case.boxes == (Box(16, 24, 32, 24, "tumor", polygon=((16, 24), (48, 24), (48, 48))),)


def via(root):
    shapes = [
        {"name": "polygon", "all_points_x": [1, 9, 5], "all_points_y": [2, 2, 8]},
        {"name": "ellipse", "cx": 20, "cy": 20, "rx": 10, "ry": 4, "theta": math.pi / 2},
        {"name": "circle", "cx": 30, "cy": 20, "r": 5},
    ]
    regions = [{"shape_attributes": shape, "region_attributes": {}} for shape in shapes]
    rows = {"a.png1": {"filename": "a.png", "regions": regions}}
    put_json(root / "TRAIN" / "annotations_train.json", rows)
    put(root / "TRAIN" / "a.png", drawing(1))
    return {}


def test_via_regions_become_boxes(drawn):
    (case,) = drawn("brain_tumor", via).cases("train")
    found = [
        (round(b.x, 6), round(b.y, 6), round(b.width, 6), round(b.height, 6)) for b in case.boxes
    ]
    # An ellipse turned by 90 degrees swaps its half-axes: 4 across, 10 down.
    assert found == [(1, 2, 8, 6), (16, 10, 8, 20), (25, 15, 10, 10)]
    assert {box.label for box in case.boxes} == {"tumor"}
    assert case.pictures[0].pixels().size == (64, 48)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"annotations": [{"image_id": 0, "category_id": 9}]},
            "annotations row 1: unknown category",
        ),
        ({"annotations": [{"image_id": 5, "category_id": 1, "bbox": [1, 1, 2, 2]}]}, "not listed"),
        ({"annotations": [{"image_id": 0, "category_id": 1, "bbox": [1, 1]}]}, "row 1: not a box"),
        ({"images": {}}, "no list of images"),
    ],
)
def test_bad_coco_is_named(tmp_path, change, fault):
    put_json(tmp_path / "train.coco.json", coco(["a.png"]) | change)
    with pytest.raises(DatasetError, match=rf"train.coco.json.*{fault}"):
        list(open_dataset("brain_tumor", tmp_path).cases("train"))


@pytest.mark.parametrize(
    ("name", "counts"),
    [("brain_tumor_br35h", (552, 80, 104)), ("brain_tumor_cc0", (128, 19, 16))],
)
def test_real_layouts_agree(shared, name, counts):
    root = shared / "data" / name
    lines, objects = (open_dataset("brain_tumor", root, options={"layout": layout})
                      for layout in ("lines", "coco"))  # fmt: skip
    for split, count in zip(("train", "validation", "test"), counts, strict=True):
        first, second = list(lines.cases(split)), list(objects.cases(split))
        assert len(first) == len(second) == count
        corners = [[[(b.x, b.y, b.width, b.height) for b in case.boxes] for case in found]
                   for found in (first, second)]  # fmt: skip
        assert corners[0] == corners[1]
