"""A mean of few experts' grades and many of a judge's: its arithmetic, and what it covers."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t

from vesalius.errors import VesaliusError
from vesalius.evaluation.judging.experts import calibrated
from vesalius.evaluation.prediction_powered import powered_mean

NAN = float("nan")
TRUE_MEAN = 1.0


def test_the_arithmetic() -> None:
    # Experts: 1, 3 where the judge says 2, 4; the judge alone: 5, 7. Each row is its own group.
    truth, guess = np.array([1.0, 3, NAN, NAN]), np.array([2.0, 4, 5, 7])
    groups = np.arange(4)
    # Relying on it wholly: 2 + (6 - 3) = 5. Parts: experts (1 - 2)/2 and (3 - 2)/2 = -+.5, less the
    # judge's own (2 - 3)/2 and (4 - 3)/2 = -+.5: 0, 0; the others (5 - 6)/2 and (7 - 6)/2 = -+.5.
    # Error sqrt(2 / (2 - 1) * (.25 + .25)) = 1, Student's t of 1 degree.
    whole = powered_mean(truth, guess, groups, tuning=1.0)
    assert whole.value == pytest.approx(5)
    assert whole.high - whole.value == pytest.approx(t.ppf(0.975, 1))
    # Not at all: the experts' own mean, error sqrt(2 * (.25 + .25)) = 1 again.
    alone = powered_mean(truth, guess, groups, tuning=0.0)
    assert (alone.value, alone.low) == (2, pytest.approx(2 - t.ppf(0.975, 1)))
    # a = (-.5, .5, 0, 0), b = (.5, -.5, -.5, .5): tuning = -ab/bb = .5 / 1; parts are then
    # (-.25, .25, -.25, .25), the error sqrt(2 * 4 * .0625) = .7071, and the mean 2 + .5 * 3.
    best = powered_mean(truth, guess, groups)
    assert (best.tuning, best.value) == (pytest.approx(0.5), pytest.approx(3.5))
    assert best.high - best.value == pytest.approx(t.ppf(0.975, 1) * sqrt(0.5))


def test_a_useless_judge_is_left_aside_and_a_perfect_one_counts_wholly() -> None:
    rng = np.random.default_rng(0)
    grades = rng.normal(size=4000)
    truth = np.where(np.arange(4000) < 100, grades, NAN)
    groups = np.arange(4000)
    alone = powered_mean(truth, grades, groups, tuning=0.0)
    perfect = powered_mean(truth, grades, groups)
    # n/(n + N) of the others' help is lost: 1/(1 + 100/3900) = .975
    assert perfect.tuning == pytest.approx(0.975, abs=0.02)
    assert perfect.high - perfect.low < 0.25 * (alone.high - alone.low)
    constant = powered_mean(truth, np.ones(4000), groups)
    assert (constant.tuning, constant.value) == (0, alone.value)


def test_groups_of_several_rows_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    patients = np.repeat(rng.normal(size=100), 5)
    truth = np.where(np.arange(500) < 250, patients, NAN)
    apart = powered_mean(truth, patients, np.arange(500))
    together = powered_mean(truth, patients, np.repeat(np.arange(100), 5))
    # five equal rows count as one: an interval sqrt(5) = 2.24 times as wide, and t of fewer degrees
    ratio = (together.high - together.low) / (apart.high - apart.low)
    assert 2.1 < ratio < 2.5


def test_what_cannot_be_told() -> None:
    with pytest.raises(VesaliusError, match="some grades of experts"):
        powered_mean(np.array([NAN, NAN]), np.array([1.0, 2]), np.arange(2))
    with pytest.raises(VesaliusError, match="the judge's of every answer"):
        powered_mean(np.array([1.0, NAN]), np.array([1.0, NAN]), np.arange(2))
    lone = powered_mean(np.array([1.0, NAN]), np.array([1.0, 2]), np.arange(2))
    assert np.isnan([lone.low, lone.high]).all()
    everyone = powered_mean(np.array([1.0, 2]), np.array([5.0, 9]), np.arange(2))
    assert (everyone.value, everyone.tuning) == (1.5, 0)


def cohort(rng: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """40 of 200 patients with two answers each are graded by experts; the judge is too kind.

    A patient's answers share half of their variance. Experts grade around TRUE_MEAN, the judge on
    its own scale: .6 higher, and with an error of its own.
    """
    groups = np.repeat(np.arange(200), 2)
    quality = (
        TRUE_MEAN + rng.normal(size=200)[groups] * sqrt(0.5) + rng.normal(size=400) * sqrt(0.5)
    )
    judge = 0.6 + quality + rng.normal(size=400) * 0.5
    truth = np.where(groups < 40, quality, NAN)
    return truth, judge, groups


def covers(low: float, high: float) -> bool:
    return low <= TRUE_MEAN <= high


@pytest.mark.parametrize("calibrate", [False, True])
def test_the_corrected_interval_of_a_biased_judge_covers_and_the_raw_one_does_not(
    calibrate: bool,
) -> None:
    # A share of .95 of 600 has a standard error of sqrt(.95 * .05 / 600) = .009, so .93 is more
    # than two of them below. The raw mean is off by .6, and its standard error at most .1.
    rng = np.random.default_rng(2)
    corrected, raw, narrower = [], [], []
    for _ in range(600):
        truth, judge, groups = cohort(rng)
        guess = calibrated(judge, truth, groups) if calibrate else judge
        mean = powered_mean(truth, guess, groups)
        alone = powered_mean(truth, guess, groups, tuning=0.0)
        plain = powered_mean(judge, judge, groups)
        corrected.append(covers(mean.low, mean.high))
        raw.append(covers(plain.low, plain.high))
        narrower.append((mean.high - mean.low) / (alone.high - alone.low))
    assert np.mean(corrected) >= 0.93
    assert np.mean(raw) < 0.5
    assert np.mean(narrower) < 0.85
