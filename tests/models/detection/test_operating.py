"""The operating point: chosen on validation, safe with ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from vesalius.cases.case import Box
from vesalius.errors import RunError
from vesalius.models.detection.operating import Aim, OperatingPoint, matched


def test_a_true_box_is_matched_once_by_the_surest_of_its_class() -> None:
    truth = [Box(0, 0, 10, 10, "a"), Box(40, 40, 10, 10, "b")]
    boxes = [
        Box(0, 0, 10, 11, "a", score=0.9),  # IoU 100 / 110
        Box(0, 0, 10, 10, "a", score=0.8),  # its true box is taken
        Box(40, 40, 10, 10, "a", score=0.7),  # of another class
        Box(40, 40, 10, 25, "b", score=0.6),  # IoU 100 / 250
        Box(40, 40, 10, 20, "b", score=0.5),  # IoU 100 / 200
    ]
    assert matched(boxes, truth) == [True, False, False, False, True]


def test_nobody_can_tell_of_a_box_in_a_crowd() -> None:
    crowd = Box(0, 0, 10, 10, "a", crowd=True)
    half, less = Box(5, 0, 10, 10, "a", score=0.9), Box(6, 0, 10, 10, "a", score=0.8)
    other = Box(0, 0, 5, 5, "b", score=0.7)
    assert matched([half, less, other], [crowd]) == [None, False, False]
    assert matched([half], [crowd, Box(5, 0, 10, 10, "a")]) == [True]


SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.2])
RIGHT = np.array([True, True, False, True, False])
"""Of four true boxes in two images; one is never seen."""


NOT_REACHED = ": not reached, every box is shown"


@pytest.mark.parametrize(
    ("aim", "threshold", "value"),
    [
        # F1 = 2 right / (shown + 4): .4, .667, .571, .75, .667
        (Aim(), 0.4, 0.75),
        # right / 4: .25, .5, .5, .75, .75
        (Aim(best="sensitivity", at=0.5), 0.75, 0.5),
        (Aim(best="sensitivity", at=0.9), 0.1, 0.75),  # never reached: everything is shown
        # wrong / 2 images: 0, 0, .5, .5, 1
        (Aim(best="false_alarms", at=0.5), 0.4, 0.5),
        (Aim(best="false_alarms", at=0.2), 0.75, 0.0),
    ],
)
def test_the_point_by_its_aim(aim: Aim, threshold: float, value: float) -> None:
    point = OperatingPoint.chosen(aim, SCORES, RIGHT, 4, 2)
    assert (point.threshold, point.value) == (pytest.approx(threshold), pytest.approx(value))
    reached = value >= (aim.at or 0) if aim.best == "sensitivity" else True
    assert point.aim == f"{aim} on validation" + ("" if reached else NOT_REACHED)


def test_too_many_false_alarms_at_every_score_show_nothing() -> None:
    few = Aim(best="false_alarms", at=0.1)
    point = OperatingPoint.chosen(few, np.array([0.9]), np.array([False]), 1, 1)
    assert point.threshold > 0.9
    assert point.aim == "false_alarms 0.1 on validation: no box is shown"


def test_false_alarms_are_chosen_by_negatives_alone() -> None:
    # four negatives with boxes of .9, .6 and .2: from .4 on two false boxes in four images
    point = OperatingPoint.chosen(
        Aim(best="false_alarms", at=0.5), np.array([0.9, 0.6, 0.2]), np.zeros(3, np.bool_), 0, 4
    )
    assert (point.threshold, point.value) == (pytest.approx(0.4), 0.5)


def test_the_best_f1_of_nothing_says_so() -> None:
    point = OperatingPoint.chosen(Aim(), np.array([0.9]), np.array([False]), 1, 1)
    assert (point.aim, point.value) == ("f1 on validation: no box was right", 0.0)


def test_equal_scores_stay_together() -> None:
    """Trap: a threshold in the middle of ties shows what it was not chosen for."""
    scores, right = np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, True, False, False])
    # shown 1: 2 / (1 + 2) = .667; shown 4: 4 / (4 + 2) = .667; never two of the three equal ones,
    # which would be 4 / (2 + 2) = 1
    assert OperatingPoint.chosen(Aim(), scores, right, 2, 1).value == pytest.approx(2 / 3)


def test_without_validation_boxes_nothing_is_chosen() -> None:
    point = OperatingPoint.chosen(Aim(), np.zeros(0), np.zeros(0, np.bool_), 0, 3)
    assert (point.threshold, point.aim) == (0.5, "f1: no validation boxes")
    assert OperatingPoint.read(point.table(), "x") == point
    with pytest.raises(RunError, match="not an operating point"):
        OperatingPoint.read({"threshold": 0.5}, "x")


@pytest.mark.parametrize("said", [{"best": "sensitivity"}, {"at": 0.5},
                                  {"best": "sensitivity", "at": 2}])  # fmt: skip
def test_an_aim_has_a_number_where_it_wants_one(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Aim(**said)
