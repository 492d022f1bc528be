from __future__ import annotations

import pytest
from layouts import folder, put, put_lines, vqa_rad

from vesalius.data.check import unread
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError, UnknownName


def test_the_root_is_found_under_the_environment(tmp_path, monkeypatch):
    vqa_rad(tmp_path / "vqa_rad")
    monkeypatch.setenv("VESALIUS_DATA", str(tmp_path))
    assert open_dataset("vqa_rad").splits() == ("train", "test")
    with pytest.raises(DatasetError, match=r"slake.*vesalius data get slake"):
        open_dataset("slake")


def test_without_a_root_the_message_says_what_to_set(monkeypatch):
    monkeypatch.delenv("VESALIUS_DATA", raising=False)
    with pytest.raises(DatasetError, match="set VESALIUS_DATA"):
        open_dataset("slake")
    with pytest.raises(DatasetError, match="no such folder"):
        open_dataset("slake", "/nowhere/at/all")


def test_a_misspelt_name_is_corrected():
    with pytest.raises(UnknownName, match="slake"):
        open_dataset("slaek")


def test_a_split_file_deals_anew(drawn, tmp_path):
    splits = put_lines(tmp_path / "mine" / "splits.jsonl", [
        {"id": "images/b", "split": "train"}, {"id": "images/a", "split": "test"},
    ])  # fmt: skip
    dataset = drawn("folder", folder, split_file=str(splits))
    assert dataset.splits() == ("train", "test")
    (case,) = dataset.cases("train")
    assert (case.id, case.split) == ("images/b", "train")


def test_cases_that_a_split_file_leaves_out_are_counted(tmp_path):
    rows = [{"id": str(n), "question": "a?", "answer": "b"} for n in range(5)]
    put_lines(tmp_path / "set" / "all.jsonl", rows)
    listed = [{"id": "1", "split": "train"}, {"id": "3", "split": "test"}]
    splits = put_lines(tmp_path / "splits.jsonl", listed)
    dataset = open_dataset("folder", tmp_path / "set", split_file=splits)
    (one,) = [found for found in unread(dataset) if found.code == "not_dealt"]
    assert one.what.startswith("3 cases of the set are in no split of splits.jsonl")
    put_lines(splits, [{"id": str(n), "split": "train"} for n in range(5)])
    whole = open_dataset("folder", tmp_path / "set", split_file=splits)
    assert [found.code for found in unread(whole)] == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"id": "a", "split": "x"}\n{"id": "a", "split": "y"}\n', "row 2: case 'a' is in x and"),
        ('{"id": "a"}\n', "row 1: split is missing"),
        ("", "no rows"),
    ],
)
def test_a_bad_split_file_is_named(drawn, tmp_path, content, fault):
    splits = put(tmp_path / "mine" / "splits.jsonl", content)
    with pytest.raises(DatasetError, match=rf"splits.jsonl.*{fault}"):
        drawn("folder", folder, split_file=str(splits))


def test_a_listed_case_that_is_not_there_is_named(drawn, tmp_path):
    rows = [{"id": name, "split": "train"} for name in ("images/b", *"uvwxyz")]
    splits = put_lines(tmp_path / "mine" / "splits.jsonl", rows)
    cases = drawn("folder", folder, split_file=str(splits)).cases("train")
    assert next(cases).id == "images/b"
    fault = r"splits\.jsonl: 6 cases listed for train are not in .*: u, v, w, x, y \.\.\. "
    with pytest.raises(DatasetError, match=fault):
        list(cases)


def test_one_id_of_two_cases_cannot_be_dealt(tmp_path):
    for split in ("train", "test"):
        put_lines(tmp_path / "set" / f"{split}.jsonl", [{"id": "a", "caption": split}])
    splits = put_lines(tmp_path / "splits.jsonl", [{"id": "a", "split": "train"}])
    dataset = open_dataset("folder", tmp_path / "set", split_file=splits)
    with pytest.raises(
        DatasetError, match=r"test\.jsonl row 1: .*'a' is also at .*train\.jsonl row 1"
    ):
        list(dataset.cases("train"))


def test_a_split_file_of_another_set_is_noticed(drawn, tmp_path):
    splits = put_lines(tmp_path / "mine" / "splits.jsonl", [{"id": "other", "split": "train"}])
    with pytest.raises(DatasetError, match="made for another data set"):
        list(drawn("folder", folder, split_file=str(splits)).cases("train"))
