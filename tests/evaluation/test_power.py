"""What a comparison could have shown."""

from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from vesalius.cases.case import Answer
from vesalius.evaluation.compare import compare
from vesalius.evaluation.power import power_line
from vesalius.evaluation.stats import detectable, interval


def test_arithmetic() -> None:
    """Standard deviation .1: (1.960 + .8416) x .1 = .2802; at 90 %: (1.645 + .8416) x .1."""
    gaps = np.array([-0.1, 0.1])
    assert detectable(gaps) == pytest.approx(0.28016, abs=1e-5)
    assert detectable(gaps, level=0.9) == pytest.approx(0.24865, abs=1e-5)
    assert isnan(detectable(np.zeros(5)))
    assert isnan(detectable(np.zeros(0)))


def test_a_true_difference_of_that_size_is_shown_four_times_in_five() -> None:
    """200 pairs differ by .3 with standard deviation 1.5: s = 1.5 / sqrt(200) = .106, so .297."""
    rng = np.random.default_rng(0)
    sizes, hits = [], 0
    for _ in range(400):
        rows = rng.normal(0.297, 1.5, 200)
        means = rows[rng.integers(0, 200, (400, 200))].mean(axis=1)
        sizes.append(detectable(means))
        hits += interval(means)[0] > 0
    assert np.mean(sizes) == pytest.approx(0.297, rel=0.03)
    assert 0.74 < hits / 400 < 0.87


def test_the_line_names_scores_of_which_more_is_better(prediction) -> None:
    first = [prediction("no", "yes", name=str(i), group=f"g{i}") for i in range(16)]
    second = [replace(p, answer=Answer("yes")) if int(p.id) < 8 else p for p in first]
    found = compare(first, second, ["closed"], resamples=400)
    accuracy = next(d for d in found.overall() if d.metric == "closed.accuracy")
    # Half of 16 groups differ: s = sqrt(.25 / 16) = .125, times 2.8016 = .35
    assert accuracy.detectable == pytest.approx(0.35, abs=0.03)
    line = power_line(found.overall(), 0.95, found.protocols)
    assert f"closed.accuracy ±{accuracy.detectable:.3f}" in line
    assert "unparsed" not in line
    assert "majority" not in line


def test_where_nothing_is_known_it_says_so(prediction) -> None:
    rows = [prediction("yes", "yes", name=str(i), group=f"g{i}") for i in range(4)]
    assert "not known" in power_line(compare(rows, rows, ["squad"], resamples=50).overall(), 0.95)
    assert power_line([], 0.95) == "power: nothing was measured in both"
