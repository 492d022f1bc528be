"""A mean of expert grades with the help of many cheap ones, which may be biased.

Prediction-powered inference (Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, Science 2023) with
power tuning (PPI++; Angelopoulos, Duchi and Zrnic, 2023). Experts grade ``n`` answers, a judge
those and ``N`` others. The judge's mean on the others is used as far as it helps, and what it is
off by is measured where both graded:

    mean(truth) + tuning * (mean(guess of the others) - mean(guess of the experts' own))

Its variance is that of sums over whole groups (patient, else image), which may have answers of both
kinds; ``tuning`` is what makes it least, within [0, 1]. With 0 the judge is left aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from vesalius.errors import VesaliusError
from vesalius.evaluation.stats import Codes

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PoweredMean:
    """A mean with its interval; ``tuning``: how far the judge was relied on, from 0 to 1."""

    value: float
    low: float
    high: float
    tuning: float


def powered_mean(
    truth: Array, guess: Array, groups: Codes, *, level: float = 0.95, tuning: float | None = None
) -> PoweredMean:
    """The mean of ``truth`` [n], NaN where no expert graded, with the help of ``guess`` [n].

    ``groups`` [n] are codes from 0 of who belongs together. ``tuning``: power tuning unless given.
    The interval takes Student's t of as many degrees as there are groups with a truth, less one;
    it is NaN for one group. VesaliusError where nothing has a truth, or a guess is missing.
    """
    known = ~np.isnan(truth)
    if not known.any() or np.isnan(guess).any():
        raise VesaliusError("a mean needs some grades of experts, and the judge's of every answer")
    count = int(groups.max()) + 1
    own = _centred(np.where(known, truth, 0.0), known, groups, count)
    help_ = _centred(guess, ~known, groups, count) - _centred(guess, known, groups, count)
    if tuning is None:
        spread = float(help_ @ help_)
        tuning = 0.0 if spread == 0 else float(np.clip(-(own @ help_) / spread, 0.0, 1.0))
    if known.all():
        tuning = 0.0  # nothing else was judged
    others = float(guess[~known].mean()) if not known.all() else 0.0
    value = float(truth[known].mean()) + tuning * (others - float(guess[known].mean()))
    experts = len(np.unique(groups[known]))
    if experts < 2:
        return PoweredMean(value, nan, nan, tuning)
    parts = own + tuning * help_
    error = sqrt(experts / (experts - 1) * float(parts @ parts))
    reach = float(stdtrit(experts - 1, 0.5 + level / 2)) * error
    return PoweredMean(value, value - reach, value + reach, tuning)


def _centred(values: Array, chosen: NDArray[np.bool_], groups: Codes, count: int) -> Array:
    """Each group's part [count] in the error of the chosen rows' mean; 0 where none is chosen."""
    if not chosen.any():
        return np.zeros(count)
    rest = (values[chosen] - values[chosen].mean()) / chosen.sum()
    parts = np.bincount(groups[chosen], weights=rest, minlength=count)
    return np.asarray(parts, dtype=np.float64)
