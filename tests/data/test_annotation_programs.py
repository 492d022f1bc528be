"""Boxes as programs really write them: CVAT, Label Studio, Roboflow, LabelImg, VIA."""

from __future__ import annotations

import math

import pytest
from layouts import drawing, put, put_json

from vesalius.data.check import check
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError

CYST, MASS = {"id": 1, "name": "cyst"}, {"id": 2, "name": "mass"}
IMAGE = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 12]}
OUTLINE = [2, 3, 12, 3, 12, 15, 2, 15]
LINE = "0 0.5 0.5 0.25 0.5\n"


def coco(root, *, image=IMAGE, boxes=(BOX,), categories=(CYST, MASS), name="coco.json"):
    put_json(
        root / name,
        {"images": [image], "annotations": list(boxes), "categories": list(categories)},
    )


def yolo(root, line=LINE, **files):
    put(root / "images" / "a.png", drawing(1))  # 64 x 48
    put(root / "labels" / "a.txt", line)
    for name, content in files.items():
        put(root / name.replace("__", "/").replace("_", "."), content)


def cases(root, split="all"):
    return list(open_dataset("folder", root).cases(split))


def labels(root, split="all"):
    return [box.label for case in cases(root, split) for box in case.boxes]


@pytest.mark.parametrize(
    "box", [{"image_id": "1"}, {"category_id": "1"}, {"image_id": 1.0, "category_id": 1.0}]
)
def test_an_id_is_the_same_as_a_number_and_as_text(tmp_path, box):
    put(tmp_path / "a.png", drawing(1))
    coco(tmp_path, boxes=[BOX | box])
    assert labels(tmp_path) == ["cyst"]


@pytest.mark.parametrize(
    "written", ["C:\\scans\\images\\a.png", "/data/upload/3/a.png", "../elsewhere/a.png"]
)
def test_a_path_of_another_machine_is_found_by_its_end(tmp_path, written):
    put(tmp_path / "images" / "a.png", drawing(1))
    coco(tmp_path, image=IMAGE | {"file_name": written})
    (case,) = cases(tmp_path)
    assert case.pictures[0].size() == (64, 48)


def test_two_paths_that_end_in_one_picture_are_refused(tmp_path):
    put(tmp_path / "a.png", drawing(1))
    images = [IMAGE | {"id": n, "file_name": f"/data/{n}/a.png"} for n in (1, 2)]
    put_json(tmp_path / "coco.json", {"images": images, "annotations": [], "categories": []})
    with pytest.raises(DatasetError, match=r"images row 2: 'a.png' stands at .* row 1, too"):
        cases(tmp_path)


def test_pictures_of_cvat_lie_in_the_folder_of_their_part(tmp_path):
    put(tmp_path / "images" / "default" / "a.png", drawing(1))
    coco(tmp_path, name="annotations/instances_default.json")
    assert cases(tmp_path)[0].pictures[0].size() == (64, 48)


def test_one_of_cocos_files_finds_the_pictures_beside_its_folder(tmp_path):
    # as the set is handed round: captions and boxes in one folder, so that one has to be named
    put(tmp_path / "train2017" / "a.png", drawing(1))
    named = tmp_path / "annotations" / "instances_train2017.json"
    coco(tmp_path, name="annotations/instances_train2017.json")
    caption = {"id": 1, "image_id": 1, "caption": "a cyst"}
    coco(tmp_path, name="annotations/captions_train2017.json", boxes=[caption])
    with pytest.raises(DatasetError, match="give the file that you mean as the root"):
        cases(tmp_path, "train")
    (case,) = cases(named, "train")
    assert (len(case.boxes), case.pictures[0].size()) == (1, (64, 48))


def test_a_rectangle_that_cvat_turned_is_boxed_anew(tmp_path):
    # 10 x 20 about (20, 20), turned by 90 degrees, is 20 x 10 about the same place
    put(tmp_path / "a.png", drawing(1))
    attributes = {"occluded": False, "rotation": 90.0}
    coco(tmp_path, boxes=[BOX | {"bbox": [15, 10, 10, 20], "attributes": attributes}])
    (case,) = cases(tmp_path)
    (box,) = case.boxes
    assert [box.x, box.y, box.width, box.height] == pytest.approx([10, 15, 20, 10])
    assert case.remarks == ()
    attributes["rotation"] = 45.0
    coco(tmp_path, boxes=[BOX | {"bbox": [15, 15, 10, 10], "attributes": attributes}])
    (box,) = cases(tmp_path)[0].boxes
    assert box.width == pytest.approx(10 * math.sqrt(2))
    assert len(box.polygon) == 4
    turned = "<attribute><name>rotation</name><value>90.0</value></attribute>"
    corners = "<xmin>16</xmin><ymin>11</ymin><xmax>25</xmax><ymax>30</ymax>"
    put(tmp_path / "voc" / "JPEGImages" / "a.png", drawing(1))
    put(
        tmp_path / "voc" / "Annotations" / "a.xml",
        "<annotation><filename>a.png</filename><object><name>cyst</name>"
        f"<bndbox>{corners}</bndbox><attributes>{turned}</attributes></object></annotation>",
    )
    (box,) = cases(tmp_path / "voc")[0].boxes
    assert [box.x, box.y, box.width, box.height] == pytest.approx([10, 15, 20, 10])


