from __future__ import annotations

import pytest

from vesalius.data.cards import card
from vesalius.data.datasets import datasets
from vesalius.errors import DatasetError, UnknownName


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
