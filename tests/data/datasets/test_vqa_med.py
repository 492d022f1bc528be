from __future__ import annotations

import pytest
from layouts import drawing, put, put_lines, vqa_med

from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError


def test_2019_files_by_category(drawn):
    dataset = drawn("vqa_med", vqa_med)
    assert dataset.splits() == ("train", "test")
    (case,) = dataset.cases("train")
    assert [(q.id, q.category) for q in case.questions] == [
        ("modality-1", "modality"), ("plane-1", "plane"),
    ]  # fmt: skip
    assert [a.text for a in case.questions[1].answers] == ["axial", "transverse"]
    assert case.pictures[0].read() == drawing(1)


def test_2019_test_lines_have_a_category(drawn):
    (case,) = drawn("vqa_med", vqa_med).cases("test")
    (question,) = case.questions
    assert (question.category, question.answers[0].text) == ("plane", "sagittal")


def test_2021_answers_in_a_file_of_their_own(tmp_path):
    put(tmp_path / "VQA-Med-2021-Task1-VQA-TestSet-Questions.txt", "synpic1|what is it?\n")
    put(tmp_path / "VQA-Med-2021-Task1-VQA-TestSet-ReferenceAnswers.txt", "synpic1|a cyst#cyst\n")
    put(tmp_path / "VQA-Med-2021-Task1-TestSet-Images" / "synpic1.jpg", drawing(1))
    (case,) = open_dataset("vqa_med", tmp_path).cases("test")
    assert [a.text for a in case.questions[0].answers] == ["a cyst", "cyst"]


def test_two_years_need_the_option(tmp_path):
    for year in (2020, 2021):
        put(tmp_path / f"VQAnswering_{year}_Train_QA_pairs.txt", f"s{year}|what?|a\n")
    with pytest.raises(DatasetError, match=r"several years.*2020, 2021"):
        open_dataset("vqa_med", tmp_path)
    (case,) = open_dataset("vqa_med", tmp_path, options={"year": 2020}).cases("train")
    assert case.id == "s2020"


def test_a_short_line_is_named(tmp_path):
    put(tmp_path / "train_pairs.txt", "s1|what?|a\ns2|what?\n")
    with pytest.raises(DatasetError, match=r"train_pairs.txt row 2: 2 fields where 3.*is \|"):
        list(open_dataset("vqa_med", tmp_path).cases("train"))


def test_a_row_without_the_question_column_is_named(tmp_path):
    put_lines(tmp_path / "train.jsonl", [{"image": "a.png", "answer": "x"}])
    with pytest.raises(DatasetError, match=r"train.jsonl row 1: there is no column question"):
        list(open_dataset("vqa_med", tmp_path).cases("train"))


def test_real_rows(shared):
    dataset = open_dataset("vqa_med", shared / "data" / "vqa_med_2019")
    counts = {s: sum(len(c.questions) for c in dataset.cases(s)) for s in dataset.splits()}
    assert counts == {"train": 3798, "validation": 520, "test": 678}
    generated = open_dataset("vqa_med", shared / "data" / "vqa_med_2021_vqg")
    cases = [case for split in generated.splits() for case in generated.cases(split)]
    assert len(cases) == 66
    assert all(q.answers == () for case in cases for q in case.questions)
