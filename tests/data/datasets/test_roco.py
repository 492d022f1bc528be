from __future__ import annotations

import pytest
from layouts import drawing, put, put_lines, put_parquet, roco, roco_old

from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError, ImageError


def test_v2_joins_captions_concepts_and_zipped_pictures(drawn):
    dataset = drawn("roco", roco)
    assert dataset.splits() == ("train", "validation")
    first, second = dataset.cases("train")
    assert first.caption == 'CT, axial: a "mass", left'
    assert first.concepts == ("C0040405", "C0577559")
    assert (first.modality, second.modality) == ("CT", "X-ray")
    assert second.concepts == ()  # listed, with none
    assert first.pictures[0].key == "train_images.zip/train/ROCOv2_2023_train_000001.jpg"
    assert first.pictures[0].read() == drawing(0)
    assert next(dataset.cases("validation")).concepts is None  # no concepts file


def test_v2_manual_concepts(drawn):
    first, second = drawn("roco", roco, concepts="manual").cases("train")
    assert (first.concepts, second.concepts) == (None, ("C1306645",))


def test_v1_is_a_raw_dump_without_quoting(drawn):
    first, second = drawn("roco", roco_old).cases("train")
    assert first.caption == '"Crazy paving" in a CT, axial'
    assert first.concepts == ("C0040405", "C0000001")
    assert second.concepts is None
    assert second.pictures[0].pixels().size == (64, 48)


def test_hub_parquet_and_text_only_rows(tmp_path):
    rows = [{"image": drawing(1), "image_id": "R_1", "caption": "A knee", "cui": ["C0024485"]}]
    put_parquet(tmp_path / "a" / "data" / "train-00000-of-00001.parquet", rows)
    (case,) = open_dataset("roco", tmp_path / "a").cases("train")
    assert (case.id, case.concepts, case.modality) == ("R_1", ("C0024485",), "MR")
    assert case.pictures[0].read() == drawing(1)
    rows = [{"id": "ROCO_1", "caption": "x", "pmc_image": "PMC7_a.jpg", "cuis": []}]
    put_lines(tmp_path / "b" / "test.jsonl", rows)
    (case,) = open_dataset("roco", tmp_path / "b").cases("test")
    assert (case.pictures, case.group, case.concepts) == ((), "PMC7", ())


def test_faults_name_file_and_row(tmp_path):
    put(tmp_path / "train_captions.csv", "ID,Words\nR_1,x\n")
    with pytest.raises(DatasetError, match=r"train_captions.csv \(delimiter: comma\).*no caption"):
        list(open_dataset("roco", tmp_path).cases("train"))
    put(tmp_path / "train_captions.csv", "ID,Caption\nR_1,x\nR_2\n")
    with pytest.raises(DatasetError, match=r"train_captions.csv row 2: 1 fields where 2"):
        list(open_dataset("roco", tmp_path).cases("train"))
    with pytest.raises(DatasetError, match=r"radiology/captions.txt"):
        open_dataset("roco", tmp_path, options={"version": 1})


def test_a_picture_that_is_not_there_fails_only_when_read(tmp_path):
    put(tmp_path / "train_captions.csv", "ID,Caption\nR_1,x\n")
    (case,) = open_dataset("roco", tmp_path).cases("train")
    with pytest.raises(ImageError, match="no such file"):
        case.pictures[0].read()


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../b", r"C:\x.png"])
def test_a_name_that_leads_out_is_refused(tmp_path, name):
    put(tmp_path / "train_captions.csv", f"ID,Caption\n{name},x\n")
    with pytest.raises(DatasetError, match=r"row 1: the path .* leads out of the data set"):
        list(open_dataset("roco", tmp_path).cases("train"))


def test_a_link_that_leads_out_is_refused(tmp_path):
    put(tmp_path / "secret.png", drawing(1))
    put(tmp_path / "set" / "train_captions.csv", "ID,Caption\nR_1,x\n")
    (tmp_path / "set" / "train").mkdir()
    (tmp_path / "set" / "train" / "R_1.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DatasetError, match="leads out"):
        list(open_dataset("roco", tmp_path / "set").cases("train"))


def test_captions_without_pictures(shared):
    dataset = open_dataset("roco", shared / "data" / "roco_captions_text")
    counts = {split: sum(1 for _ in dataset.cases(split)) for split in dataset.splits()}
    assert counts == {"validation": 3388, "test": 3446}
    assert next(dataset.cases("test")).group == "PMC5665693"
