"""Platt scaling: the share that is right, in the order of the scores."""

from __future__ import annotations

import numpy as np
import pytest

from vesalius.models.platt import PlattScaling


def test_calibration_gives_the_share_that_is_right_and_keeps_the_order() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.01, 0.99, 4000)
    right = rng.uniform(size=4000) < scores**3  # sure of itself: .5 is right once in eight
    calibrated = PlattScaling.fitted(scores, right)(scores)
    assert abs(calibrated.mean() - right.mean()) < 0.01
    middle = np.abs(scores - 0.5) < 0.05
    assert calibrated[middle].mean() == pytest.approx(right[middle].mean(), abs=0.06)
    assert (np.argsort(calibrated, kind="stable") == np.argsort(scores, kind="stable")).all()


def test_too_few_calibrate_nothing() -> None:
    assert PlattScaling.fitted(np.full(30, 0.9), np.array([True] * 30)) is None
