from __future__ import annotations

import sys
from textwrap import indent

import pytest
import yaml

from vesalius.data.cards import card, card_or_none
from vesalius.data.datasets import datasets
from vesalius.errors import DatasetError, RecipeError, UnknownName


def test_a_card_is_typed_data():
    found = card("slake")
    assert found.hub == ("BoKelvin/SLAKE",)
    assert found.releases[0].questions == {"train": 4919, "validation": 1053, "test": 1061}


@pytest.mark.parametrize("name", ["slaek", "../cards/slake", ""])
def test_no_such_card(name):
    with pytest.raises(UnknownName):
        card(name)


@pytest.mark.parametrize(
    ("name", "options", "train"),
    [
        ("slake", {}, 4919),
        ("slake", {"language": "all"}, 9835),
        ("vqa_med", {"year": 2021}, 4500),
        ("vqa_rad", {"paraphrases": False}, 1797),
    ],
)
def test_counts_are_those_of_the_release_that_would_be_read(
    name: str, options: dict, train: int
) -> None:
    assert card(name).release(options).questions["train"] == train


def test_options_decide_between_releases():
    assert card("vqa_rad").release({"split": "all"}).images == {"all": 314}
    assert card("roco").release({"version": 1, "concepts": "manual"}).name == "ROCO radiology"
    with pytest.raises(DatasetError, match="slake: the card has no counts"):
        card("slake").release({"language": "zh"})
    with pytest.raises(DatasetError, match="folder: the card has no counts"):
        card("folder").release({})


@pytest.mark.parametrize("name", sorted(datasets))
def test_every_count_says_who_counted(name):
    assert all(release.source for release in card(name).releases)


CARD = {"title": "Knees", "summary": "Knees of the village.", "licence": "CC0", "homepage": "x",
        "citation": "x", "intended_use": "x"}  # fmt: skip


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """Registers a reader of another package; gives the function that makes it."""

    def registered(body: str, beside: str | None = None) -> None:
        package = tmp_path / "knees"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "reader.py").write_text(f"class Knees:\n{indent(body, '    ')}\n")
        if beside is not None:
            (package / "cards").mkdir()
            (package / "cards" / "knees.yaml").write_text(beside)
        monkeypatch.syspath_prepend(tmp_path)
        targets = {**datasets._targets, "knees": "knees.reader:Knees"}
        monkeypatch.setitem(vars(datasets), "_targets", targets)

    card.cache_clear()
    yield registered
    card.cache_clear()
    for name in ("knees.reader", "knees"):
        sys.modules.pop(name, None)


def test_another_packages_reader_carries_its_card(outside):
    outside(f"CARD = {dict(CARD, name='knees')!r}")
    assert card("knees").summary == "Knees of the village."


def test_another_packages_card_lies_beside_its_reader(outside):
    outside("pass", yaml.safe_dump(dict(CARD, name="knees", quirks=["Left ones only."])))
    assert card("knees").quirks == ("Left ones only.",)


def test_another_packages_reader_without_a_card(outside):
    outside("pass")
    with pytest.raises(UnknownName, match="data set card"):
        card("knees")
    assert card_or_none("knees") is None


def test_a_faulty_card_names_its_key(outside):
    outside("CARD = {'name': 'knees', 'licnce': 'CC0'}")
    with pytest.raises(RecipeError, match="CARD of the data set knees"):
        card("knees")
