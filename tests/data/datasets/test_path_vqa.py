from __future__ import annotations

import pickle

import pytest
from layouts import drawing, path_vqa, path_vqa_pickled, put

from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError


def test_rows_of_one_picture_are_one_case(drawn):
    first, second = sorted(
        drawn("path_vqa", path_vqa).cases("train"), key=lambda c: -len(c.questions)
    )
    assert [q.text for q in first.questions] == ["what is it?", "why?"]
    assert [q.id for q in first.questions] == ["1", "3"]  # rows of the file
    assert first.pictures[0].read() == drawing(1)
    assert second.pictures[0].read() == drawing(2)
    assert second.questions[0].kind is None  # the set has no field for it


def test_pickles_are_refused_unless_asked_for(drawn, tmp_path):
    with pytest.raises(DatasetError, match=r"train_qa.pkl: a pickle can run code.*allow_pickle"):
        drawn("path_vqa", path_vqa_pickled, allow_pickle=False)
    (case,) = drawn("path_vqa", path_vqa_pickled).cases("train")
    assert (case.id, case.questions[0].answers[0].text) == ("train_0001", "a gland")
    assert case.pictures[0].read() == drawing(1)


class Harm:
    def __reduce__(self):
        return (print, ("harm",))


@pytest.mark.parametrize("content", [pickle.dumps([Harm()]), b"not a pickle", b"", pickle.dumps(3)])
def test_a_pickle_that_is_more_than_data_runs_nothing(tmp_path, content, capsys):
    put(tmp_path / "train_qa.pkl", content)
    dataset = open_dataset("path_vqa", tmp_path, options={"allow_pickle": True})
    with pytest.raises(DatasetError, match=r"train_qa.pkl"):
        list(dataset.cases("train"))
    assert capsys.readouterr().out == ""
