"""Where the surest box lies: the arithmetic of four scores, and what is not measured."""

import numpy as np
import pytest

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.metrics.localisation import Localisation

SIZE = {"p": (100, 200)}


def image(said, wanted, name="a", **more):
    return Prediction(name, said, references=(Answer(boxes=wanted),), picture="p", **more)


def boxes(*ones):
    return Answer(boxes=ones)


def placed(*rows):
    metric = Localisation(sizes=SIZE)
    values = metric.aggregate(metric.measure(rows), np.ones((1, len(rows))))
    return [float(values[f"localisation.{k}"][0]) for k in ("iou", "centre", "quadrant", "side")]


def test_by_hand():
    truth = (Box(10, 10, 20, 20, "mass"),)  # the upper left quarter of 100 x 200
    # moved by 10: 10 x 20 of 2 x 400 - 200 = 1/3; its centre (30, 20) is on the edge, so in it
    assert placed(image(boxes(Box(20, 10, 20, 20, "mass")), truth)) == pytest.approx(
        [1 / 3, 1, 1, 1]
    )
    # lower left: another quadrant, the same side
    assert placed(image(boxes(Box(10, 150, 20, 20, "mass")), truth)) == [0, 0, 0, 1]
    # right half; a centre on the middle line counts as right and as lower
    assert placed(image(boxes(Box(40, 90, 20, 20, "mass")), truth)) == [0, 0, 0, 0]


def test_the_surest_box_counts_whatever_its_score_and_class():
    truth = (Box(10, 10, 20, 20, "mass"),)
    sure, unsure = Box(70, 150, 9, 9, "mass", score=0.2), Box(10, 10, 20, 20, "cyst", score=0.3)
    assert placed(image(boxes(sure, unsure), truth)) == [1, 1, 1, 1]


def test_no_box_is_nothing_right_and_text_is_not_measured():
    truth = (Box(10, 10, 20, 20, "mass"),)
    assert placed(image(boxes(), truth)) == [0, 0, 0, 0]
    assert placed(image(Answer("unsure"), truth, abstained=True)) == [0, 0, 0, 0]
    assert np.isnan(placed(image(Answer("left"), truth))).all()


def test_images_without_findings_and_crowds_are_left_out():
    crowd = Box(0, 0, 90, 90, "mass", crowd=True)
    rows = [
        image(boxes(Box(0, 0, 9, 9, "mass")), due, str(i)) for i, due in enumerate([(), (crowd,)])
    ]
    assert np.isnan(placed(*rows)).all()


def test_without_sizes_quadrants_are_not_measured_and_say_why():
    row = image(boxes(Box(10, 10, 20, 20, "mass")), (Box(10, 10, 20, 20, "mass"),))
    found = evaluate([row], ["localisation"], resamples=0)
    assert found.score("localisation.centre").value == 1
    side = found.in_words(found.score("localisation.side"))
    assert side == "not measured: the sizes of the pictures are not known"
