"""The option of any data set with boxes that asks about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError, RecipeError

CASES = {"cases": {"train": 40, "validation": 4, "test": 4}}


def phantoms(**asked: Any) -> Any:
    return open_dataset("phantom", options={**CASES, "box_questions": asked})


def test_the_questions_are_those_of_the_boxes() -> None:
    plain = {case.id: case for case in open_dataset("phantom", options=CASES).cases("train")}
    kinds = set()
    for case in phantoms(labels=["nodule"], kinds=["presence", "side"]).cases("train"):
        own = [box for box in plain[case.id].boxes or () if box.label == "nodule"]
        assert case.boxes == plain[case.id].boxes
        assert case.questions[0].answers[0].text == ("yes" if own else "no")
        kinds |= {question.category for question in case.questions}
        assert len(case.questions) == 1 + (len(own) == 1)
    assert kinds == {"presence", "side"}


def test_labels_that_no_box_has_are_refused_with_those_that_are_there() -> None:
    with pytest.raises(
        DatasetError, match=r"of \d+ boxes is labelled tumour \(its labels: .*nodule"
    ):
        list(phantoms(labels=["tumour"]).cases("train"))
    # Four cases may well have none of a label that is there.
    assert len(list(phantoms(labels=["tumour"]).cases("test"))) == 4


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "labels: Field required"),
        ({"labels": []}, "labels: Tuple should have at least 1 item"),
        ({"labels": ["a"], "kinds": ["colour"]}, "kinds.0: Input should be 'presence'"),
    ],
)
def test_a_wrong_option_is_named(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        phantoms(**asked)


def test_cases_without_annotated_boxes_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drawn = open_dataset("phantom", options=CASES)
    (tmp_path / "a.png").write_bytes(next(drawn.cases("train")).pictures[0].read())
    rows = [
        {"id": "1", "image": "a.png", "boxes": []},
        {"id": "2", "image": "a.png", "caption": "a film"},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"box_questions": {"labels": ["nodule"]}}
    dataset = open_dataset("folder", tmp_path, options=options)
    for _ in range(2):
        first, second = dataset.cases("train")
    assert [q.answers[0].text for q in first.questions] == ["no", "0"]
    assert second.questions == ()
    assert [one.code for one in second.remarks] == ["not_asked"]
    (said,) = [record.getMessage() for record in caplog.records]  # once, however often it is read
    assert said == "box_questions: 1 cases of train have no annotated boxes: not asked about"
