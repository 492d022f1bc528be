from __future__ import annotations

import base64
import json

import pytest
from layouts import drawing, put, put_json, put_lines

from vesalius.cases.case import Box
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError


def cases(root, **options):
    dataset = open_dataset("folder", root, options=options)
    read = {split: list(dataset.cases(split)) for split in dataset.splits()}
    return read, dataset.layout


def boxes(case):
    return [(box.label, box.x, box.y, box.width, box.height) for box in case.boxes]


def metadata(path, rows):
    if path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        put(path, "\n".join(lines) + "\n")
    else:
        put_lines(path, rows)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
@pytest.mark.parametrize("words", ["text", "caption"])
def test_an_imagefolder_with_a_table_in_each_split(tmp_path, ending, words):
    for at, split in enumerate(("train", "test")):
        rows = [{"file_name": "a.png", words: f"a knee of {split}"}]
        metadata(tmp_path / split / f"metadata{ending}", rows)
        put(tmp_path / split / "a.png", drawing(at))
    put(tmp_path / "test" / "loose.png", drawing(9))
    read, layout = cases(tmp_path)
    assert {split: some[0].caption for split, some in read.items()} == {
        "train": "a knee of train",
        "test": "a knee of test",
    }
    assert [some[0].pictures[0].read() for some in read.values()] == [drawing(0), drawing(1)]
    assert layout == (
        f"imagefolder with metadata: test/metadata{ending}, train/metadata{ending}"
        "; 1 pictures that it does not name are not read"
    )


@pytest.mark.parametrize("named", ["folder", "file"])
def test_an_imagefolder_with_one_table_has_the_splits_of_its_paths(tmp_path, named):
    rows = [{"file_name": f"{s}/a.png", "text": s} for s in ("train", "validation")]
    metadata(tmp_path / "metadata.csv", rows)
    put(tmp_path / "train" / "a.png", drawing(0))
    put(tmp_path / "validation" / "a.png", drawing(1))
    put(tmp_path / "validation" / "loose.png", drawing(2))
    read, layout = cases(tmp_path if named == "folder" else tmp_path / "metadata.csv")
    assert {s: [c.caption for c in some] for s, some in read.items()} == {
        "train": ["train"],
        "validation": ["validation"],
    }
    assert read["validation"][0].pictures[0].read() == drawing(1)
    assert layout == "one table: metadata.csv; 1 pictures that it does not name are not read"


def test_a_file_name_elsewhere_stays_an_unread_column(tmp_path):
    metadata(tmp_path / "rows.csv", [{"file_name": "a.png", "caption": "x"}])
    put(tmp_path / "a.png", drawing(0))
    (case,) = cases(tmp_path)[0]["all"]
    assert case.pictures == ()
    assert "unread_column" in {remark.code for remark in case.remarks}


def voc(name, *objects, filename=None):
    drawn = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
        f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for label, a, b, c, d in objects
    )
    return f"<annotation><filename>{filename or name}.png</filename>{drawn}</annotation>"


def devkit(root, first=1):
    for n, name in enumerate("abcd"):
        put(root / "JPEGImages" / f"{name}.png", drawing(n))
    for name in "abc":
        box = ("cyst", first, 5, 10, 16) if name == "a" else ("mass", 4, 5, 10, 16)
        put(root / "Annotations" / f"{name}.xml", voc(name, box))
    return root


def test_voc_with_the_lists_of_its_splits(tmp_path):
    devkit(tmp_path)
    for split, names in (("train", "a"), ("val", "b"), ("trainval", "a\nb"), ("cyst_train", "a 1")):
        put(tmp_path / "ImageSets" / "Main" / f"{split}.txt", names + "\n")
    read, layout = cases(tmp_path)
    # Pixels from 1, the last inside: 1 to 10 across and 5 to 16 down are 10 x 12 from (0, 4).
    assert {s: boxes(c) for s, (c,) in read.items()} == {
        "train": [("cyst", 0, 4, 10, 12)],
        "validation": [("mass", 3, 4, 7, 12)],
    }
    assert read["validation"][0].pictures[0].read() == drawing(1)
    assert layout == (
        "Pascal VOC boxes, a file a picture; 2 pictures that it does not name are not read"
    )


