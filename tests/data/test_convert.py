"""Boxes through every format and back: the same names, places, crowds and outlines."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layouts import drawing, put, put_lines
from PIL import ExifTags, Image
from scans import scan, written
from typer.testing import CliRunner

from vesalius.cases.case import Box
from vesalius.cli.main import app
from vesalius.data.convert import FORMATS, convert
from vesalius.data.folder_format import to_row
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError, RecipeError, UnknownName

EVERY = tuple(FORMATS)
TRIANGLE = ((10.0, 5.0), (30.0, 5.0), (20.0, 25.0))


def own_set(root, rows, split="train"):
    """A set of our own: rows of (file name, picture, boxes)."""
    for name, content, _ in rows:
        put(root / "images" / name, content)
    lines = [
        {"id": name.rpartition(".")[0], "image": f"images/{name}", "boxes": boxes}
        for name, _, boxes in rows
    ]
    put_lines(root / f"{split}.jsonl", lines)
    return open_dataset("folder", root)


def row(box):
    plain = {"bbox": [box.x, box.y, box.width, box.height], "label": box.label}
    return plain | ({"polygon": box.polygon} if box.polygon else {}) | {"crowd": box.crowd}


def read(root):
    dataset = open_dataset("folder", root)
    return {s: {c.id: c for c in dataset.cases(s)} for s in dataset.splits()}


def close(boxes, others):
    assert [b.label for b in boxes] == [b.label for b in others]
    for one, other in zip(boxes, others, strict=True):
        for side in ("x", "y", "width", "height"):
            assert getattr(one, side) == pytest.approx(getattr(other, side), abs=1e-3)


@pytest.mark.parametrize("to", EVERY)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_names_and_places_survive_every_format_at_every_aspect(to, tmp_path_factory, data):
    # 1:4 to 4:1; class names that look like numbers, too
    width, height = data.draw(
        st.sampled_from([(160, 40), (40, 160), (64, 64), (97, 53)]), label="size"
    )
    share = st.floats(0.0, 0.9).map(lambda f: round(f, 4))
    extent = st.floats(0.05, 1.0).map(lambda f: round(f, 4))
    labels = st.sampled_from(["0", "7", "lesion", "bleed, old"])
    boxes = []
    for left, top, across, down, label in data.draw(
        st.lists(st.tuples(share, share, extent, extent, labels), max_size=4)
    ):
        x, y = left * width, top * height
        boxes.append(Box(x, y, across * (width - x), down * (height - y), label))
    root = tmp_path_factory.mktemp("set")
    own = own_set(root / "own", [("a.png", drawing(1, (width, height)), list(map(row, boxes)))])
    convert(own, root / "out", to)
    ((case,),) = (cases.values() for cases in read(root / "out").values())
    close(case.boxes, boxes)


@pytest.mark.parametrize("to", EVERY)
@pytest.mark.parametrize("numbers", [(0, 1), (1, 2), (7, 90), None])
def test_a_class_is_its_name_whatever_its_number(tmp_path, to, numbers):
    boxes = [row(Box(4, 5, 10, 12, "lesion")), row(Box(1, 2, 3, 4, "bleed"))]
    own = own_set(tmp_path / "own", [("a.png", drawing(1), boxes)])
    table = None if numbers is None else dict(zip(("bleed", "lesion"), numbers, strict=True))
    if to == "yolo" and numbers not in ((0, 1), None):
        with pytest.raises(RecipeError, match=r"YOLO counts its classes from 0 without a gap"):
            convert(own, tmp_path / "out", to, classes=table)
        return
    convert(own, tmp_path / "out", to, classes=table)
    case = read(tmp_path / "out")["train"]["a"]
    assert [box.label for box in case.boxes] == ["lesion", "bleed"]
    if to == "coco" and numbers is not None:
        content = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
        assert [one["category_id"] for one in content["annotations"]] == [numbers[1], numbers[0]]


def test_what_a_format_holds_is_exact_and_what_not_is_counted(tmp_path):
    outlined = Box(10, 5, 20, 20, "lesion", polygon=TRIANGLE)
    loose = Box(8, 5, 30, 20, "lesion", polygon=TRIANGLE)  # the box is wider than its outline
    plain, crowd = Box(1, 2, 3, 4, "bleed"), Box(30, 20, 20, 20, "lesion", crowd=True)
    rows = [
        ("a.png", drawing(1), [row(outlined)]),
        ("b.png", drawing(2), [row(plain), row(crowd), row(outlined), row(loose)]),
        ("c.png", drawing(3), []),
        ("d.png", drawing(4), None),
        ("e.png", drawing(5), [row(crowd)]),
    ]
    own = own_set(tmp_path / "own", rows)
    done, back = {}, {}
    for to in EVERY:
        done[to] = convert(own, tmp_path / to, to)
        back[to] = read(tmp_path / to)["train"]
        assert back[to]["c"].boxes == ()
        assert "d" not in back[to]
    missing, crowds = {"pictures that nobody annotated": 1}, {"crowd regions": 2}
    alone = {"pictures of crowd regions alone": 1}
    assert done["coco"].losses == missing
    assert back["coco"]["a"].boxes == (outlined,)
    assert back["coco"]["b"].boxes == (plain, crowd, outlined, loose)
    # A region of VIA is its outline: where the box is another one, the box stays.
    assert done["via"].losses == missing | {"outlines": 1}
    assert back["via"]["b"].boxes[:3] == (plain, crowd, outlined)
    close(back["via"]["b"].boxes[3:], [loose])
    # YOLO reads a file as boxes or as outlines: b has a box without one.
    assert done["yolo"].losses == missing | crowds | alone | {"outlines": 2}
    for point, drawn in zip(back["yolo"]["a"].boxes[0].polygon, TRIANGLE, strict=True):
        assert point == pytest.approx(drawn)
    close(back["yolo"]["b"].boxes, [plain, outlined, loose])
    assert done["voc"].losses == missing | crowds | alone | {"outlines": 3}
    assert "e" not in back["voc"]
    assert (done["voc"].negatives, done["coco"].negatives) == (1, 1)


PARTS = [[2.0, 3.0, 12.5, 3.0, 12.5, 20.0], [30.0, 5.0, 40.0, 5.0, 40.0, 25.0, 30.0, 25.0]]
"""A region in two parts: a triangle of 10.5 x 17 / 2 = 89.25 and a rectangle of 10 x 20."""


def test_outlines_in_several_parts_go_from_coco_to_ours_and_back(tmp_path):
    put(tmp_path / "in/images/a.png", drawing(1))
    annotations = [
        {"id": number, "image_id": 1, "category_id": 7, "bbox": [2.0, 3.0, 38.0, 22.0],
         "area": area, "segmentation": drawn, "iscrowd": 0}
        for number, (area, drawn) in enumerate(
            [(289.25, PARTS), (89.25, PARTS[:1]), (38.0 * 22.0, [])], start=1
        )
    ]  # fmt: skip
    image = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
    content = {"images": [image], "annotations": annotations,
               "categories": [{"id": 7, "name": "lesion"}]}  # fmt: skip
    put(tmp_path / "in/annotations/instances_train.json", json.dumps(content))
    first = open_dataset("folder", tmp_path / "in")
    (case,) = first.cases("train")
    assert case.remarks == ()
    assert [len(box.outlines) for box in case.boxes] == [2, 1, 0]
    assert case.boxes[0].polygon is None
    assert case.boxes[0].polygons[0] == ((2.0, 3.0), (12.5, 3.0), (12.5, 20.0))

    put(tmp_path / "ours/images/a.png", drawing(1))
    put_lines(tmp_path / "ours/train.jsonl", [to_row(case, ["images/a.png"])])
    ours = open_dataset("folder", tmp_path / "ours")
    assert next(iter(ours.cases("train"))).boxes == case.boxes
    done = convert(ours, tmp_path / "out", "coco", classes={"lesion": 7})
    assert done.losses == {}
    again = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert again == content
    # One region of VIA has one outline; YOLO would read the third line as an outline, too.
    assert convert(ours, tmp_path / "via", "via").losses == {"outlines": 2}
    assert convert(ours, tmp_path / "yolo", "yolo").losses == {"outlines": 2}
    close(read(tmp_path / "via")["train"]["a"].boxes, case.boxes)


@pytest.mark.parametrize("drawn", [{"counts": [1, 2], "size": [48, 64]}, [PARTS[0], [1, 2, 3, 4]]])
def test_of_a_mask_and_of_a_part_that_encloses_nothing_the_box_is_read_and_told(tmp_path, drawn):
    put(tmp_path / "a.png", drawing(1))
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 38, 22]}
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [annotation | {"segmentation": drawn}],
        "categories": [{"id": 1, "name": "lesion"}],
    }
    put(tmp_path / "coco.json", json.dumps(content))
    (case,) = open_dataset("folder", tmp_path).cases("all")
    assert case.boxes == (Box(2, 3, 38, 22, "lesion"),)
    assert [remark.what for remark in case.remarks] == [
        "of a segmentation that is run-length, or no outlines, the box is read"
    ]


def test_a_region_has_one_outline_or_those_of_its_parts(tmp_path):
    with pytest.raises(DatasetError, match="one outline"):
        Box(0, 0, 9, 9, "a", polygon=TRIANGLE, polygons=(TRIANGLE, TRIANGLE))
    both = {"bbox": [0, 0, 9, 9], "label": "a", "polygon": TRIANGLE, "polygons": [TRIANGLE]}
    own = own_set(tmp_path, [("a.png", drawing(1), [both])])
    with pytest.raises(DatasetError, match=r"train.jsonl row 1: a box has a polygon, or polygons"):
        list(own.cases("train"))


@pytest.mark.parametrize("to", EVERY)
def test_turned_deep_and_dicom_pictures_have_their_boxes_where_they_are_seen(tmp_path, to):
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (48, 64), "red").save(turned, "JPEG", exif=exif)
    deep = io.BytesIO()
    Image.fromarray(np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 9).save(deep, "PNG")
    rows = [
        (name, content, [row(Box(40, 4, 20, 10, "lesion"))])  # beyond 48: upright pictures alone
        for name, content in (
            ("t.jpg", turned.getvalue()),
            ("deep.png", deep.getvalue()),
            ("s.dcm", written(scan(np.arange(64 * 48, dtype=np.uint16).reshape(48, 64)))),
        )
    ]
    own = own_set(tmp_path / "own", rows)
    done = convert(own, tmp_path / "out", to)
    assert done.as_decoded == 2
    for case in read(tmp_path / "out")["train"].values():
        close(case.boxes, [Box(40, 4, 20, 10, "lesion")])
        assert case.pictures[0].size() == (64, 48)
        with Image.open(io.BytesIO(case.pictures[0].read())) as image:
            assert image.size == (64, 48)  # also for a program that turns nothing


@pytest.mark.parametrize("to", EVERY)
def test_splits_stay_and_names_differ(tmp_path, to):
    for n, split in enumerate(("train", "validation", "test")):
        put(tmp_path / f"own/{split}/A.png", drawing(n))
        box = row(Box(1 + n, 2, 3, 4, "lesion"))
        put_lines(tmp_path / f"own/{split}.jsonl", [{"image": f"{split}/A.png", "boxes": [box]}])
    convert(open_dataset("folder", tmp_path / "own"), tmp_path / "out", to)
    back = read(tmp_path / "out")
    firsts = {split: next(iter(cases.values())) for split, cases in back.items()}
    assert {split: case.boxes[0].x for split, case in firsts.items()} == {
        "train": 1,
        "validation": 2,
        "test": 3,
    }
    assert [case.pictures[0].read() for case in firsts.values()] == [drawing(n) for n in range(3)]


def test_a_set_is_written_whole_or_not_at_all(tmp_path):
    outside = [("a.png", drawing(1), [row(Box(60, 5, 10, 12, "lesion"))])]
    own = own_set(tmp_path / "own", outside)
    with pytest.raises(DatasetError, match=r"row 1: lesion \[60, 5, 10, 12\] leaves the 64 x 48"):
        convert(own, tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UnknownName, match=r"yolo"):
        convert(own, tmp_path / "out", "yol")
    put(tmp_path / "out" / "kept.txt", "mine")
    with pytest.raises(DatasetError, match=r"the folder is not empty"):
        convert(own, tmp_path / "out", "coco")
    other = own_set(tmp_path / "b", [("a.png", drawing(1), [row(Box(6, 5, 10, 12, "lesion"))])])
    with pytest.raises(DatasetError, match=r"row 1: the class 'lesion' is not in the table"):
        convert(other, tmp_path / "new", "coco", classes={"bleed": None})
    with pytest.raises(RecipeError, match=r"two classes of one number"):
        convert(other, tmp_path / "new", "coco", classes={"bleed": 1, "lesion": 1})


def test_the_command_prints_the_table_and_what_is_not_held(tmp_path):
    own_set(
        tmp_path / "own",
        [("a.png", drawing(1), [row(Box(1, 2, 3, 4, "lesion", crowd=True))]),
         ("b.png", drawing(2), [row(Box(1, 2, 3, 4, "bleed"))])],
    )  # fmt: skip
    arguments = ["data", "convert", "folder", str(tmp_path / "out"), "--to", "yolo"]
    done = CliRunner().invoke(app, [*arguments, "--root", str(tmp_path / "own")])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:4] == [
        "train: 1 pictures",
        "1 boxes; 0 pictures without one, as negatives",
        "classes: 0 bleed",
        "yolo does not hold: 1 crowd regions, 1 pictures of crowd regions alone",
    ]


def test_what_a_reader_left_is_told_of_the_copy_too(tmp_path):
    """A run-length mask is read as its box: "nothing was left out" would be untrue."""
    put(tmp_path / "in" / "images" / "a.png", drawing(0, (40, 30)))
    mask = {"counts": [40, 1160], "size": [30, 40]}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 14, 14]}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [annotation | {"segmentation": mask}],
        "categories": [{"id": 1, "name": "nodule"}],
    }
    put(tmp_path / "in" / "instances.json", json.dumps(content).encode())
    done = convert(open_dataset("folder", tmp_path / "in"), tmp_path / "out", "coco")
    ((words, number),) = done.losses.items()
    assert number == 1
    assert "of a segmentation that is run-length, or no outlines, the box is read" in words
