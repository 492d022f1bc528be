from __future__ import annotations

import pytest

from vesalius.errors import ModelError
from vesalius.models.guard import require_pictures


def test_first_dialogue_without_picture_is_named(draw, ask) -> None:
    shown, blind = ask("a?", picture=draw("p"), case="one"), ask("b?", case="two")
    with pytest.raises(ModelError, match="two/b"):
        require_pictures([shown, blind, ask("c?", case="three")])


def test_pictures_in_earlier_turns_count(draw, ask) -> None:
    require_pictures([ask("a?", picture=draw("p"))])
    require_pictures([])