def test_voc_that_counts_from_nought_and_files_beside_the_pictures(tmp_path):
    devkit(tmp_path / "kit", first=0)
    read, layout = cases(tmp_path / "kit")
    assert boxes(read["all"][0]) == [("cyst", 0, 5, 10, 11)]
    assert layout.endswith("; 1 pictures that it does not name are not read")
    for split in ("train", "valid"):
        put(tmp_path / "flat" / split / "a.png", drawing(len(split)))
        put(tmp_path / "flat" / split / "a.xml", voc("a", ("cyst", 1, 1, 2, 2)))
    read, _ = cases(tmp_path / "flat")
    assert {s: c[0].pictures[0].read() for s, c in read.items()} == {
        "train": drawing(5),
        "validation": drawing(5),
    }


ENTITY = '<!DOCTYPE annotation [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (ENTITY + voc("a", ("&x;", 1, 1, 2, 2)), "declares a DOCTYPE"),
        ((ENTITY + voc("a")).encode("utf-16"), "declares a DOCTYPE"),
        ("<annotation><object>", "not XML: line 1, column 20"),
        (voc("a", ("", 1, 1, 2, 2)), r"a\.xml row 1: an object without name"),
        (voc("a", ("cyst", "one", 1, 2, 2)), r"row 1: a corner of a box is no number"),
        (voc("a", ("cyst", 9, 1, 2, 2)), r"row 1: not a box: cyst"),
    ],
)
def test_voc_with_a_fault_names_the_file(tmp_path, content, fault):
    put(tmp_path / "Annotations" / "a.xml", content)
    put(tmp_path / "JPEGImages" / "a.png", drawing(0))
    with pytest.raises(DatasetError, match=fault) as error:
        cases(tmp_path)
    assert "root:" not in str(error.value)


def test_a_listed_picture_without_its_file_is_an_error(tmp_path):
    put(devkit(tmp_path) / "ImageSets" / "Main" / "train.txt", "a\nd\n")
    with pytest.raises(DatasetError, match="picture 2 of the split's list has no XML file"):
        cases(tmp_path)


def test_a_table_beside_xml_stays_the_set(tmp_path):
    put(tmp_path / "labels.csv", "image,caption\na.png,x\n")
    put(tmp_path / "Annotations" / "a.xml", voc("a", ("cyst", 1, 1, 2, 2)))
    put(tmp_path / "notes.xml", "<!DOCTYPE x><x>")
    put(tmp_path / "a.png", drawing(0))
    read, layout = cases(tmp_path)
    assert (layout, read["all"][0].caption) == ("one table: labels.csv", "x")


def labelme(name, *shapes, data=None):
    drawn = [{"label": label, "shape_type": kind, "points": p} for label, kind, p in shapes]
    return {"version": "5.4", "flags": {}, "shapes": drawn, "imagePath": name, "imageData": data}


TRIANGLE = [[4, 5], [14, 5], [4, 17]]


def test_labelme_reads_each_region_and_the_picture_inside_where_there_is_no_file(tmp_path):
    shapes = (
        ("cyst", "rectangle", [[14, 17], [4, 5]]),
        ("mass", "polygon", TRIANGLE),
        ("node", "circle", [[20, 20], [20, 24]]),
    )
    put_json(tmp_path / "json" / "a.json", labelme("..\\images\\a.png", *shapes))
    put(tmp_path / "images" / "a.png", drawing(0))
    held = base64.b64encode(drawing(1)).decode()
    put_json(tmp_path / "json" / "b.json", labelme("b.png", data=held) | {"flags": {"ill": True}})
    put(tmp_path / "images" / "c.png", drawing(2))
    read, layout = cases(tmp_path)
    first, second = read["all"]
    assert boxes(first) == [
        ("cyst", 4, 5, 10, 12),
        ("mass", 4, 5, 10, 12),
        ("node", 16, 16, 8, 8),
    ]
    assert first.boxes[1].polygon == ((4, 5), (14, 5), (4, 17))
    assert [c.pictures[0].read() for c in read["all"]] == [drawing(0), drawing(1)]
    assert second.boxes == ()
    assert layout == (
        "LabelMe regions, a file a picture; 1 pictures that it does not name are not read"
        "; flags of 1 pictures are not read"
    )


