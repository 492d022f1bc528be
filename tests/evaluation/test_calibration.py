"""Calibration, against hand arithmetic and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from vesalius.evaluation import calibration

SAID = np.array([0.9, 0.9, 0.6, 0.2])
RIGHT = np.array([1.0, 0.0, 1.0, 0.0])
ONE = np.ones((1, 4))


def test_ece():
    # bins (.8667,.9333]: .9 against .5, gap .4 twice; .6 against 1, gap .4; .2 against 0, gap .2
    assert calibration.ece(SAID, RIGHT, ONE) == pytest.approx([(2 * 0.4 + 0.4 + 0.2) / 4])


def test_bins_are_open_below():
    # 1.0 and 14.5/15 share the last of 15 bins; 0 is in the first
    bars = calibration.reliability(np.array([0.0, 14.5 / 15, 1.0]), np.array([0.0, 1.0, 1.0]))
    assert [(bar.n, bar.low) for bar in bars] == [(1, 0.0), (2, 14 / 15)]


def test_adaptive_ece_with_two_bins():
    # halves by mass: {.2, .6}: .8 against 1 -> gap .2/4; {.9, .9}: 1.8 against 1 -> .8/4
    assert calibration.adaptive_ece(SAID, RIGHT, ONE, bins=2) == pytest.approx([0.25])


def test_brier_and_auroc_against_scikit_learn():
    rng = np.random.default_rng(1)
    said = np.round(rng.random(200), 2)  # with ties
    right = (rng.random(200) < said).astype(float)
    one = np.ones((1, 200))
    assert calibration.brier(said, right, one) == pytest.approx([brier_score_loss(right, said)])
    assert calibration.auroc(said, right, one) == pytest.approx([roc_auc_score(right, said)])


def test_auroc_needs_both_outcomes():
    assert np.isnan(calibration.auroc(SAID, np.ones(4), ONE))[0]


def test_aurc():
    # most confident first; the tie at .9 is answered together: risks 1/2 (mass 2), 1/3, 1/2
    expected = (2 * 1 / 2 + 1 / 3 + 1 / 2) / 4
    assert calibration.aurc(SAID, RIGHT, ONE) == pytest.approx([expected])
    coverage, risk = calibration.risk_coverage(SAID, RIGHT)
    assert coverage == pytest.approx([0.5, 0.75, 1.0])
    assert risk == pytest.approx([1 / 2, 1 / 3, 1 / 2])


def test_mce():
    # the gaps of test_ece: .4, .4 and .2
    assert calibration.mce(SAID, RIGHT, ONE) == pytest.approx([0.4])


def test_nll_and_auprc_against_scikit_learn():
    rng = np.random.default_rng(2)
    said = np.round(rng.random(200), 2)  # with ties, 0 and 1 among them
    right = (rng.random(200) < said).astype(float)
    one = np.ones((1, 200))
    clipped = np.clip(said, 1e-7, 1 - 1e-7)
    assert calibration.nll(said, right, one) == pytest.approx([log_loss(right, clipped)], rel=1e-6)
    wanted = average_precision_score(right, said)
    assert calibration.auprc(said, right, one) == pytest.approx([wanted])
    drawn = rng.integers(0, 3, (1, 200)).astype(float)
    wanted = average_precision_score(right, said, sample_weight=drawn[0])
    assert calibration.auprc(said, right, drawn) == pytest.approx([wanted])


def test_sure_and_wrong_is_bounded():
    # -ln(1e-7) = 16.118
    assert calibration.nll(np.ones(1), np.zeros(1), np.ones((1, 1))) == pytest.approx(
        [16.118], abs=1e-3
    )


def plain_adaptive_ece(said, right, weights, bins):
    """Answer by answer: each run of ties goes to the bin that holds the middle of its mass."""
    gaps, before, everything = [0.0] * bins, 0.0, weights.sum()
    for value in sorted(set(said), reverse=True):
        at = said == value
        mass = weights[at].sum()
        if mass:
            place = np.ceil((2 * before + mass) * bins / (2 * everything)) - 1
            gaps[int(place)] += mass * value - (weights * right)[at].sum()
        before += mass
    return sum(map(abs, gaps)) / everything


@pytest.mark.parametrize("digits", [1, 2, 15])
def test_adaptive_ece_of_resamples_against_a_plain_loop(digits):
    rng = np.random.default_rng(digits)
    said = np.round(rng.random(150), digits)
    right = (rng.random(150) < said).astype(float)
    weights = rng.integers(0, 3, (500, 150)).astype(float)  # more than are summed at once
    weights[7] = 0
    weights[7, 3] = 5  # all in one bin, the others empty
    wanted = [plain_adaptive_ece(said, right, row, 15) for row in weights]
    assert calibration.adaptive_ece(said, right, weights) == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["auroc", "auprc", "aurc", "ece", "mce"])
def test_a_weight_is_as_often_an_answer(name):
    rng = np.random.default_rng(3)
    said = np.round(rng.random(150), 2)
    right = (rng.random(150) < said).astype(float)
    weights = rng.integers(0, 3, (500, 150)).astype(float)
    function = getattr(calibration, name)
    for row in (0, 399, 400, 499):
        times = weights[row].astype(int)
        drawn = [np.repeat(one, times) for one in (said, right)]
        alone = function(*drawn, np.ones((1, times.sum())))
        assert function(said, right, weights)[row] == pytest.approx(alone[0])


def test_pairs_outgrow_no_whole_number():
    # 80,000 right before 80,000 wrong: 6.4e9 pairs
    said, right = np.array([0.9, 0.1]), np.array([1.0, 0.0])
    assert calibration.auroc(said, right, np.full((1, 2), 80_000.0)) == pytest.approx([1.0])


NAMES = ["ece", "adaptive_ece", "mce", "brier", "nll", "auroc", "auprc", "aurc"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_drawn_is_nan(name):
    function = getattr(calibration, name)
    assert np.isnan(function(SAID, RIGHT, np.zeros((1, 4)))).all()
    assert np.isnan(function(np.zeros(0), np.zeros(0), np.ones((1, 0)))).all()
