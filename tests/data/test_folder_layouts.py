from __future__ import annotations

import json
import os

import pytest
from layouts import drawing, put, put_json, put_lines

from vesalius.cases.case import Box
from vesalius.data.folder_layouts import QUESTION
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError


def cases(dataset):
    return {split: {case.id: case for case in dataset.cases(split)} for split in dataset.splits()}


def coco(name="a.png"):
    box = {"image_id": 1, "category_id": 7, "bbox": [4, 5, 10, 12], "segmentation": []}
    images = [{"id": 1, "file_name": name}, {"id": 2, "file_name": "empty.png"}]
    return {
        "images": images,
        "annotations": [box],
        "categories": [{"id": 7, "name": "cyst"}],
    }


@pytest.mark.parametrize(
    ("annotations", "pictures"),
    [
        ("train/_annotations.coco.json", "train"),
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_train.json", "images/train"),
        ("train.json", "images"),
        ("instances_train.json", "."),
    ],
)
def test_coco_where_people_have_it(tmp_path, annotations, pictures):
    put_json(tmp_path / annotations, coco())
    for n, name in enumerate(("a.png", "empty.png")):
        put(tmp_path / pictures / name, drawing(n))
        put(tmp_path / "val" / name, drawing(n + 7))
    dataset = open_dataset("folder", tmp_path)
    assert dataset.layout.startswith(f"COCO boxes: {annotations}")
    (first, empty) = cases(dataset)["train"].values()
    assert (first.id, first.boxes, empty.boxes) == ("a", (Box(4, 5, 10, 12, "cyst"),), ())
    assert (first.pictures[0].read(), empty.pictures[0].read()) == (drawing(0), drawing(1))


def test_one_coco_file_is_named_itself_or_two_of_one_split_refused(tmp_path):
    put(tmp_path / "a.png", drawing(0))
    put_json(tmp_path / "my boxes.json", coco())
    assert list(cases(open_dataset("folder", tmp_path / "my boxes.json"))) == ["all"]
    put_json(tmp_path / "other.json", coco())
    with pytest.raises(DatasetError, match=r"two annotation files for all: my boxes.json and"):
        open_dataset("folder", tmp_path)


def test_two_kinds_of_annotations_are_not_chosen_between(tmp_path):
    put_json(tmp_path / "coco.json", coco())
    put_json(tmp_path / "via.json", {"a.png1": {"filename": "a.png", "regions": []}})
    with pytest.raises(DatasetError, match="COCO boxes and VIA regions stand here together"):
        open_dataset("folder", tmp_path)
    assert open_dataset("folder", tmp_path / "via.json").layout.startswith("VIA regions: via.json")


