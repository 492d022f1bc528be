"""A region with many survives our rows, and rows without the field are as they were."""

import pytest

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError

ONE, MANY = Box(1, 2, 3, 4, "cell"), Box(5, 6, 7, 8, "cell", crowd=True)


def test_a_prediction_row_says_crowd_only_of_a_crowd():
    prediction = Prediction("p1", Answer(boxes=(ONE,)), references=(Answer(boxes=(ONE, MANY)),))
    row = prediction.to_row()
    assert row["answer"]["boxes"] == [{"x": 1, "y": 2, "width": 3, "height": 4, "label": "cell"}]
    assert row["references"][0]["boxes"][1]["crowd"] is True
    assert Prediction.from_row(row) == prediction


def test_a_crowd_that_is_no_truth_value_is_refused():
    row = {"id": "p1", "answer": {"boxes": [{"x": 1, "y": 2, "width": 3, "height": 4}]}}
    row["answer"]["boxes"][0] |= {"label": "cell", "crowd": "many"}
    with pytest.raises(RunError, match=r"answer.boxes.0.crowd"):
        Prediction.from_row(row)
