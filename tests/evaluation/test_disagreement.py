"""How far answers lie apart, by hand."""

import pytest

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.disagreement import boxes_at_point, disagreement, most_contested


def said(*boxes, name="a", point=None, picture=None):
    return Prediction(name, Answer(boxes=boxes), operating_point=point, picture=picture)


def mass(at=0, score=None, label="mass"):
    return Box(at, 0, 10, 10, label, score=score)


def test_boxes_by_their_overlap():
    assert disagreement(said(), said()) == 0
    assert disagreement(said(mass()), said()) == 1
    assert disagreement(said(mass()), said(mass(label="cyst"))) == 1
    # IoU of boxes shifted by 5: 1/3, so 1 - 2/3 x 1/2 ... = 1 - 2 (1/3) / 2
    assert disagreement(said(mass()), said(mass(5))) == pytest.approx(2 / 3)
    # the nearest pair first: 1 and 0 overlap of 2 + 2 boxes
    pair = said(mass(), mass(50)), said(mass(), mass(90))
    assert disagreement(*pair) == disagreement(*reversed(pair)) == pytest.approx(1 / 2)


def test_only_boxes_that_are_shown_count():
    sure, unsure = mass(score=0.9), mass(50, score=0.3)
    assert boxes_at_point(said(unsure, sure)) == [sure]
    assert boxes_at_point(said(unsure, sure, point=0.3)) == [sure, unsure]
    assert disagreement(said(sure, unsure), said(sure)) == 0


def test_texts_by_their_words():
    yes, also, no = (Prediction("a", Answer(text)) for text in ("Yes.", "yes", "no"))
    assert disagreement(yes, also) == 0
    assert disagreement(yes, no) == 1
    assert disagreement(yes, said(mass())) == 0


def test_the_farthest_apart_come_first_and_no_picture_twice():
    first = [said(mass(), name=n, picture=p) for n, p in zip("abcd", "ppqr", strict=True)]
    second = [
        said(mass(5), name="a", picture="p"),
        said(mass(9), name="b", picture="p"),
        said(mass(2), name="c", picture="q"),
        said(mass(), name="d", picture="r"),
    ]
    assert most_contested([first, second], 9) == [1, 2]
    assert most_contested([first, second], 1) == [1]
