"""Agreement against published examples."""

from math import isnan, nan

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from vesalius.errors import VesaliusError
from vesalius.evaluation.agreement import (
    cohen,
    fleiss,
    gwet,
    icc,
    krippendorff,
    raw,
    with_interval,
)


def table(*raters):
    said = [[nan if v == "*" else float(v) for v in rater.split()] for rater in raters]
    return np.array(said).T


# Krippendorff's example of 3 coders and 15 units
THREE = table(
    "* * * * * 3 4 1 2 1 1 3 3 * 3",
    "1 * 2 1 3 3 4 3 * * * * * * *",
    "* * 2 1 3 4 4 * 2 1 1 3 3 * 4",
)
# Krippendorff (2011), 4 coders and 12 units
FOUR = table(
    "1 2 3 3 2 1 4 1 2 * * *",
    "1 2 3 3 2 2 4 1 2 5 * 3",
    "* 3 3 3 2 3 4 2 2 5 1 *",
    "1 2 3 3 2 4 4 1 2 5 1 *",
)
# Shrout and Fleiss (1979), 6 targets and 4 judges
JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9],
                   [6, 2, 4, 7]], dtype=float)  # fmt: skip
# Two raters agree on 9 of 10 although one category is all but absent
PARADOX = np.array([[1.0, 1.0]] * 9 + [[1.0, 0.0]])


@pytest.mark.parametrize(
    ("ratings", "nominal", "ordinal", "metric", "digits"),
    [(THREE, 0.6914, 0.8067, 0.8108, 4), (FOUR, 0.743, 0.815, 0.849, 3)],
)
def test_krippendorff(ratings, nominal, ordinal, metric, digits):
    found = [krippendorff(ratings, s) for s in ("nominal", "ordinal", "interval")]
    assert [round(v, digits) for v in found] == [nominal, ordinal, metric]


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("1,1", 0.1657),
        ("A,1", 0.2898),
        ("C,1", 0.7148),
        ("1,k", 0.4428),
        ("A,k", 0.6201),
        ("C,k", 0.9093),
    ],
)
def test_icc(form, value):
    assert icc(JUDGES, form) == pytest.approx(value, abs=5e-5)


def test_kappa_paradox():
    assert raw(PARADOX) == 0.9
    # one rater never varies: expected agreement equals the observed one
    assert cohen(PARADOX) == pytest.approx(0)
    # share of the rare value .05: expected 2*.05*.95 = .095, (.9-.095)/.905
    assert gwet(PARADOX) == pytest.approx(0.8895, abs=5e-5)


@pytest.mark.parametrize("weighting", ["none", "linear", "quadratic"])
def test_cohen_equals_scikit_learn(weighting):
    rng = np.random.default_rng(2)
    pair = rng.integers(1, 6, (50, 2)).astype(float)
    weights = None if weighting == "none" else weighting
    theirs = cohen_kappa_score(pair[:, 0], pair[:, 1], weights=weights)
    assert cohen(pair, weighting) == pytest.approx(theirs)


def test_fleiss():
    # Fleiss (1971) by hand, 3 raters: (3,0), (2,1), (0,3): observed (1 + 1/3 + 1)/3,
    # expected (5/9)^2 + (4/9)^2
    ratings = np.array([[0, 0, 0], [0, 0, 1], [1, 1, 1]], dtype=float)
    expected = (25 + 16) / 81
    assert fleiss(ratings) == pytest.approx((7 / 9 - expected) / (1 - expected))


def test_ac2_gives_credit_to_neighbours():
    near = np.array([[1.0, 2], [2, 3], [3, 3], [5, 4]])
    assert gwet(near, "quadratic") > gwet(near, "none")


def test_perfect_agreement_is_one():
    same = np.array([[1.0, 1], [2, 2], [3, 3]])
    for coefficient in (raw, cohen, fleiss, krippendorff, gwet, icc):
        assert coefficient(same) == pytest.approx(1)


def test_nothing_to_agree_on():
    alone = np.array([[1.0, nan], [nan, 2.0]])
    for coefficient in (raw, cohen, fleiss, krippendorff, gwet, icc):
        assert isnan(coefficient(alone))
    assert isnan(krippendorff(np.ones((4, 2))))


def test_interval_over_units():
    found = with_interval(JUDGES, icc, resamples=200)
    assert found.low < found.value < found.high
    assert (found.units, found.raters) == (6, 4)


def test_one_rater_is_refused():
    with pytest.raises(VesaliusError, match="two or more raters"):
        krippendorff(np.ones((4, 1)))
