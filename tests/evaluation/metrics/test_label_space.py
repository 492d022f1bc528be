"""What no label says, and exact matches among the rest, with the arithmetic beside the number."""

import pytest


def test_the_rate_outside_and_the_matches_inside(prediction, scored):
    rows = [
        prediction("yes", "Yes", name="right", scores={"yes": 0.6, "no": 0.4}),
        prediction("no", "yes", name="wrong", scores={"no": 0.6, "yes": 0.4}),
        prediction("no", "a cyst", name="outside", scores={"no": 0.6, "yes": 0.4, "a cyst": 0.0}),
        # one of two references is a label
        prediction("no", "cyst", "no", name="either", scores={"no": 1.0, "cyst": 0.0}),
    ]
    found = scored("label_space", *rows)
    assert found["label_space.outside"] == 1 / 4
    assert found["label_space.em_inside"] == pytest.approx(2 / 3)


def test_rows_that_do_not_tell_are_not_measured(prediction, scored):
    rows = [
        prediction("yes", "yes", name="no scores"),
        # the likeliest labels alone: the reference may or may not be among the others
        prediction("no", "cyst", name="cut short", scores={"no": 0.9, "yes": 0.1}),
        prediction("no", "cyst", "spleen", name="half", scores={"no": 0.9, "cyst": 0.0}),
        prediction("no", name="no reference", scores={"no": 1.0}),
        prediction("no", "cyst", name="told", scores={"no": 1.0, "cyst": 0.0}),
    ]
    assert scored("label_space", *rows)["label_space.outside"] == 1.0
