"""Curves and the confusion table of boxes, by hand."""

import numpy as np
import pytest

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.detection_plots import box_plots
from vesalius.evaluation.metrics.detection import Detection
from vesalius.evaluation.metrics.detection.curves import NOTHING, confusion, curves


def mass(score=None, at=0, label="mass", **more):
    return Box(at, 0, 10, 10, label, score=score, **more)


def image(said, wanted, name="a", **more):
    return Prediction(name, Answer(boxes=said), references=(Answer(boxes=wanted),), **more)


ROWS = [
    image((mass(0.9), mass(0.8, 50)), (mass(), mass(at=100)), "a"),
    image((mass(0.8, 50), mass(0.3, 0)), (mass(),), "b"),
]


def test_curves_by_hand_with_equal_scores_together():
    # .9 right; .8 twice false; .3 right. 3 masses, 2 images.
    found = curves(Detection().measure(ROWS))
    assert found.score.tolist() == [0.9, 0.8, 0.3]
    assert found.precision[0] == pytest.approx([1, 1 / 3, 2 / 4])
    assert found.recall[0] == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert found.f1[0] == pytest.approx([2 / 4, 2 / 6, 4 / 7])
    assert found.false[0] == pytest.approx([0, 1, 1])


def test_the_area_under_the_weighted_curve_is_wafroc():
    # Image a: .9 right of two masses; b: .3 right of one; c and d have none, c a box of .8.
    rows = [*ROWS, image((mass(0.8),), (), "c"), image((), (), "d")]
    found = curves(Detection().measure(rows))
    assert found.score.tolist() == [0.9, 0.8, 0.3]
    assert found.weighted[0] == pytest.approx([1 / 4, 1 / 4, 3 / 4])
    assert found.alarms[0] == pytest.approx([0, 1 / 2, 1 / 2])
    # From (0, 0) by these to (1, 1): 1/2 x 1/4, then 1/2 x (3/4 + 1) / 2 = .5625.
    across, up = np.array([0, *found.alarms[0], 1]), np.array([0, *found.weighted[0], 1])
    area = float(np.sum(np.diff(across) * (up[1:] + up[:-1]) / 2))
    metric = Detection()
    scored = metric.aggregate(metric.measure(rows), np.ones((1, 4)))
    assert area == pytest.approx(0.5625) == scored["detection.wafroc"][0]
    titles = [title for title, _, _ in box_plots(rows, ["detection"]).plots]
    assert titles[-1] == "Free response by image (wAFROC)"


def test_confusion_by_hand():
    crowd = mass(at=200, crowd=True)
    said = (mass(0.9, label="cyst"), mass(0.8, 50), mass(0.7, 200), mass(0.2, 100))
    (counts,) = confusion([image(said, (mass(), mass(at=100), crowd))], Detection())
    # a mass is taken for a cyst, one is missed (its box is not shown), a box is nowhere; the box
    # in the crowd counts nowhere
    assert counts == {("mass", "cyst"): 1, ("mass", NOTHING): 1, (NOTHING, "mass"): 1}
    (at_a_fifth,) = confusion(
        [image(said, (mass(), mass(at=100)), operating_point=0.2)], Detection()
    )
    assert at_a_fifth["mass", "mass"] == 1


def test_curves_of_drawn_images_are_those_of_the_images_as_often():
    table = Detection().measure(ROWS)
    found = curves(table, np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]]))
    whole, first, second = (
        curves(Detection().measure(rows)) for rows in (ROWS, ROWS[:1], ROWS[1:])
    )
    assert found.recall[0] == pytest.approx(whole.recall[0])
    # Image a alone, twice: .9 right, .8 false, of two masses each; nothing of .3 is in it.
    assert found.recall[1] == pytest.approx([1 / 2, 1 / 2, 1 / 2])
    assert found.precision[1][:2] == pytest.approx(first.precision[0])
    # Image b alone: .8 false, .3 right; from .9 on nothing is shown, so there is no precision.
    assert np.isnan(found.precision[2][0])
    assert found.precision[2][1:] == pytest.approx(second.precision[0])
    # 2 images, 1 false box in each: 1 an image.
    assert found.false[:, -1] == pytest.approx([1, 1, 1])


def test_counts_have_intervals_over_groups():
    # One image's two masses are both found, the other's is missed: drawn twice, the first alone
    # gives 4 and the second alone 0.
    rows = [
        image((mass(0.9), mass(0.8, 50)), (mass(), mass(at=50)), "a"),
        image((), (mass(),), "b"),
    ]
    count = box_plots(rows, ["detection"]).counts["mass", "mass"]
    assert (count.n, count.low, count.high) == (2, 0, 4)


def test_plots_say_where_there_are_no_negatives():
    found = box_plots(ROWS, ["detection"])
    assert [title for title, _, _ in found.plots] == ["Precision and recall", "F1", "Free response"]
    assert found.plots[2][1] == "no negatives: false boxes in images with findings"
    assert box_plots([*ROWS, image((), (), "n")], ["detection"]).plots[2][1] == ""
    assert found.classes == ["mass", NOTHING]


def test_nothing_is_drawn_where_no_box_can_be_judged():
    assert box_plots(ROWS, ["closed"]) is None
    assert box_plots([image((), (mass(),))], ["detection"]) is None
    assert box_plots([image((mass(0.5),), ())], ["detection"]) is None
    text = Prediction("a", Answer("yes"), references=(Answer("yes"),))
    assert box_plots([text], ["detection"]) is None
