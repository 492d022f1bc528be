"""Concepts of similar training cases: votes by similarity, the guard, the threshold."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vesalius import Answer, Dialogue, Picture, Question, Recipe, Run, Turn
from vesalius.cases.prediction import Neighbour
from vesalius.combine.concepts.neighbours import (
    TABLE,
    ConceptNeighbours,
    ConceptNeighboursSettings,
    PropagatedConcepts,
)
from vesalius.combine.retrieval.lookup import Lookup
from vesalius.errors import ModelError, RunError
from vesalius.models import Lesson
from vesalius.models.tagging.choosing import ConceptRule
from vesalius.models.tagging.space import ConceptSpace
from vesalius.recipe import Data, Decoding

Make = Callable[..., Any]


def shape(key: str, side: int, *, disc: bool = True) -> Picture:
    image = Image.new("L", (64, 64))
    pen = ImageDraw.Draw(image)
    (pen.ellipse if disc else pen.rectangle)((8, 8, 8 + side, 8 + side), fill=255)
    file = BytesIO()
    image.save(file, "PNG")
    data = file.getvalue()
    return Picture(key, lambda: data)


def dialogue(name: str, picture: Picture, *concepts: str, group: str = "") -> Dialogue:
    question = Question("which concepts?", answers=(Answer(concepts=concepts),))
    return Dialogue(f"{name}/concepts", (Turn(question, (picture,)),), group or name, name)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    block = {"name": "concept_neighbours"}
    data = Data(dataset="none", task="concepts")
    run = Run.create(tmp_path / "run", Recipe(name="knn", data=data, model=block))
    run.note(data={"train": {"sha256": "0"}})
    return run


class Fixed(Lookup):
    """Neighbours that a test says."""

    def __init__(self, *near: Neighbour) -> None:
        self.near = near

    def neighbours(self, studies: Any) -> list[tuple[Neighbour, ...]]:
        return [self.near for _ in studies]


def propagation(threshold: float, *near: Neighbour) -> PropagatedConcepts:
    space = ConceptSpace(("A", "B", "C"), (3, 2, 1))
    cases = {"one": [0], "two": [0, 1], "three": [2]}
    return PropagatedConcepts(Fixed(*near), space, cases, ConceptRule(np.full(3, threshold)))


def test_without_a_neighbour_it_abstains_and_says_so() -> None:
    asked = dialogue("q", shape("q", 20))
    for near in ((), (Neighbour("one", -0.1),)):
        (answer,) = propagation(0.5, *near).predict([asked], Decoding())
        assert (answer.answer.concepts, answer.abstained) == ((), True)
        assert answer.confidence is not None
        assert answer.confidence.value == 0.0  # and not 1, sure that there are none
        assert answer.notes == {"no_neighbours": 1}


def test_votes_are_weighed_by_similarity() -> None:
    near = (Neighbour("one", 0.9), Neighbour("two", 0.6), Neighbour("three", -0.2))
    asked = dialogue("q", shape("q", 20))
    # A: 1.5 / 1.5, B: .6 / 1.5, C: a similarity below nought has no weight
    assert propagation(0.4, *near).shares([asked])[0] == pytest.approx([1.0, 0.4, 0.0])
    (answer,) = propagation(0.39, *near).predict([asked], Decoding())
    assert answer.answer.concepts == ("A", "B")
    assert answer.evidence == near
    assert answer.confidence is not None
    assert answer.confidence.value == pytest.approx(0.7)  # (1 + .4) / 2


def test_trap_retrieval_that_may_return_the_test_image_itself_or_the_same_patient(
    run: Run,
) -> None:
    own = shape("own", 30)
    train = [
        dialogue("same picture", own, "SELF", group="patient 1"),
        dialogue("same patient", shape("p1", 31), "PATIENT", group="patient 1"),
        dialogue("other", shape("p2", 12, disc=False), "OTHER"),
        dialogue("another", shape("p3", 14, disc=False), "OTHER"),
    ]
    ConceptNeighbours(ConceptNeighboursSettings()).fit(Lesson(train), run)
    model = ConceptNeighbours(ConceptNeighboursSettings()).load(run)
    asked = dialogue("q", own, group="patient 1")
    (guarded,) = model.predict([asked], Decoding())
    assert guarded.answer.concepts == ("OTHER",)
    assert {one.case for one in guarded.neighbours} == {"other", "another"}
    (unguarded,) = model.with_neighbours("unguarded").predict([asked], Decoding())
    assert "same patient" in {one.case for one in unguarded.neighbours}
    (swapped,) = model.with_neighbours("swapped").predict([asked], Decoding())
    assert "patient 1" not in {one.case for one in swapped.neighbours}


def test_the_threshold_is_chosen_on_validation(run: Run) -> None:
    train = [dialogue(f"d{n}", shape(f"d{n}", 20 + n), "DISC", "ROUND") for n in range(4)]
    train += [
        dialogue(f"s{n}", shape(f"s{n}", 20 + n, disc=False), "SQUARE", *["ROUND"] * (n == 0))
        for n in range(4)
    ]
    held_out = [dialogue("v", shape("v", 26), "DISC", "ROUND")]
    settings = ConceptNeighboursSettings(neighbours=8)
    ConceptNeighbours(settings).fit(Lesson(train, held_out), run)
    model = ConceptNeighbours(settings).load(run)
    (answer,) = model.predict(held_out, Decoding())
    # Of eight voters four are discs, so SQUARE has nearly as many votes as DISC.
    assert set(answer.answer.concepts or ()) == {"DISC", "ROUND"}


def test_files_that_are_wrong_are_refused(run: Run) -> None:
    train = [dialogue("a", shape("a", 20), "A"), dialogue("b", shape("b", 40), "B")]
    learner = ConceptNeighbours(ConceptNeighboursSettings())
    learner.fit(Lesson(train), run)
    path = run.weights / TABLE
    path.write_text(path.read_text().replace('"cases"', '"else"'))
    with pytest.raises(RunError, match="not the concepts of cases"):
        learner.load(run)
    with pytest.raises(ModelError, match="has a concept, at least 3 times"):
        ConceptNeighbours(ConceptNeighboursSettings(least=3)).fit(Lesson(train), run)
