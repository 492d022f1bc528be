"""Views: the mark in a picture's key, and the picture that a question is about."""

from __future__ import annotations

import pytest

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.view import OWN_VIEW, View, bare


@pytest.mark.parametrize(
    ("view", "mark"),
    [
        (OWN_VIEW, ""),
        (View(0), "#frame=0"),
        (View(window=(40, 400.5)), "#window=40,400.5"),
        (View(2, (-600.0, 1500.0)), "#frame=2#window=-600,1500"),
    ],
)
def test_a_key_bears_one_mark_and_gives_it_back(view: View, mark: str) -> None:
    key = view.of("study#7.dcm#frame=9")
    assert key == f"study#7.dcm{mark}"
    assert View.in_key(key) == view
    assert bare(key) == "study#7.dcm"


def test_a_question_is_about_the_picture_shown_last() -> None:
    def turn(*keys: str, reply: str | None = "yes") -> Turn:
        pictures = tuple(Picture(key, lambda: b"") for key in keys)
        return Turn(Question("?"), pictures, reply and Answer(reply))

    def key(*turns: Turn) -> str | None:
        picture = Dialogue("d", turns, "g").picture
        return picture and picture.key

    assert key(turn()) is None
    assert key(turn("a", "b"), turn(reply=None)) == "b"
    assert key(turn("a"), turn("c"), turn(reply=None)) == "c"
