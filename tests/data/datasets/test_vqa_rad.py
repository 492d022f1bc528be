from __future__ import annotations

import pytest
from layouts import rad_row, vqa_rad

from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError


def test_official_split_by_question(drawn):
    dataset = drawn("vqa_rad", vqa_rad)
    assert dataset.splits() == ("train", "test")
    train = {case.id: case for case in dataset.cases("train")}
    (test,) = dataset.cases("test")
    assert test.id in train  # the known quirk: both have the picture
    assert test.group == train[test.id].group == "https://example.org/case?id=1"
    question = train["synpic1"].questions[0]
    assert (question.id, question.kind, question.category) == ("1", "closed", "PRES")


def test_stray_spaces_numbers_and_misspelt_types(drawn):
    cases = {case.id: case for case in drawn("vqa_rad", vqa_rad).cases("train")}
    (question,) = cases["synpic2"].questions
    assert question.answers[0].text == "5"
    assert question.category == "POS, PRES"
    (test,) = drawn("vqa_rad", vqa_rad).cases("test")
    assert test.questions[0].answers[0].text == "No"


def test_one_split_and_no_paraphrases(drawn):
    dataset = drawn("vqa_rad", vqa_rad, split="all", paraphrases=False)
    assert dataset.splits() == ("all",)
    (case,) = dataset.cases("all")
    assert [q.id for q in case.questions] == ["1", "3", "4"]


def test_a_row_without_an_image_is_named(drawn):
    def broken(root):
        vqa_rad(root)
        rows = [rad_row(1, "", "freeform")]
        (root / "VQA_RAD Dataset Public.json").write_text(str(rows).replace("'", '"'))
        return {}

    dataset = drawn("vqa_rad", broken)
    with pytest.raises(DatasetError, match=r"Public.json row 1: image_name or image is missing"):
        list(dataset.cases("train"))


def test_real_rows(shared):
    dataset = open_dataset("vqa_rad", shared / "data" / "vqa_rad")
    counts = {}
    for split in dataset.splits():
        cases = list(dataset.cases(split))
        counts[split] = (len(cases), sum(len(case.questions) for case in cases))
    assert counts == {"train": (33, 262), "validation": (9, 62), "test": (14, 93)}
    questions = [q for split in counts for c in dataset.cases(split) for q in c.questions]
    assert sum(q.kind == "closed" for q in questions) == 268
    assert sum(q.kind == "open" for q in questions) == 149
