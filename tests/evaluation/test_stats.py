"""Intervals and tests, against hand arithmetic and scipy."""

from math import isnan

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import bootstrap as scipy_bootstrap

from vesalius.errors import VesaliusError
from vesalius.evaluation.stats import (
    bca,
    bootstrap,
    clusters,
    exact,
    exchanged,
    holm,
    interval,
    jackknife,
    mcnemar,
    paired_wilson,
    randomisation,
    resampled,
    wilson,
)


def mean_of(column):
    return lambda weights: {"mean": weights @ column / weights.sum(axis=1)}


def test_whole_groups_are_drawn():
    groups = clusters(["b", "a", "b", "c"])
    weights = np.concatenate(list(resampled(groups, 500, seed=1)))
    assert weights.shape == (500, 4)
    assert (weights[:, 0] == weights[:, 2]).all()  # both of "b"
    # three groups drawn three times: group sizes 2, 1, 1 -> between 3 and 6 rows
    drawn = weights[:, 1] + weights[:, 3] + weights[:, 0]
    assert (drawn == 3).all()


def test_seed_decides():
    groups = clusters(list("abcdef"))
    one, same, other = (np.concatenate(list(resampled(groups, 9, s))) for s in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_bootstrap_of_a_mean_has_the_standard_error():
    rng = np.random.default_rng(0)
    column = rng.normal(size=400)
    drawn = bootstrap(mean_of(column), clusters([str(i) for i in range(400)]), 2000)["mean"]
    assert drawn.std() == pytest.approx(column.std() / 20, rel=0.08)  # sd / sqrt(400)
    low, high = interval(drawn)
    assert low < column.mean() < high


def test_clusters_widen_the_interval():
    # ten copies of each answer are no new evidence
    column = np.repeat(np.random.default_rng(0).random(30), 10)
    names = np.repeat([str(i) for i in range(30)], 10).tolist()
    together = bootstrap(mean_of(column), clusters(names), 1000)["mean"].std()
    apart = bootstrap(mean_of(column), clusters([str(i) for i in range(300)]), 1000)["mean"].std()
    assert together > 2.5 * apart


def test_interval_without_values():
    assert all(isnan(v) for v in interval(np.full(10, np.nan)))
    assert all(isnan(v) for v in interval(np.zeros(0)))


def test_exchange_keeps_groups_whole():
    swap = np.concatenate(list(exchanged(clusters(["a", "b", "a"]), 100, seed=0)))
    assert (swap[:, 0] == swap[:, 2]).all()
    assert 20 < swap[:, 1].sum() < 80


def test_randomisation_of_two_groups():
    # A is right and B wrong in both groups: gaps of the 4 exchanges are 1, 0, 0, 1: p near 1/2
    stacked = np.array([1.0, 1, 0, 0])
    found = randomisation(mean_of(stacked), clusters(["a", "b"]), 4000)["mean"]
    assert found == pytest.approx(0.5, abs=0.04)


def test_randomisation_of_equals_is_one():
    stacked = np.array([1.0, 0, 1, 1.0, 0, 1])
    assert randomisation(mean_of(stacked), clusters(["a", "b", "c"]), 99)["mean"] == 1.0


def test_randomisation_never_says_nought():
    stacked = np.concatenate([np.ones(40), np.zeros(40)])
    groups = clusters([str(i) for i in range(40)])
    assert randomisation(mean_of(stacked), groups, 99)["mean"] == pytest.approx(1 / 100)


@pytest.mark.parametrize("pair", [(0, 5), (3, 9), (10, 10), (1, 0), (250, 180)])
def test_mcnemar_is_a_binomial_test(pair):
    assert mcnemar(*pair) == pytest.approx(binomtest(min(pair), sum(pair), 0.5).pvalue)


def test_mcnemar_without_discordant_pairs():
    assert mcnemar(0, 0) == 1.0


def test_holm():
    # sorted .01 .02 .04: *3, *2, *1 -> .03 .04 .04; NaN is no test
    assert holm([0.04, 0.01, float("nan"), 0.02])[:2] == pytest.approx([0.04, 0.03])
    assert holm([0.04, 0.01, float("nan"), 0.02])[3] == pytest.approx(0.04)
    assert isnan(holm([0.04, float("nan")])[1])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_wilson():
    # Wilson for 8 of 10 at 95 %: (.4902, .9433)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    reference = binomtest(3, 50).proportion_ci(method="wilson")
    assert wilson(3, 50) == pytest.approx((reference.low, reference.high))
    assert wilson(0, 10)[0] == pytest.approx(0, abs=1e-12)
    assert all(isnan(v) for v in wilson(0, 0))


def test_paired_wilson():
    # Wilson's bounds of 4/4 are [.5101, 1], of 0/4 [0, .4899].
    assert paired_wilson(1.0, 4, 0.95) == pytest.approx((0.5101, 1), abs=1e-4)
    assert paired_wilson(-1.0, 4, 0.95) == pytest.approx((-1, -0.5101), abs=1e-4)
    assert paired_wilson(0.0, 4, 0.95) == pytest.approx((-0.4899, 0.4899), abs=1e-4)


def test_wilson_refuses_nonsense():
    with pytest.raises(VesaliusError):
        wilson(3, 2)


def test_exact_against_scipy():
    """Clopper and Pearson: 8 of 10 is [.4439, .9748]; none of 10 has an upper bound of .3085."""
    assert exact(8, 10) == pytest.approx((0.4439, 0.9748), abs=1e-4)
    assert exact(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert exact(10, 10)[1] == 1.0
    assert all(isnan(bound) for bound in exact(0, 0))
    wanted = binomtest(13, 40).proportion_ci(0.9, method="exact")
    assert exact(13, 40, 0.9) == pytest.approx((wanted.low, wanted.high))


def test_bca_against_scipy():
    """Single rows of a skewed sample: the bounds of scipy.stats.bootstrap, up to other draws."""
    rows = np.random.default_rng(5).exponential(size=60)
    groups = np.arange(60)

    def mean(weights):
        return {"mean": weights @ rows / weights.sum(axis=1)}

    samples = bootstrap(mean, groups, 20_000, 1)["mean"]
    found = bca(samples, rows.mean(), jackknife(mean, groups)["mean"])
    wanted = scipy_bootstrap((rows,), np.mean, n_resamples=20_000, method="BCa", rng=2)
    bounds = (wanted.confidence_interval.low, wanted.confidence_interval.high)
    assert found == pytest.approx(bounds, abs=0.01)
    assert found[0] > interval(samples)[0]  # skewed to the right: both bounds move up


def test_bca_is_not_defined_at_the_edge():
    ones = np.ones(50)
    assert all(isnan(bound) for bound in bca(ones, 2.0, ones))
    assert all(isnan(bound) for bound in bca(np.array([0.5, 1.5]), 1.0, np.ones(1)))
