"""What is wrong with boxes is named in one line, with the row, before anything learns of them."""

from __future__ import annotations

import io
import json

import pytest
from layouts import drawing, put, put_json, put_lines
from PIL import ExifTags, Image

from vesalius.data.check import check
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError, ImageError


def found(root):
    """The check's codes and places."""
    return [(one.code, one.where.rpartition("/")[2]) for one in check(open_dataset("folder", root))]


def own(root, *boxes):
    put(root / "a.png", drawing(1))  # 64 x 48
    rows = [{"bbox": list(box), "label": "cyst"} for box in boxes]
    put_lines(root / "train.jsonl", [{"image": "a.png", "boxes": rows}])
    return found(root)


def test_corners_given_as_sizes_are_called_so(tmp_path):
    # [30, 20, 60, 40] as corners is a box of 30 x 20 in the picture; as sizes it ends at 90, 60
    assert own(tmp_path / "a", (30, 20, 60, 40)) == [("box_corners", "train.jsonl row 1")]
    # left 50, width 20: 70 > 64, and no right edge lies at 20
    assert own(tmp_path / "b", (50, 20, 20, 10)) == [("box_outside", "train.jsonl row 1")]
    assert own(tmp_path / "c", (-5, 2, 20, 10)) == [("box_outside", "train.jsonl row 1")]
    assert own(tmp_path / "d", (2, 3, 40, 30)) == []  # wider than it is far from the edge: sound
    assert own(tmp_path / "e", (2, 3, 4, 5), (2, 3, 4, 5)) == [
        ("duplicate_box", "train.jsonl row 1")
    ]


def test_a_box_under_a_pixel_is_doubted(tmp_path):
    assert own(tmp_path, (8, 8, 20, 0.4)) == [("box_thin", "train.jsonl row 1")]


def test_a_box_of_no_area_is_refused_with_its_row(tmp_path):
    with pytest.raises(DatasetError, match=r"row 1: not a box: cyst .*positive size, not 0.0 x 5"):
        list(open_dataset("folder", _rows(tmp_path, [1, 2, 0, 5])).cases("train"))


def _rows(root, box):
    put(root / "a.png", drawing(1))
    rows = [{"image": "a.png", "boxes": [{"bbox": box, "label": "cyst"}]}]
    put_lines(root / "train.jsonl", rows)
    return root


IMAGE = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
CYST = {"id": 1, "name": "cyst"}


def coco(root, images=(IMAGE,), annotations=(BOX,), categories=(CYST,)):
    put(root / "a.png", drawing(1))
    put(root / "b.png", drawing(2))
    content = {"images": images, "annotations": annotations, "categories": categories}
    put_json(root / "coco.json", content)
    return list(open_dataset("folder", root).cases("all"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"images": [IMAGE, IMAGE | {"file_name": "b.png"}]},
            r"images row 2: the id 1 stands at row 1, too",
        ),
        ({"images": [IMAGE, IMAGE | {"id": 2}]}, r"images row 2: the file_name 'a.png' stands at"),
        ({"annotations": [BOX, BOX]}, r"annotations row 2: the id 1 stands at row 1, too"),
        (
            {"annotations": [BOX, BOX | {"id": 2, "image_id": 7}]},
            r"annotations row 2: annotations of image_id 7, which is not listed",
        ),
        (
            {"annotations": [BOX | {"category_id": 0}]},
            r"annotations row 1: unknown category_id 0",
        ),
        (
            {"categories": [CYST, {"id": 1, "name": "mass"}]},
            r"categories row 2: the id 1 is that of 'cyst', too",
        ),
    ],
)
def test_what_contradicts_itself_in_coco_is_named(tmp_path, change, fault):
    with pytest.raises(DatasetError, match=fault):
        coco(tmp_path, **change)


def test_an_image_without_annotations_is_a_negative(tmp_path):
    first, second = coco(tmp_path, images=[IMAGE, IMAGE | {"id": 2, "file_name": "b.png"}])
    assert [len(first.boxes), second.boxes] == [1, ()]


def turned(size, orientation=6):
    file, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", size, "red").save(file, "JPEG", exif=exif)
    return file.getvalue()


def voc(root, picture, width, height):
    corners = "<xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax>"
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    put(root / "JPEGImages" / "a.jpg", picture)
    put(
        root / "Annotations" / "a.xml",
        f"<annotation><filename>a.jpg</filename>{size}<object><name>cyst</name>"
        f"<bndbox>{corners}</bndbox></object></annotation>",
    )


def labelme(root, picture, width, height):
    put(root / "a.jpg", picture)
    shape = {"label": "cyst", "shape_type": "rectangle", "points": [[1, 1], [9, 9]]}
    size = {"imageWidth": width, "imageHeight": height}
    put_json(root / "a.json", {"shapes": [shape], "imagePath": "a.jpg", **size})


def coco_json(root, picture, width, height):
    put(root / "a.jpg", picture)
    image = IMAGE | {"file_name": "a.jpg", "width": width, "height": height}
    put_json(root / "coco.json", {"images": [image], "annotations": [BOX], "categories": [CYST]})


@pytest.mark.parametrize("layout", [coco_json, voc, labelme])
def test_boxes_of_another_size_never_lie_on_the_picture(tmp_path, layout):
    # 48 x 64 turned a quarter is seen as 64 x 48: boxes of the stored pixels lie elsewhere on it
    layout(tmp_path / "a", turned((48, 64)), 48, 64)
    (case,) = open_dataset("folder", tmp_path / "a").cases("all")
    said = r"a.jpg: its boxes are of 48 x 64 pixels, it has 64 x 48"
    for look in (case.pictures[0].pixels, case.pictures[0].size):
        with pytest.raises(ImageError, match=said) as caught:
            look()
        assert caught.value.code == "image_size"
    assert [code for code, _ in found(tmp_path / "a")] == ["size"]
    for name, sides in (("b", (64, 48)), ("c", (0, 0))):  # 0 x 0: an annotator who did not look
        layout(tmp_path / name, turned((48, 64)), *sides)
        (case,) = open_dataset("folder", tmp_path / name).cases("all")
        assert case.pictures[0].pixels().size == case.pictures[0].size() == (64, 48)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("0 32 24 16 24", r"a.txt row 1: 32 is no fraction of the picture"),
        ("0 0.5 0.5 0.25 nan", r"a.txt row 1: nan is no fraction of the picture"),
        ("7 0.5 0.5 0.25 0.5", r"a.txt row 1: class 7 is not among the 1 named ones"),
        ("0 0.5 0.5 0 0.5", r"a.txt row 1: not a box: cyst .* positive size"),
        ("0 0.5 0.5 0.25", r"a.txt row 1: 3 numbers where 4 are expected"),
    ],
)
def test_labels_that_are_no_yolo_are_named(tmp_path, line, fault):
    put(tmp_path / "images" / "a.png", drawing(1))
    put(tmp_path / "labels" / "a.txt", line)
    put(tmp_path / "data.yaml", "names: [cyst]\n")
    with pytest.raises(DatasetError, match=fault):
        list(open_dataset("folder", tmp_path).cases("all"))


def test_a_crowd_of_own_rows_is_true_or_false(tmp_path):
    put(tmp_path / "a.png", drawing(1))
    box = {"bbox": [1, 2, 3, 4], "label": "cyst", "crowd": "no"}
    put(tmp_path / "train.jsonl", json.dumps({"image": "a.png", "boxes": [box]}) + "\n")
    with pytest.raises(DatasetError, match=r"row 1: crowd is true or false"):
        list(open_dataset("folder", tmp_path).cases("train"))
