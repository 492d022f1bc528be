from __future__ import annotations

import pytest

from vesalius.cases.case import Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.errors import ModelError
from vesalius.models.guard import require_at_most, require_pictures, require_studies


def test_first_dialogue_without_picture_is_named(draw, ask) -> None:
    shown, blind = ask("a?", picture=draw("p"), case="one"), ask("b?", case="two")
    with pytest.raises(ModelError, match="two/b"):
        require_pictures([shown, blind, ask("c?", case="three")])


def test_pictures_in_earlier_turns_count(draw, ask) -> None:
    require_pictures([ask("a?", picture=draw("p"))])
    require_pictures([])


def study(draw, *keys: str) -> Dialogue:
    turn = Turn(Question("where?"), tuple(map(draw, keys)))
    return Dialogue("study", (turn,), group="g", case="study")


def test_a_study_is_all_pictures_of_the_last_turn_that_shows_any(draw, ask) -> None:
    shown = require_studies([study(draw, "a", "b"), ask("c?", picture=draw("c"))])
    assert [[picture.key for picture in one] for one in shown] == [["a", "b"], ["c"]]


def test_more_pictures_than_a_model_looks_at_are_refused(draw) -> None:
    require_at_most(2, [study(draw, "a", "b")])
    with pytest.raises(ModelError, match=r"study: shows 2 pictures .* looks at 1"):
        require_at_most(1, [study(draw, "a", "b")])
