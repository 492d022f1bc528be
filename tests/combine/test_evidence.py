"""Similar cases beside an answer: of every picture that is asked about, the nearest first."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Neighbour, Prediction
from vesalius.combine.evidence import SupportedAnswers
from vesalius.recipe import Decoding

NEAR = {
    "a": (Neighbour("one", 0.9, "1.png"), Neighbour("two", 0.5, "2.png")),
    "b": (Neighbour("two", 0.8, "2b.png"), Neighbour("three", 0.7, "3.png")),
}


class Shelf:
    """Knows what is near each of two pictures, and which it was asked for."""

    settings = SimpleNamespace(neighbours=2)

    def __init__(self) -> None:
        self.asked: list[str] = []

    def neighbours(self, pictures: Sequence[Picture], **_: Any) -> list[tuple[Neighbour, ...]]:
        self.asked += [picture.key for picture in pictures]
        return [NEAR[picture.key] for picture in pictures]


class Plain:
    needs_image = False

    def predict(self, dialogues: Sequence[Dialogue], _: Decoding) -> list[Prediction]:
        return [Prediction.of(dialogue, Answer(text="x")) for dialogue in dialogues]


def study(*keys: str) -> Dialogue:
    pictures = tuple(Picture(key, bytes) for key in keys)
    return Dialogue("1", (Turn(Question("what?"), pictures),), group="g", case="c")


def test_every_picture_of_a_study_is_looked_up_and_each_case_named_once() -> None:
    shelf: Any = Shelf()
    model = SupportedAnswers(Plain(), shelf)
    (answer,) = model.predict([study("a", "b")], Decoding())
    # of picture a: one .9, two .5; of picture b: two .8, three .7; two are wanted
    assert [(n.case, n.similarity) for n in answer.neighbours] == [("one", 0.9), ("two", 0.8)]
    (alone,) = model.predict([study("b")], Decoding())
    assert [n.case for n in alone.neighbours] == ["two", "three"]
    assert shelf.asked == ["a", "b"]  # b is known from before
