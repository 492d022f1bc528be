from __future__ import annotations

import json
import math

import pytest

from vesalius.cases.case import NOTHING, Answer, Box, Case, Question, Source
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Confidence, MemberAnswer, Neighbour, Prediction, Reason
from vesalius.errors import DatasetError, RunError


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.1, 57.0])
def test_a_score_of_a_box_is_from_nought_to_one(score):
    with pytest.raises(DatasetError, match="a box's score is from 0 to 1"):
        Box(0, 0, 1, 1, "cyst", score=score)


@pytest.mark.parametrize("place", [(math.nan, 0, 1, 1), (0, -math.inf, 1, 1), (0, 0, math.inf, 1)])
def test_the_numbers_of_a_box_are_finite(place):
    with pytest.raises(DatasetError, match="not finite"):
        Box(*place, "cyst")


@pytest.mark.parametrize("size", [(0, 3), (3, 0), (-1, 3), (float("nan"), 3)])
def test_a_box_has_a_size(size):
    with pytest.raises(DatasetError, match="positive size"):
        Box(0, 0, *size, label="nodule")


def test_an_answer_says_something():
    with pytest.raises(DatasetError, match="text, boxes or concepts"):
        Answer()
    assert Answer(boxes=()).boxes == ()  # "none present" is an answer, and not "not annotated"
    assert Answer(text="").text == ""


@pytest.mark.parametrize(("name", "group"), [("", "p"), ("a", "")])
def test_a_case_has_an_id_and_a_group(name, group):
    with pytest.raises(DatasetError, match=r"rows\.csv row 3: .*an id and a group"):
        Case(name, group, (), source=Source("rows.csv", 3))


def test_what_was_not_annotated_is_none():
    case = Case("a", "p", ())
    assert (case.caption, case.boxes, case.concepts, case.modality) == (None,) * 4
    assert (case.questions, case.context) == ((), {})


def test_nouns_never_change():
    case = Case("a", "p", ())
    with pytest.raises(AttributeError):
        case.id = "b"
    with pytest.raises(TypeError):
        NOTHING["indication"] = "cough"


def test_a_source_reads_as_a_place():
    assert str(Source("rows.csv")) == "rows.csv"
    assert str(Source("rows.csv", 3)) == "rows.csv row 3"


def asked(text: str, answer: str | None = None, picture: str | None = None) -> Turn:
    answers = () if answer is None else (Answer(answer),)
    pictures = () if picture is None else (Picture(picture, lambda: b""),)
    return Turn(Question(text, answers=answers), pictures)


def test_a_dialogue_has_turns_and_only_the_last_is_open():
    with pytest.raises(DatasetError, match="at least one turn"):
        Dialogue("d", (), "p")
    with pytest.raises(DatasetError, match="only the last turn"):
        Dialogue("d", (asked("one"), asked("two")), "p")


def test_the_last_question_is_the_one_to_answer():
    first = Turn(Question("plane?"), (Picture("a", lambda: b""),), Answer("axial"))
    dialogue = Dialogue("d", (first, asked("organ?", "brain", "b")), "p")
    assert dialogue.question.text == "organ?"
    assert [picture.key for picture in dialogue.pictures] == ["a", "b"]


def test_closing_takes_the_first_reference_and_opening_takes_it_away():
    dialogue = Dialogue("d", (asked("organ?", "brain"),), "p")
    closed = dialogue.closed()
    assert closed.turns[-1].reply == Answer("brain")
    assert closed.closed() is closed
    assert closed.replying(None) == dialogue
    with pytest.raises(DatasetError, match="no reference answer"):
        Dialogue("d", (asked("organ?"),), "p").closed()


def test_evidence_of_every_kind_survives_a_row() -> None:
    evidence = (
        Neighbour("c", 0.5),
        MemberAnswer("nano", Answer("no"), Confidence(0.5, "vote")),
        Reason("judge", "says so", 0.2),
    )
    prediction = Prediction("a", Answer("x"), evidence=evidence)
    assert Prediction.from_row(json.loads(json.dumps(prediction.to_row()))) == prediction
    assert prediction.neighbours == evidence[:1]
    assert prediction.member_answers == evidence[1:2]


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"case": "x"}, r"evidence\.0\.similarity: Field required"),
        ({"member": "x"}, r"evidence\.0\.answer: Field required"),
        ({"judge": 1, "text": "a"}, r"evidence\.0\.judge: it should be"),
    ],
)
def test_evidence_that_is_none_names_its_field(row: dict[str, object], match: str) -> None:
    with pytest.raises(RunError, match=match):
        Prediction.from_row({"id": "a", "answer": "b", "evidence": [row]})


def test_a_prediction_is_told_of_the_dialogue_that_was_really_asked() -> None:
    asked = Dialogue("a", (Turn(Question("what?", answers=(Answer("ct"),))),), "g", case="c")
    other = Dialogue("b", (Turn(Question("examples, then: what?")),), "h")
    sure = Confidence(0.5, "half")
    given = Prediction.of(other, Answer("mr"), confidence=sure, finish="stop", notes={"shots": 2})
    own = given.as_of(asked)
    assert (own.id, own.question, own.group, own.case) == ("a", "what?", "g", "c")
    assert own.references == (Answer("ct"),)
    assert (own.answer, own.confidence, own.finish) == (Answer("mr"), sure, "stop")
    assert Prediction.from_row(own.to_row()) == own
    assert own.to_row()["notes"] == {"shots": 2}
    assert "notes" not in Prediction.of(asked, Answer("ct")).to_row()