def via(label):
    shape = {"name": "rect", "x": 4, "y": 5, "width": 10, "height": 12}
    return {"shape_attributes": shape, "region_attributes": label}


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ({"label": "cyst"}, "cyst"),
        ({"kind": {"cyst": True, "mass": False}}, "cyst"),
        ({}, "finding"),
    ],
)
@pytest.mark.parametrize("form", ["export", "project", "csv"])
def test_via_in_its_three_forms(tmp_path, form, label, name):
    region = via(label)
    images = {
        "a.png10": {"filename": "a.png", "size": 10, "regions": [region]},
        "b.png11": {"filename": "b.png", "size": 11, "regions": {}},
    }
    if form == "csv":
        columns = ("filename", "region_shape_attributes", "region_attributes")
        said = [json.dumps(region["shape_attributes"]), json.dumps(region["region_attributes"])]
        rows = [columns, ("a.png", *said), ("b.png", "{}", "{}")]
        quoted = (",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
        put(tmp_path / "via.csv", "\n".join(quoted))
    else:
        put_json(
            tmp_path / "via.json", images if form == "export" else {"_via_img_metadata": images}
        )
    put(tmp_path / "a.png", drawing(0))
    dataset = open_dataset("folder", tmp_path)
    assert dataset.layout.startswith("VIA regions")
    first, second = cases(dataset)["all"].values()
    assert [(b.x, b.y, b.width, b.height, b.label) for b in first.boxes] == [(4, 5, 10, 12, name)]
    assert second.boxes == ()


@pytest.mark.parametrize(
    ("images", "labels", "names"),
    [
        ("images/train", "labels/train", "data.yaml"),
        ("train/images", "train/labels", "data.yaml"),
        ("train", "train", "classes.txt"),
        ("train", "train", "train/classes.txt"),
    ],
)
def test_yolo_where_people_have_it(tmp_path, images, labels, names):
    listed = "nc: 2\nnames: [cyst, mass]\n" if names.endswith("yaml") else "cyst\nmass\n"
    put(tmp_path / names, listed)
    for n, name in enumerate(("a.PNG", "b.png", "c.png")):
        put(tmp_path / images / name, drawing(n))
    put(tmp_path / labels / "a.txt", "1 0.5 0.5 0.25 0.5\r\n0\t0.5 0.5 0.25 0.5 \r\n")
    put(tmp_path / labels / "b.txt", "")
    with pytest.raises(DatasetError, match=r"pictures without a label file: 1, as c\.png"):
        open_dataset("folder", tmp_path)
    dataset = open_dataset("folder", tmp_path, options={"negatives": True})
    assert dataset.layout == "YOLO boxes; a picture without a label file shows nothing"
    first, second, third = cases(dataset)["train"].values()
    # 64 x 48 picture: centre (32, 24), size 16 x 24 -> left 24, top 12
    assert first.boxes == (Box(24, 12, 16, 24, "mass"), Box(24, 12, 16, 24, "cyst"))
    assert (second.boxes, third.boxes) == ((), ())


def test_yolo_says_what_is_missing(tmp_path):
    put(tmp_path / "images" / "a.png", drawing(1))
    put(tmp_path / "labels" / "a.txt", "3 0.5 0.5 0.25 0.5\n")
    dataset = open_dataset("folder", tmp_path)
    assert "classes keep their numbers, as data.yaml is not there" in dataset.layout
    assert next(dataset.cases("all")).boxes[0].label == "3"
    put(tmp_path / "labels" / "b.txt", "3 0.5 0.5 0.25 0.5\n")
    with pytest.raises(
        DatasetError, match=r"labels: label files without a picture.*: 1, as b\.txt"
    ):
        open_dataset("folder", tmp_path)


def test_a_damaged_label_makes_no_captions_of_the_others(tmp_path):
    for n, line in enumerate(["0 0.5 0.5 0.2 0.2", "1 0.5 0.5 0.2 0.2", "0 nan 0.5 0.2"]):
        put(tmp_path / f"{n}.png", drawing(n))
        put(tmp_path / f"{n}.txt", line)
    stream = open_dataset("folder", tmp_path)
    assert stream.layout.startswith("YOLO boxes")
    with pytest.raises(DatasetError, match=r"2.txt row 1: 3 numbers where 4 are expected"):
        list(stream.cases("all"))


@pytest.mark.parametrize("two", ["tables", "keys", "folders"])
def test_two_of_one_split_are_refused_for_one_would_be_lost(tmp_path, two):
    rows = [{"image": "a.png", "caption": "x"}]
    if two == "tables":
        put_lines(tmp_path / "val.jsonl", rows)
        put_lines(tmp_path / "dev.jsonl", rows)
    elif two == "keys":
        put_json(tmp_path / "all.json", {"train": rows, "val": rows, "dev": rows})
    else:
        for name in ("val/a", "val/b", "dev/a", "dev/b"):
            put(tmp_path / f"{name}/1.png", drawing(1))
    with pytest.raises(DatasetError, match=r"(val|dev)\S* and (val|dev)\S* are both of the split"):
        open_dataset("folder", tmp_path)


def test_captions_with_numbers_are_captions(tmp_path):
    for n, words in enumerate(("1 nodule of 0.5 cm", "2 0.5 0.5 0.5 0.5")):
        put(tmp_path / f"{n}.png", drawing(n))
        put(tmp_path / f"{n}.txt", words)
    found = cases(open_dataset("folder", tmp_path))["all"]
    assert [case.caption for case in found.values()] == ["1 nodule of 0.5 cm", "2 0.5 0.5 0.5 0.5"]


def test_reports_with_the_splits_as_keys(tmp_path):
    def row(n, split):
        return {"id": f"r{n}", "report": f"words {n}", "image_path": [f"r{n}/0.png", f"r{n}/1.png"],
                "split": split}  # fmt: skip

    content = {"train": [row(0, "train"), row(1, "train")], "val": [row(2, "val")]}
    put_json(tmp_path / "annotation.json", content)
    put(tmp_path / "images" / "r2" / "1.png", drawing(1))
    for root in (tmp_path, tmp_path / "annotation.json"):
        dataset = open_dataset("folder", root)
        assert dataset.layout == "rows by split in annotation.json"
        found = cases(dataset)
        assert {split: list(part) for split, part in found.items()} == {
            "train": ["r0", "r1"], "validation": ["r2"],
        }  # fmt: skip
        case = found["validation"]["r2"]
        assert (case.caption, case.pictures[1].read()) == ("words 2", drawing(1))


@pytest.mark.parametrize("splits", [("",), ("Training", "Testing"), ("train", "val", "test")])
def test_a_folder_a_class(tmp_path, splits):
    for split in splits:
        for n, name in enumerate(("glioma", "no_tumor")):
            put(tmp_path / split / name / "0.png", drawing(n))
        put(tmp_path / split / "glioma" / ".DS_Store", "x")
    dataset = open_dataset("folder", tmp_path)
    assert QUESTION in dataset.layout
    found = cases(dataset)
    assert len(found) == len(splits)
    for split in found.values():
        asked = [case.questions[0] for case in split.values()]
        assert [q.answers[0].text for q in asked] == ["glioma", "no_tumor"]
        assert {(q.text, q.kind, q.options) for q in asked} == {
            (QUESTION, "closed", ("glioma", "no_tumor"))
        }


@pytest.mark.parametrize(
    "names",
    [("images", "masks"), ("P001", "P002"), ("only",), ("a", "b/deeper"), ("1012.3.4", "1012.3.5")],
)
def test_what_may_be_no_classes_is_not_taken_for_them(tmp_path, names):
    for n, name in enumerate(names):
        put(tmp_path / name / "0.png", drawing(n))
    with pytest.raises(DatasetError, match=r"no known layout here.*a folder a class \(2 to 100"):
        open_dataset("folder", tmp_path)


def test_what_is_there_and_not_read_is_named_with_the_way_out(tmp_path):
    put(tmp_path / "rows.xlsx", "x")
    put(tmp_path / "pictures.zip", "x")
    with pytest.raises(DatasetError, match=r"rows.xlsx is an Excel workbook: save") as told:
        open_dataset("folder", tmp_path)
    assert "pictures.zip is an archive: unpack it" in str(told.value)


def test_rows_beside_an_annotation_file_stay_the_set(tmp_path):
    put_lines(tmp_path / "train.jsonl", [{"image": "a.png", "caption": "x"}])
    put_json(tmp_path / "annotations" / "instances.json", coco())
    assert open_dataset("folder", tmp_path).layout == "a table a split: train.jsonl"


def test_one_class_with_a_number_is_a_class_and_loose_pictures_are_counted(tmp_path):
    for n, name in enumerate(("train/COVID-19/0.png", "train/normal/0.png", "test/1.png", "2.png")):
        put(tmp_path / name, drawing(n))
    dataset = open_dataset("folder", tmp_path)
    assert dataset.splits() == ("train",)
    assert dataset.layout.endswith("; 2 pictures that lie in no class are not read")


def test_names_that_are_not_utf_8_are_told_in_what_can_be_written(tmp_path):
    name = os.fsdecode(b"n\xf3dulo.png")
    try:
        put(tmp_path / name, drawing(1))
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    put(tmp_path / "nódulo.txt", "x")
    put(tmp_path / os.fsdecode(b"n\xf3dulo.txt"), "x")
    with pytest.raises(DatasetError, match=r"the file name 'n.udcf3dulo.png' is not UTF-8") as told:
        list(open_dataset("folder", tmp_path).cases("all"))
    assert str(told.value).encode()


BOX = "0 0.5 0.5 0.25 0.5\n"


def yolo(root, *pictures):
    """Pictures, each with a box in the label file that YOLO looks for."""
    for n, name in enumerate(pictures):
        put(root / name, drawing(n))
        put(root / name.replace("images/", "labels/").replace(".png", ".txt"), BOX)


@pytest.mark.parametrize("head", ["", "../", "/content/drive/set/", "C:\\\\set\\\\"])
def test_yolo_where_data_yaml_says_it_lies(tmp_path, head):
    yolo(tmp_path, "one/images/a.png", "two/images/b.png", "two/images/c.png")
    listed = (
        f'names: [cyst]\ntrain: "{head}one/images"\nval: ["{head}two/images"]\ntest: "{head}x"\n'
    )
    put(tmp_path / "data.yaml", listed)
    dataset = open_dataset("folder", tmp_path)
    read = cases(dataset)
    assert {split: list(some) for split, some in read.items()} == {
        "train": ["one/images/a"],
        "validation": ["two/images/b", "two/images/c"],
    }
    first = read["validation"]["two/images/b"]
    assert first.boxes == (Box(24, 12, 16, 24, "cyst"),)
    assert first.pictures[0].read() == drawing(1)
    assert dataset.layout.endswith("; test is not where data.yaml says")


@pytest.mark.parametrize("settings", ["data.yaml", "data/obj.data"])
def test_yolo_with_lists_of_pictures(tmp_path, settings):
    yolo(tmp_path, "images/a.png", "images/b.png", "images/c.png")
    put(tmp_path / "data" / "obj.names", "cyst\n")
    form = "{} = data/{}.txt\n" if settings.endswith("obj.data") else "{}: data/{}.txt\n"
    named = "" if settings.endswith("obj.data") else "names: [cyst]\n"
    put(tmp_path / settings, named + form.format("train", "train") + form.format("valid", "dev"))
    put(tmp_path / "data" / "train.txt", "/home/x/images/a.png\n./images/c.png\n")
    put(tmp_path / "data" / "dev.txt", "images/b.png\n")
    dataset = open_dataset("folder", tmp_path)
    read = {split: list(some) for split, some in cases(dataset).items()}
    assert read == {"train": ["images/a", "images/c"], "validation": ["images/b"]}
    assert dataset.layout == "YOLO boxes"
    (tmp_path / "labels" / "c.txt").unlink()
    with pytest.raises(DatasetError, match=r"pictures without a label file: 1, as c\.png"):
        open_dataset("folder", tmp_path)
    put(tmp_path / "data" / "dev.txt", "images/b.png\n")
    put(tmp_path / "data" / "train.txt", "images/a.png\n")
    assert open_dataset("folder", tmp_path).layout.endswith(
        "; 1 pictures that no list names are not read"
    )
    put(tmp_path / "data" / "dev.txt", "images/b.png\nimages/lost.png\n")
    with pytest.raises(DatasetError, match=r"dev\.txt line 2: names a picture that is not there"):
        open_dataset("folder", tmp_path)


def test_yolo_folders_that_data_yaml_names_too_keep_their_short_ids(tmp_path):
    yolo(tmp_path, "train/images/a.png", "valid/images/b.png")
    put(tmp_path / "data.yaml", "names: [cyst]\ntrain: ../train/images\nval: ../valid/images\n")
    read = cases(open_dataset("folder", tmp_path))
    assert {split: list(some) for split, some in read.items()} == {
        "train": ["a"],
        "validation": ["b"],
    }
