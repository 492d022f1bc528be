"""Which cases are shown."""

import numpy as np
import pytest
from PIL import Image

from vesalius.cases.case import Answer
from vesalius.cases.decoded import Decoded
from vesalius.cases.prediction import Confidence
from vesalius.cases.view import View
from vesalius.evaluation.gallery import choose, in_words, thumbnail


@pytest.fixture
def rows(prediction):
    sure = [0.5, 0.9, 0.7, 0.8, 0.6]
    return [
        prediction("x", "x", name=f"q{i}", picture=f"p{i}", confidence=Confidence(c, "stated"))
        for i, c in enumerate(sure)
    ]


def test_the_surest_right_and_the_surest_wrong(rows):
    chosen = choose(rows, np.array([1.0, 1.0, 0.0, 0.0, np.nan]), each=2, seed=0)
    assert chosen["best"] == [1, 0]
    assert chosen["worst"] == [3, 2]
    assert len(chosen["random"]) == 2


def test_all_right_has_no_worst(rows):
    chosen = choose(rows, np.ones(5), each=2, seed=0)
    assert (len(chosen["best"]), chosen["worst"]) == (2, [])


def test_all_wrong_has_no_best(rows):
    chosen = choose(rows, np.zeros(5), each=2, seed=0)
    assert (chosen["best"], len(chosen["worst"])) == ([], 2)


def test_nothing_measured(rows):
    chosen = choose(rows, np.full(5, np.nan), each=2, seed=0)
    assert chosen["best"] == chosen["worst"] == []


def test_a_picture_is_shown_once(prediction):
    rows = [prediction("x", name=str(i), picture="same") for i in range(3)]
    assert len(choose(rows, np.array([1.0, 1.0, 0.0]), each=3, seed=0)["best"]) == 1


def test_words():
    assert in_words(Answer(concepts=())) == "no concepts"
    assert in_words(Answer(boxes=())) == "no boxes"


def test_a_thumbnail_shows_the_frame_and_the_window_of_its_key(monkeypatch):
    views = []

    def decode(data, view):
        views.append(view)
        return Decoded(Image.new("RGB", (4, 4)), "dicom", 4, 4)

    monkeypatch.setattr("vesalius.evaluation.gallery.decode", decode)
    for key in ("a", "a#frame=3", "a#frame=3#window=-600,1500"):
        thumbnail(key, lambda key: b"x")
    assert views == [View(), View(3), View(3, (-600.0, 1500.0))]


def test_no_picture():
    assert thumbnail(None, lambda key: b"x") is None
    assert thumbnail("p", lambda key: b"no picture at all") is None