def test_an_outline_beside_a_voc_box_is_kept(tmp_path):
    # counted from 1, as the corners are: 3 is the third pixel, which begins at 2
    corners = "<xmin>3</xmin><ymin>4</ymin><xmax>12</xmax><ymax>15</ymax>"
    points = "<x1>3</x1><y1>4</y1><x2>12</x2><y2>4</y2><x3>12</x3><y3>15</y3>"
    document = (
        "<annotation><filename>a.png</filename><object><name>cyst</name>"
        f"<bndbox>{corners}</bndbox><polygon>{points}</polygon></object></annotation>"
    )
    put(tmp_path / "JPEGImages" / "a.png", drawing(1))
    put(tmp_path / "Annotations" / "a.xml", document)
    (case,) = cases(tmp_path)
    (box,) = case.boxes
    assert [box.x, box.y, box.width, box.height] == [2, 3, 10, 12]
    assert box.polygon == ((2, 3), (11, 3), (11, 14))
    assert (case.remarks, list(check(open_dataset("folder", tmp_path)))) == ((), [])
    put(tmp_path / "Annotations" / "a.xml", document.replace("<y3>15</y3>", "<y3>low</y3>"))
    with pytest.raises(DatasetError, match=r"a.xml row 1: an outline is not a list of x, y"):
        cases(tmp_path)


@pytest.mark.parametrize("box", [None, []])
def test_an_outline_without_its_box_is_boxed(tmp_path, box):
    put(tmp_path / "a.png", drawing(1))
    coco(tmp_path, boxes=[BOX | {"bbox": box, "segmentation": [OUTLINE]}])
    (box,) = cases(tmp_path)[0].boxes
    assert [box.x, box.y, box.width, box.height] == [2, 3, 10, 12]


def test_a_box_apart_from_its_outline_is_doubted(tmp_path):
    # left, top, right, bottom where left, top, width, height are meant; it lies in the picture
    put(tmp_path / "a.png", drawing(1))
    coco(tmp_path, boxes=[BOX | {"bbox": [2, 3, 12, 15], "segmentation": [OUTLINE]}])
    assert [one.code for one in check(open_dataset("folder", tmp_path))] == ["box_outline"]
    # an outline that leaves the picture, and its box that was cut there
    over = {"bbox": [0, 3, 12, 12], "segmentation": [[-9, 3, 12, 3, 12, 15, -9, 15]]}
    coco(tmp_path, boxes=[BOX | over])
    assert list(check(open_dataset("folder", tmp_path))) == []
    coco(tmp_path, boxes=[BOX | {"bbox": [2, 3, 11, 12], "segmentation": [OUTLINE]}])
    assert list(check(open_dataset("folder", tmp_path))) == []


@pytest.mark.parametrize(("word", "crowd"), [("0", False), ("false", False), ("1", True)])
def test_a_crowd_in_words_is_what_it_says(tmp_path, word, crowd):
    put(tmp_path / "a.png", drawing(1))
    coco(tmp_path, boxes=[BOX | {"iscrowd": word}])
    assert [box.crowd for box in cases(tmp_path)[0].boxes] == [crowd]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"boxes": [BOX | {"iscrowd": "maybe"}]}, r"annotations row 1: iscrowd is 0 or 1"),
        ({"boxes": [BOX | {"bbox": "2345"}]}, r"annotations row 1: not a box: cyst '2345'"),
        ({"boxes": [BOX | {"bbox": [1, 2, 3]}]}, r"row 1: not a box: .* are four numbers"),
        ({"boxes": [BOX | {"image_id": [1]}]}, r"row 1: annotations of image_id \[1\], which"),
        ({"boxes": [7]}, r"annotations row 1: a mapping is expected"),
        ({"image": "a.png"}, r"images row 1: a mapping is expected"),
        ({"categories": ["cyst"]}, r"categories row 1: a mapping is expected"),
        ({"categories": [{"id": 1}]}, r"annotations row 1: 1 has no name"),
        (
            {
                "categories": [CYST, MASS | {"name": "cyst"}],
                "boxes": [BOX, BOX | {"id": 2, "category_id": 2}],
            },
            r"annotations row 2: the categories 1 and 2 have one name, 'cyst'",
        ),
    ],
)
def test_what_is_no_coco_is_named_with_its_row(tmp_path, change, fault):
    put(tmp_path / "a.png", drawing(1))
    coco(tmp_path, **change)
    with pytest.raises(DatasetError, match=fault):
        cases(tmp_path)


@pytest.mark.parametrize("annotations", [{}, {"annotations": None}])
def test_pictures_that_nobody_annotated_are_no_negatives(tmp_path, annotations):
    put(tmp_path / "a.png", drawing(1))
    put_json(tmp_path / "coco.json", {"images": [IMAGE], "categories": [CYST], **annotations})
    with pytest.raises(DatasetError, match=r"coco.json: COCO's file without a list of annot"):
        cases(tmp_path)


