from __future__ import annotations

import math

import pytest

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.errors import ModelError
from vesalius.models.label_space import LabelSpace, PicturedQuestion, pictured_questions

SPACE = LabelSpace.of(["Yes", "yes", "Yes ", "no", "left  lung", "liver", "heart", "brain"])


def put(*answers: str, picture=None) -> Dialogue:
    question = Question("what?", answers=tuple(Answer(text=text) for text in answers))
    return Dialogue("d", (Turn(question, (picture,)),), "g")


def test_labels_are_sorted_and_spelled_as_most_often() -> None:
    assert SPACE.names == ("brain", "heart", "left  lung", "liver", "no", "Yes")
    assert [SPACE.place(text) for text in ("YES", "left lung", "the liver", "")] == [
        5,
        2,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("answers", "message"),
    [([], "no training answer:"), (["Yes", "yes "], r"no training answer but 'Yes'.*two")],
)
def test_nothing_to_tell_apart_is_refused(answers: list[str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        LabelSpace.of(answers)


def test_every_answered_turn_that_shows_a_picture_is_asked(draw) -> None:
    early, late = draw("early"), draw("late")
    said, boxes = Answer(text="no"), Answer(boxes=())
    turns = (
        Turn(Question("before any picture", answers=(said,)), (), said),
        Turn(Question("of the first", answers=(said, boxes, Answer(text="none"))), (early,), said),
        Turn(Question("of boxes alone", answers=(boxes,)), (), said),
        Turn(Question("of the second", answers=(said,)), (late,)),
    )
    assert pictured_questions([Dialogue("d", turns, "g")]) == [
        PicturedQuestion("d", "of the first", ("no", "none"), early),
        PicturedQuestion("d", "of the second", ("no",), late),
    ]


def test_an_empty_reference_is_refused_by_name(draw) -> None:
    with pytest.raises(ModelError, match=r"^d: .*empty reference"):
        pictured_questions([put("yes", " \t", picture=draw("one"))])


def test_unknown_rate_counts_questions_that_no_label_answers(draw) -> None:
    picture = draw("one")
    found = pictured_questions(
        [put(*a, picture=picture) for a in (["yes"], ["spleen"], ["spleen", "liver"])]
    )
    assert SPACE.unknown_rate(found) == pytest.approx(1 / 3)
    assert math.isnan(SPACE.unknown_rate([]))


def test_agreement_is_as_vqa_accuracy_has_it() -> None:
    yes, no = SPACE.place("yes"), SPACE.place("no")
    # ten annotators: 0.3 * 10 = 3 suffice; seven are more, two are 2/3, an unknown one is no label
    ten = ["yes"] * 7 + ["no"] * 2 + ["spleen"]
    assert SPACE.agreement(ten) == {yes: 1.0, no: pytest.approx(2 / 3)}
    # five: 0.3 * 5 = 1.5 suffice, one is 2/3; of two each is right
    assert SPACE.agreement(["yes"] * 4 + ["no"]) == {yes: 1.0, no: pytest.approx(2 / 3)}
    assert SPACE.agreement(["yes", "no"]) == {yes: 1.0, no: 1.0}


def test_scores_list_the_likeliest_and_the_references(draw) -> None:
    #          brain heart left liver no  Yes
    shares = [0.05, 0.30, 0.25, 0.20, 0.15, 0.05]
    dialogue = put("YES", "spleen", picture=draw("one"))
    found = SPACE.prediction(dialogue, shares, "softmax probability")
    assert (found.text, found.confidence.value) == ("heart", 0.30)
    # five of six, of equal ones the first; then the reference that is a label, and the other at 0
    assert list(found.scores.items()) == [
        ("heart", 0.30),
        ("left  lung", 0.25),
        ("liver", 0.20),
        ("no", 0.15),
        ("brain", 0.05),
        ("Yes", 0.05),
        ("spleen", 0.0),
    ]
