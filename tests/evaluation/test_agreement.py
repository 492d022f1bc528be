"""Agreement against published examples."""

from functools import partial
from math import isnan, nan

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from vesalius.errors import VesaliusError
from vesalius.evaluation.agreement import (
    brennan_prediger,
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


def test_categories_stay_those_of_all_units():
    # Nine units agree on 1, one is split. A resample without the split unit (0.9^10 = 35 % of
    # them) knows the category 0 no more, and yet it agrees fully: 1, not undefined.
    found = with_interval(PARADOX, gwet, resamples=400)
    assert found.low < found.value < found.high == 1
    # Weights 1 - gap / widest: [1, 5] apart makes 1 and 2 near. Without the unit of [1, 5] their
    # gap would be the widest and count as no agreement at all.
    far = np.array([[1.0, 5.0], [1.0, 2.0], [2.0, 2.0], [1.0, 1.0]])
    near = far[1:]
    # observed (.75 + 1 + 1) / 3; expected from shares 1/2 and 1/2: (1 + .75) / 2
    weighted = cohen(near, "linear", categories=np.array([1.0, 2.0, 5.0]))
    observed = (0.75 + 1 + 1) / 3
    first, second = (2 / 3, 1 / 3), (1 / 3, 2 / 3)
    expected = sum(
        a * b * (1 if i == j else 0.75) for i, a in enumerate(first) for j, b in enumerate(second)
    )
    assert weighted == pytest.approx((observed - expected) / (1 - expected))
    drawn = with_interval(far, partial(cohen, weighting="linear"), resamples=100)
    assert drawn.value == pytest.approx(cohen(far, "linear"))
    wider = partial(gwet, categories=np.array([0.0, 1.0, 2.0]))
    assert with_interval(PARADOX, wider, resamples=0).value == wider(PARADOX) != gwet(PARADOX)


def test_one_rater_is_refused():
    with pytest.raises(VesaliusError, match="two or more raters"):
        krippendorff(np.ones((4, 1)))


def test_krippendorff_of_ratios():
    """The 4 coders of Krippendorff (2011): .797."""
    assert round(krippendorff(FOUR, "ratio"), 3) == 0.797
    with pytest.raises(VesaliusError, match="below 0"):
        krippendorff(FOUR - 3, "ratio")


def test_brennan_prediger():
    """Of 10 pairs of raters 9 agree, by chance one half: (.9 - .5) / .5 = .8."""
    assert brennan_prediger(PARADOX) == pytest.approx(0.8)
    # The 4 coders: observed .8181..., five categories: (.81818 - .2) / .8 = .7727
    assert brennan_prediger(FOUR) == pytest.approx((raw(FOUR) - 0.2) / 0.8)
    assert isnan(brennan_prediger(np.ones((3, 2))))
    assert isnan(brennan_prediger(np.array([[1.0, nan], [nan, 2.0]])))
    # A third category that nobody used: chance is one third.
    three = np.array([0.0, 1.0, 2.0])
    assert brennan_prediger(PARADOX, categories=three) == pytest.approx((0.9 - 1 / 3) / (2 / 3))


def test_ordinal_weights():
    """Categories 1, 2, 3 by two raters, three units: (1,1), (1,2), (1,3).

    Weights 1 - C(d + 1, 2) / C(3, 2): 1, 2/3, 0. Observed (1 + 2/3 + 0) / 3 = .5556. All weights
    3 + 4 x 2/3 + 0 = 5.6667. Brennan-Prediger's chance 5.6667 / 9 = .6296: (.5556 - .6296) / .3704
    = -.2. Shares 4/6, 1/6, 1/6: 2/9 + 5/36 + 5/36 = .5; AC2's chance 5.6667 / 6 x .5 = .4722:
    (.5556 - .4722) / .5278 = .1579.
    """
    ratings = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    assert brennan_prediger(ratings, "ordinal") == pytest.approx(-0.2)
    assert gwet(ratings, "ordinal") == pytest.approx(0.1579, abs=1e-4)