@pytest.mark.parametrize(
    ("shape", "fault"),
    [
        (("cyst", "point", [[4, 5]]), "shapes row 1: a shape of the type point with 1 points"),
        (("cyst", "polygon", [4, 5]), r"no list of \[x, y\]"),
        (("cyst", "polygon", [[4, 5], [6, 7]]), "an outline of 2 points"),
    ],
)
def test_labelme_with_what_is_no_region_says_where(tmp_path, shape, fault):
    data = base64.b64encode(drawing(1)).decode()
    put_json(tmp_path / "a.json", labelme("a.png", shape, data=data))
    with pytest.raises(DatasetError, match=fault) as error:
        cases(tmp_path)
    assert data[:40] not in str(error.value)


def test_labelme_beside_another_json_file_is_not_guessed_at(tmp_path):
    put_json(tmp_path / "a.json", labelme("a.png"))
    put_json(tmp_path / "b.json", {"a": 1})
    with pytest.raises(DatasetError, match=r"b\.json is none of LabelMe's files"):
        cases(tmp_path)


def test_coco_without_a_box_says_so(tmp_path):
    one = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": {"counts": [4], "size": [2, 2]},
    }
    content = {
        "images": [{"id": 1, "file_name": "1.png"}],
        "categories": [{"id": 1, "name": "mass"}],
        "annotations": [one],
    }
    put_json(tmp_path / "a.json", content)
    put(tmp_path / "1.png", drawing(1))
    with pytest.raises(DatasetError, match=r"row 1: no box is given: mass \(write its"):
        cases(tmp_path)


def test_captions_of_coco_are_read_the_first_of_several(tmp_path):
    said = [(1, "A knee."), (2, "A hip."), (1, "One knee.")]
    content = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in (1, 2, 3)],
        "annotations": [{"image_id": n, "caption": words} for n, words in said],
    }
    put_json(tmp_path / "annotations" / "captions_train2017.json", content)
    for n in (1, 2, 3, 4):
        put(tmp_path / "train2017" / f"{n}.png", drawing(n))
    read, layout = cases(tmp_path)
    assert [case.caption for case in read["train"]] == ["A knee.", "A hip.", ""]
    assert [[r.code for r in case.remarks] for case in read["train"]] == [
        ["several_captions"],
        [],
        [],
    ]
    assert layout == (
        "COCO captions: annotations/captions_train2017.json"
        "; 1 pictures that it does not name are not read"
    )
    content["annotations"].append({"image_id": 9, "caption": "x"})
    put_json(tmp_path / "annotations" / "captions_train2017.json", content)
    with pytest.raises(DatasetError, match="image_id 9, which is not listed"):
        cases(tmp_path)


def via3(*xy, value="1"):
    return {
        "project": {"pid": "x"},
        "attribute": {"1": {"aname": "kind", "options": {"0": "mass", "1": "cyst"}}},
        "file": {"1": {"fname": "a.png"}, "2": {"fname": "b.png"}},
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
        "metadata": {
            f"m{n}": {"vid": "1", "z": [], "xy": list(one), "av": {"1": value}}
            for n, one in enumerate(xy)
        },
    }


