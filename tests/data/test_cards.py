from __future__ import annotations

import pytest

from vesalius.data.cards import card
from vesalius.errors import UnknownName


def test_a_card_is_typed_data():
    found = card("slake")
    assert found.hub == ("BoKelvin/SLAKE",)
    assert found.releases[0].questions == {"train": 4919, "validation": 1053, "test": 1061}


@pytest.mark.parametrize("name", ["slaek", "../cards/slake", ""])
def test_no_such_card(name):
    with pytest.raises(UnknownName):
        card(name)
