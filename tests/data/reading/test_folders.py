"""What systems leave beside files is read by no layout."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest
from layouts import LAYOUTS, drawing, path_vqa_pickled, put, put_json, roco_old

from vesalius.data.open import open_dataset
from vesalius.data.reading.folders import below, entries, is_left, subfolders

APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        " + b"\0" * 40


def table(root):
    put(root / "t.csv", "image,caption\n1.png,a nodule\n2.png,a cyst\n")


def imagefolder(root):
    put(root / "metadata.csv", "file_name,text\n1.png,a nodule\n2.png,a cyst\n")


def captions(root):
    put(root / "1.txt", "a nodule")
    put(root / "2.txt", "a cyst")


def yolo(root):
    for name in "12":
        put(root / "images" / "train" / f"{name}.png", drawing(int(name)))
        put(root / "labels" / "train" / f"{name}.txt", "0 0.5 0.5 0.2 0.2\n")


def yolo_beside(root):
    for name in "12":
        put(root / f"{name}.txt", "0 0.5 0.5 0.2 0.2\n")


def yolo_listed(root):
    yolo(root)
    put(root / "data.yaml", "train: images/train\nnames: [cyst]\n")


def voc(root):
    box = "<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>20</xmax><ymax>20</ymax></bndbox>"
    for name in "12":
        content = f"<filename>{name}.png</filename><object><name>cyst</name>{box}</object>"
        put(root / f"{name}.xml", f"<annotation>{content}</annotation>")


def labelme(root):
    shape = {"label": "cyst", "points": [[5, 5], [20, 20]], "shape_type": "rectangle"}
    for name in "12":
        put_json(root / f"{name}.json", {"shapes": [shape], "imagePath": f"{name}.png"})


def coco(root):
    images = [{"id": n, "file_name": f"{n}.png"} for n in (1, 2)]
    box = {"image_id": 1, "category_id": 1, "bbox": [4, 5, 10, 12]}
    content = {"images": images, "annotations": [box], "categories": [{"id": 1, "name": "cyst"}]}
    put_json(root / "boxes.json", content)


def classes(root):
    for name in ("cyst", "normal"):
        put(root / name / "1.png", drawing(len(name)))


OWN = (table, imagefolder, captions, yolo, yolo_beside, yolo_listed, voc, labelme, coco, classes)


def leave(root: Path) -> None:
    """All that macOS and Windows leave when a folder passes through them."""
    for path in [path for path in root.rglob("*") if path.is_file()]:
        put(path.parent / f"._{path.name}", APPLE_DOUBLE)
        put(root / "__MACOSX" / path.relative_to(root).parent / f"._{path.name}", APPLE_DOUBLE)
        put(path.parent / "Thumbs.db", b"\xd0\xcf\x11\xe0")
        put(path.parent / ".DS_Store", b"\0\0\0\1Bud1")


def keys(dataset):
    """By split, each case's id with its pictures' names, words and boxes."""
    return {
        split: [
            (c.id, [p.key for p in c.pictures], c.caption, c.questions, c.boxes)
            for c in dataset.cases(split)
        ]
        for split in dataset.splits()
    }


@pytest.mark.parametrize("layout", OWN)
def test_ones_own_layouts_read_none_of_it(tmp_path, layout):
    if layout not in (yolo, yolo_listed, classes):
        for n in (1, 2):
            put(tmp_path / f"{n}.png", drawing(n))
    layout(tmp_path)
    plain = open_dataset("folder", tmp_path)
    before = keys(plain)
    leave(tmp_path)
    marked = open_dataset("folder", tmp_path)
    assert (marked.layout, keys(marked)) == (plain.layout, before)
    assert sum(map(len, before.values())) == 2


PUBLISHED = {
    **LAYOUTS,
    "path_vqa as pickles": path_vqa_pickled,
    "roco of 2018": roco_old,
}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_layouts_read_none_of_it(tmp_path, name):
    options = PUBLISHED[name](tmp_path)
    before = keys(open_dataset(name.split()[0], tmp_path, options=options))
    leave(tmp_path)
    assert keys(open_dataset(name.split()[0], tmp_path, options=options)) == before


def test_a_row_may_name_a_hidden_file(tmp_path):
    put(tmp_path / ".scans" / "1.png", drawing(1))
    put(tmp_path / "t.jsonl", json.dumps({"image": ".scans/1.png", "caption": "a nodule"}))
    (case,) = open_dataset("folder", tmp_path / "t.jsonl").cases("all")
    assert case.pictures[0].read() == drawing(1)


def test_names_that_are_left_and_names_that_are_not():
    left = ("._1.png", "a/.DS_Store", "__MACOSX/a/1.png", "THUMBS.DB", "a/@eaDir/1.png")
    assert all(is_left(PurePosixPath(name)) for name in left)
    assert not any(is_left(PurePosixPath(name)) for name in ("1.png", "_annotations.json", "a.b/_"))


def test_folders_are_listed_in_order_and_a_hidden_root_is_no_matter(tmp_path):
    root = tmp_path / ".cache" / "set"
    leave_in = [root / "b", root / "a", root / "__pycache__", root / ".git"]
    for folder in leave_in:
        put(folder / "1.txt", "x")
    assert [path.name for path in entries(root)] == ["__pycache__", "a", "b"]
    assert [path.name for path in subfolders(root)] == ["a", "b"]
    assert [path.parent.name for path in below(root, "[ab]/*.txt")] == ["a", "b"]
    assert subfolders(root / "nowhere") == []