def test_a_category_without_boxes_may_have_the_name_of_another(tmp_path):
    # Roboflow's first category is the project, called as the only class is
    put(tmp_path / "a.png", drawing(1))
    coco(tmp_path, categories=[{"id": 0, "name": "cyst"}, CYST])
    assert labels(tmp_path) == ["cyst"]


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        (
            {"data_yaml": "names: [cyst, mass]", "labels__classes_txt": "mass\ncyst\n"},
            r"classes.txt: class 0 is 'mass', and 'cyst' in data.yaml",
        ),
        ({"data_yaml": "{nc: 3, names: [cyst, mass]}"}, r"nc is 3, and there are 2 names"),
        ({"data_yaml": "names: [cyst, cyst]"}, r"the classes 0 and 1 have one name, 'cyst'"),
        ({"data_yaml": "names: cyst"}, r"there is no list of class names"),
        ({"data_yaml": "{names: [cyst], kpt_shape: [1, 2]}"}, r"labels of poses"),
    ],
)
def test_names_of_classes_that_contradict_themselves_are_refused(tmp_path, files, fault):
    yolo(tmp_path, **files)
    with pytest.raises(DatasetError, match=fault):
        cases(tmp_path)


def test_names_of_classes_stand_as_they_are_written(tmp_path):
    # YAML's own yes would be true; a line without a name keeps the numbers of those below it
    yolo(tmp_path / "a", data_yaml="names: [yes, no]", labels__classes_txt="yes\nno\nmore\n")
    assert labels(tmp_path / "a") == ["yes"]
    yolo(tmp_path / "b", "2 0.5 0.5 0.25 0.5\n", classes_txt="cyst\n\nmass\n")
    assert labels(tmp_path / "b") == ["mass"]


@pytest.mark.parametrize("number", ["0.5", "-1", "cyst"])
def test_a_class_is_a_whole_number(tmp_path, number):
    yolo(tmp_path, f"{number} 0.5 0.5 0.25 0.5\n")
    with pytest.raises(DatasetError, match=r"a.txt row 1: not a YOLO label"):
        cases(tmp_path)


def test_pictures_in_folders_of_patients_have_their_labels_there(tmp_path):
    for patient in ("p1", "p2"):
        put(tmp_path / "images" / "train" / patient / "a.png", drawing(1))
        put(tmp_path / "labels" / "train" / patient / "a.txt", LINE)
    assert [case.id for case in cases(tmp_path, "train")] == ["p1/a", "p2/a"]
    put(tmp_path / "images" / "train" / "p3" / "b.png", drawing(2))
    with pytest.raises(DatasetError, match=r"without a label file: 1, as b.png"):
        cases(tmp_path, "train")


def test_labels_beside_the_folders_of_splits_are_not_left_out_in_silence(tmp_path):
    yolo(tmp_path, labels__train__a_txt=LINE)
    put(tmp_path / "images" / "train" / "a.png", drawing(2))
    with pytest.raises(DatasetError, match="labels lie beside the folders of splits"):
        cases(tmp_path)


def test_two_pictures_of_one_label_file_are_refused(tmp_path):
    yolo(tmp_path)
    put(tmp_path / "images" / "a.jpg", drawing(2))
    with pytest.raises(DatasetError, match=r"a.jpg and a.png would share one label file"):
        cases(tmp_path)


def test_labels_of_nothing_but_negatives_are_no_captions(tmp_path):
    put(tmp_path / "a.png", drawing(1))
    put(tmp_path / "a.txt", "")
    put(tmp_path / "classes.txt", "cyst\n")
    assert [case.boxes for case in cases(tmp_path)] == [()]


def test_label_studios_notes_are_no_table(tmp_path):
    yolo(tmp_path, classes_txt="cyst\n", notes_json='{"categories": [{"id": 0, "name": "cyst"}]}')
    assert labels(tmp_path) == ["cyst"]


def test_a_label_without_its_picture_is_an_error_in_brain_tumor_too(tmp_path):
    yolo(tmp_path, labels__b_txt=LINE)
    with pytest.raises(DatasetError, match=r"without a picture of their name: 1, as b.txt"):
        open_dataset("brain_tumor", tmp_path)


def test_a_number_is_a_label_of_via_and_a_picture_stands_once(tmp_path):
    put(tmp_path / "a.png", drawing(1))
    shape = {"name": "rect", "x": 2, "y": 3, "width": 10, "height": 12}
    region = {"shape_attributes": shape, "region_attributes": {"class": 1}}
    picture = {"filename": "a.png", "size": 9, "regions": [region], "file_attributes": {}}
    put_json(tmp_path / "via.json", {"a.png9": picture})
    assert labels(tmp_path) == ["1"]
    put_json(tmp_path / "via.json", {"a.png9": picture, "a.png-1": picture | {"regions": []}})
    with pytest.raises(DatasetError, match=r"row 2: 'a.png' stands at .* row 1, too"):
        cases(tmp_path)
