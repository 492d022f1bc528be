from __future__ import annotations

import pytest
from layouts import drawing, image_clef, put

from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError


def test_tab_separated_year(drawn):
    dataset = drawn("image_clef", image_clef)
    assert dataset.splits() == ("train", "test")
    (case,) = dataset.cases("train")
    assert (case.caption, case.concepts, case.modality) == ("A, b; c", ("C0024485", "C1"), "MR")


def test_a_test_split_is_pictures_alone(drawn):
    cases = list(drawn("image_clef", image_clef).cases("test"))
    assert len(cases) == 2
    assert {case.caption for case in cases} == {None}
    assert cases[0].pictures[0].pixels().size == (64, 48)


@pytest.mark.parametrize(
    "table", ["ID,Caption\nx_1,words\n", "ID|caption\nx_1|words\n", "x_1\twords\n"]
)
def test_every_delimiter_with_and_without_header(tmp_path, table):
    put(tmp_path / "valid_captions.csv", table)
    put(tmp_path / "valid" / "x_1.jpg", drawing(1))
    (case,) = open_dataset("image_clef", tmp_path).cases("validation")
    assert (case.id, case.caption) == ("x_1", "words")
    assert case.pictures[0].read() == drawing(1)


def test_several_years_need_the_option(tmp_path):
    for year in (2023, 2024):
        put(tmp_path / str(year) / "train_captions.csv", f"ID,Caption\n{year}_1,from {year}\n")
    with pytest.raises(DatasetError, match="two files of captions for train"):
        open_dataset("image_clef", tmp_path)
    (case,) = open_dataset("image_clef", tmp_path, options={"year": 2024}).cases("train")
    assert case.caption == "from 2024"


def test_no_hub_copy_is_known(tmp_path):
    with pytest.raises(DatasetError, match="names no hub data set"):
        open_dataset("image_clef", hub=True)


def test_comma_separated_year_with_manual_concepts(tmp_path):
    put(tmp_path / "train_captions.csv", "ID,Caption\nx_1,words\n")
    put(tmp_path / "train_concepts.csv", "ID,CUIs\nx_1,C1;C2\n")
    put(tmp_path / "train_concepts_manual.csv", "ID,CUIs\nx_1,C0032743\n")
    put(tmp_path / "cui_mapping.csv", "CUI,Canonical name\nC1,a\n")
    put(tmp_path / "concepts.csv", "concept,name\nC1,a\n")
    put(tmp_path / "train" / "x_1.jpg", drawing(1))
    (case,) = open_dataset("image_clef", tmp_path).cases("train")
    assert (case.concepts, case.modality) == (("C1", "C2"), "PET")
