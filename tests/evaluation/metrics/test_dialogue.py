"""Turns right by dialogue, with the arithmetic beside the number."""

from __future__ import annotations

import numpy as np
import pytest

from vesalius.evaluation.evaluate import evaluate


def test_every_dialogue_counts_alike(prediction, scored):
    rows = [
        prediction("Yes, there is.", "yes", name="1", case="a", kind="closed"),  # right
        prediction("the left lung", "left lung", name="2", case="a"),  # right: SQuAD drops "the"
        prediction("mri", "ct", name="3", case="a"),  # wrong
        prediction("ct", "ct", name="4", case="b"),  # right
        prediction("anything", "a summary", name="5", case="b", category="summary"),  # no turn
        prediction("ct", name="6", case="b"),  # no reference
    ]
    found = scored("dialogue", *rows)
    # (2/3 + 1/1) / 2, not 3/4
    assert found["dialogue.right"] == pytest.approx(5 / 6)
    assert found["dialogue.all_right"] == 1 / 2


def test_answers_without_case_and_picture_are_no_dialogue(prediction):
    rows = [prediction("ct", "ct", name=str(i), group="patient-7") for i in range(3)]
    rows += [prediction("ct", "ct", name="4", group="patient-7", picture="a.png")]
    found = evaluate(rows, ["dialogue", "contradictions"], resamples=0)
    assert (found.score("dialogue.right").n, found.score("dialogue.right").value) == (1, 1)
    assert np.isnan(found.score("contradictions.pairs").value)
    assert found.counts == {"dialogue": {"apart": 3}, "contradictions": {"apart": 3}}
