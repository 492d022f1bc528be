from __future__ import annotations

import sys

import pytest
from layouts import drawing, put_zip, slake_row

from vesalius.data.open import open_dataset
from vesalius.data.reading import hub
from vesalius.errors import DatasetError, MissingExtra

datasets = pytest.importorskip("datasets")


def hosted(monkeypatch, rows, *, streamed=False, split="train"):
    """Puts ``rows`` where the hub would be; returns the calls made."""
    calls = []
    part = datasets.Dataset.from_list(rows)
    pictures = [k for k, v in rows[0].items() if isinstance(v, dict) and "bytes" in v]
    for name in pictures:
        part = part.cast_column(name, datasets.Image())
    held = part.to_iterable_dataset() if streamed else part

    def load(name, streaming=False):
        calls.append((name, streaming))
        return {split: held}

    monkeypatch.setattr(datasets, "load_dataset", load)
    return calls


def stored(seed):
    return {"bytes": drawing(seed), "path": None}


def test_vqa_rows_are_read_by_index_undecoded(monkeypatch):
    rows = [{"image": stored(n % 2), "question": f"q{n}", "answer": "a"} for n in range(3)]
    calls = hosted(monkeypatch, rows)
    cases = list(open_dataset("path_vqa", hub=True).cases("train"))
    assert calls == [("flaviagiammarino/path-vqa", False)]
    assert sorted(len(case.questions) for case in cases) == [1, 2]
    assert {case.pictures[0].read() for case in cases} == {drawing(0), drawing(1)}
    assert str(cases[0].source).startswith("hub:flaviagiammarino/path-vqa/train row ")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_null_picture_is_none_and_nan_too(monkeypatch, streamed):
    rows = [{"image": stored(1), "caption": "x", "age": 3.5}]
    rows += [{"image": None, "caption": "y", "age": float("nan")}]
    hosted(monkeypatch, rows, streamed=streamed)
    found = [row for _, row in hub.hub_splits("x/y", streaming=streamed)["train"]()]
    assert [row["image"] and row["image"].read() for row in found] == [drawing(1), None]
    assert [row["age"] for row in found] == [3.5, None]


def test_the_large_set_is_streamed(monkeypatch):
    rows = [{"image": stored(1), "image_id": "R_1", "caption": "x", "cui": ["C0040405"]}]
    calls = hosted(monkeypatch, rows, streamed=True, split="valid")
    (case,) = open_dataset("roco", hub=True).cases("validation")
    assert calls == [("eltorio/ROCOv2-radiology", True)]
    assert (case.id, case.modality, case.pictures[0].read()) == ("R_1", "CT", drawing(1))


@pytest.mark.parametrize("name", ["vqa_rad", "vqa_med", "folder"])
def test_another_id_may_be_given(monkeypatch, name):
    rows = [{"image": stored(1), "question": "q", "answer": "a"}]
    calls = hosted(monkeypatch, rows)
    (case,) = open_dataset(name, hub="someone/else").cases("train")
    assert calls == [("someone/else", False)]
    assert case.questions[0].answers[0].text == "a"


def test_slake_fetches_its_archive(monkeypatch, tmp_path):
    hosted(monkeypatch, [slake_row(1, 5, "q", "a")])
    archive = put_zip(tmp_path / "imgs.zip", {"imgs/xmlab1/source.jpg": drawing(1)})
    monkeypatch.setattr("vesalius.data.datasets.slake.hub_file", lambda name, file: archive)
    (case,) = open_dataset("slake", hub=True).cases("train")
    assert case.pictures[0].read() == drawing(1)


def test_boxes_from_the_hub(monkeypatch):
    row = {"image": stored(1), "objects": {"bbox": [[1, 2, 3, 4]], "category": ["tumor"]}}
    hosted(monkeypatch, [row])
    (case,) = open_dataset("brain_tumor", hub="x/y").cases("train")
    assert case.boxes[0].width == 3


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"vesalius\[hub\]"):
        hub.hub_splits("x/y")


def test_a_hub_that_does_not_answer(monkeypatch):
    def load(name, streaming=False):
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(DatasetError, match=r"hub:x/y: cannot be loaded: no route.*--root"):
        hub.hub_splits("x/y")
