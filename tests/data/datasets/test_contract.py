"""What holds for every data set in the registry."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from layouts import LAYOUTS

from vesalius.cases import picture
from vesalius.cases.case import Remark
from vesalius.data.cards import card
from vesalius.data.datasets import Dataset, datasets
from vesalius.data.open import open_dataset
from vesalius.errors import RecipeError, UnknownName

DRAWN = "phantom"


@pytest.fixture(params=sorted(datasets))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Dataset]:
    name = request.param
    if find_spec(f"vesalius.data.datasets.{name}") is None:
        pytest.skip(f"{name} is not written yet")
    if name == DRAWN:
        return name, open_dataset(name)
    return name, open_dataset(name, tmp_path, options=LAYOUTS[name](tmp_path))


def test_has_a_card(opened):
    name, _ = opened
    found = card(name)
    assert found.name == name
    assert found.licence
    assert found.quirks


def test_yields_cases_with_ids_and_sources_without_reading_pictures(opened, monkeypatch):
    _, dataset = opened

    def refuse(path: Path) -> bytes:
        raise AssertionError(f"{path} was read while iterating")

    with monkeypatch.context() as patch:
        patch.setattr(picture, "_read_file", refuse)
        patch.setattr(picture.Picture, "pixels", refuse)
        found = {split: [c for c, _ in zip(dataset.cases(split), range(20), strict=False)]
                 for split in dataset.splits()}  # fmt: skip
    assert any(found.values())
    for split, cases in found.items():
        assert len({case.id for case in cases}) == len(cases)
        assert all(case.group and case.split == split for case in cases)
        for case in cases:
            assert len({q.id for q in case.questions}) == len(case.questions)


def test_pictures_decode_and_keys_name_no_machine(opened, tmp_path):
    _, dataset = opened
    case = next(dataset.cases(dataset.splits()[0]))
    assert case.pictures[0].pixels().mode == "RGB"
    assert str(tmp_path) not in case.pictures[0].key


def test_nothing_of_the_published_layout_is_unread(opened):
    _, dataset = opened
    told = {r for split in dataset.splits() for c in dataset.cases(split) for r in c.remarks}
    assert told <= {Remark("no_picture", "the field of the picture is empty")}


@pytest.mark.parametrize(
    ("name", "file"),
    [("vqa_rad", "*Public.json"), ("slake", "train.json"), ("medpix", "Desc*.json")],
)
def test_a_column_that_the_set_does_not_have_is_told(tmp_path, name, file):
    options = LAYOUTS[name](tmp_path)
    (path,) = tmp_path.glob(file)
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([row | {"reader": "second"} for row in rows]))
    dataset = open_dataset(name, tmp_path, options=options)
    (remark,) = {r for case in dataset.cases(dataset.splits()[0]) for r in case.remarks}
    assert remark == Remark("unread_column", "the column or key 'reader' is not read")


def test_a_second_pass_gives_the_same_cases(opened):
    _, dataset = opened
    split = dataset.splits()[0]
    first = [case.id for case, _ in zip(dataset.cases(split), range(5), strict=False)]
    assert first == [case.id for case, _ in zip(dataset.cases(split), range(5), strict=False)]


def test_an_unknown_split_is_named(opened):
    _, dataset = opened
    with pytest.raises(UnknownName, match="trian"):
        list(dataset.cases("trian"))


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_an_unknown_option_is_refused(name, tmp_path):
    if find_spec(f"vesalius.data.datasets.{name}") is None:
        pytest.skip(f"{name} is not written yet")
    with pytest.raises(RecipeError, match="colour"):
        open_dataset(name, tmp_path, options=LAYOUTS[name](tmp_path) | {"colour": "red"})