def test_via_3_projects(tmp_path):
    drawn = ([2, 4, 5, 10, 12], [7, 4, 5, 14, 5, 4, 17], [3, 20, 20, 4], [])
    put_json(tmp_path / "via.json", via3(*drawn))
    for n, name in enumerate("ab"):
        put(tmp_path / f"{name}.png", drawing(n))
    read, layout = cases(tmp_path)
    first, second = read["all"]
    assert boxes(first) == [("cyst", 4, 5, 10, 12), ("cyst", 4, 5, 10, 12), ("cyst", 16, 16, 8, 8)]
    assert second.boxes == ()
    assert layout == "VIA 3 regions: via.json; a picture without one shows nothing"
    put_json(tmp_path / "via.json", via3([1, 4, 5]))
    with pytest.raises(DatasetError, match="metadata row 1: a region of the shape 1 with 2"):
        cases(tmp_path)


def test_pictures_that_no_annotation_names_are_counted(tmp_path):
    box = {"image_id": 1, "category_id": 7, "bbox": [4, 5, 10, 12]}
    content = {
        "images": [{"id": 1, "file_name": "a"}],
        "annotations": [box],
        "categories": [{"id": 7, "name": "cyst"}],
    }
    put_json(tmp_path / "boxes.json", content)
    for n, name in enumerate(("a.png", "b.PNG", "notes.txt")):
        put(tmp_path / name, drawing(n))
    read, layout = cases(tmp_path)
    assert read["all"][0].boxes == (Box(4, 5, 10, 12, "cyst"),)
    assert layout.endswith("shows nothing; 1 pictures that it does not name are not read")
    assert json.dumps(layout)


def unread(root):
    """What was told of the first case's annotations."""
    read, _ = cases(root)
    (some,) = read.values()
    return [remark.what.removeprefix("the column or key ") for remark in some[0].remarks]


def test_what_coco_says_beside_boxes_is_told(tmp_path):
    put(tmp_path / "a.png", drawing(0))
    plain = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0}
    image = {"id": 1, "file_name": "a.png", "license": 1, "patient": "p1"}
    crowd = plain | {"id": 2, "iscrowd": 1, "segmentation": {"counts": [1], "size": [9, 9]}}
    content = {
        "images": [image],
        "annotations": [plain, crowd | {"attributes": {"grade": 3}}],
        "categories": [{"id": 1, "name": "cyst"}],
    }
    put_json(tmp_path / "coco.json", content)
    assert unread(tmp_path) == [
        "'images.patient' is not read",
        "'annotations.attributes.grade' is not read",
        "of a segmentation that is run-length, or no outlines, the box is read",
    ]
    read, _ = cases(tmp_path)
    ((case,),) = read.values()
    assert [box.crowd for box in case.boxes] == [False, True]


def test_what_voc_says_beside_boxes_is_told(tmp_path):
    corners = "<xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax>"
    box = f"<name>cyst</name><bndbox>{corners}</bndbox>"
    put(tmp_path / "JPEGImages" / "a.png", drawing(0))
    put(
        tmp_path / "Annotations" / "a.xml",
        "<annotation><filename>a.png</filename><segmented>0</segmented><patient>p1</patient>"
        f"<object>{box}<pose>Unspecified</pose><difficult>0</difficult></object>"
        f"<object>{box}<truncated>1</truncated><difficult>1</difficult></object></annotation>",
    )
    assert unread(tmp_path) == [
        "'patient' is not read",
        "'object.truncated' is not read",
        "'object.difficult' is not read",
    ]


def test_what_via_says_beside_labels_is_told(tmp_path):
    put(tmp_path / "a.png", drawing(0))
    shape = {"name": "rect", "x": 1, "y": 1, "width": 4, "height": 4}
    region = {"shape_attributes": shape, "region_attributes": {"type": "cyst", "grade": "3"}}
    row = {"filename": "a.png", "size": 9, "regions": [region], "file_attributes": {"age": "61"}}
    put_json(tmp_path / "via.json", {"a.png9": row})
    assert unread(tmp_path) == [
        "'file_attributes.age' is not read",
        "'region_attributes.grade' is not read",
    ]
