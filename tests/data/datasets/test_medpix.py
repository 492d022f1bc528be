from __future__ import annotations

import pytest
from layouts import medpix, put_json

from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError


def test_captions_with_history_and_nothing_that_tells_the_answer(drawn):
    first, second = drawn("medpix", medpix).cases("all")
    assert (first.caption, first.modality, first.group) == ("A mass.", "CT", "MPX1")
    assert first.context == {"history": "Cough."}
    assert "SECRET" not in repr([first, second])
    assert first.pictures[0].key == "images/MPX1_synpic1.png"


def test_a_description_of_another_kind_is_named(tmp_path):
    put_json(tmp_path / "Descriptions.json", [{"U_id": "1", "image": "a", "Description": "x"}])
    with pytest.raises(DatasetError, match=r"Descriptions.json row 1: Description is not"):
        list(open_dataset("medpix", tmp_path).cases("all"))


def test_real_rows(shared):
    dataset = open_dataset("medpix", shared / "data" / "medpix2")
    found = {split: list(dataset.cases(split)) for split in dataset.splits()}
    assert {s: len(c) for s, c in found.items()} == {"train": 383, "validation": 57, "test": 76}
    cases = [case for split in found.values() for case in split]
    assert all(set(case.context) <= {"history"} for case in cases)
    assert all(case.caption for case in cases)
