"""Cases that a combination spoils, and those that it saves: row by row against another system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vesalius.evaluation.differences import Draws
from vesalius.evaluation.measuring import Measured
from vesalius.evaluation.metrics import Array
from vesalius.evaluation.metrics.table import mean
from vesalius.evaluation.score import Score
from vesalius.evaluation.stats import Codes, bootstrap, interval, wilson

FALL = 0.1
"""A score that is neither right nor wrong is harmed where it falls by more than this, of 1."""


@dataclass(frozen=True, slots=True)
class Harm:
    """Shares of the cases that got worse and better than under ``other``, by one score.

    ``margin`` is 0 where every case is right or wrong: then ``harmed`` is right without and wrong
    with, ``saved`` the reverse. Else it is the change of the score that is more than noise.
    """

    metric: str
    other: str
    harmed: Score
    saved: Score
    margin: float


def harms(
    other: Sequence[Measured], own: Sequence[Measured], name: str, groups: Codes, draws: Draws
) -> Iterator[Harm]:
    """Of each score in [0, 1] that a single case has, higher being better: who got worse.

    A corpus score has no cases and is left out, as is what is measured in one of the two alone.
    """
    for a, b in zip(other, own, strict=True):
        protocol = a.metric.protocol
        for metric in a.metric.aggregate(a.table, np.ones((1, len(groups)))):
            if metric in protocol.baselines or protocol.better.get(metric, "higher") != "higher":
                continue
            column = a.table.get(metric)
            if column is None or column.ndim != 1:
                continue
            gap = b.table[metric] - column
            known = ~np.isnan(gap)
            if not known.any():
                continue
            both = np.concatenate([column[known], b.table[metric][known]])
            margin = 0.0 if np.isin(both, (0.0, 1.0)).all() else FALL
            yield Harm(
                metric=metric,
                other=name,
                harmed=_share("harm_rate", a.name, _beyond(-gap, margin), groups, draws),
                saved=_share("save_rate", a.name, _beyond(gap, margin), groups, draws),
                margin=margin,
            )


def _beyond(gap: Array, margin: float) -> Array:
    """1 where a case changed by more than the margin, NaN where it was not measured in both."""
    changed: Array = np.where(np.isnan(gap), np.nan, (gap > margin + 1e-12).astype(np.float64))
    return changed


def _share(metric: str, protocol: str, column: Array, groups: Codes, draws: Draws) -> Score:
    measured = ~np.isnan(column)
    value = float(mean(column, np.ones((1, len(column))))[0])
    units = len(set(groups[measured].tolist()))
    samples = np.zeros(0)
    if units > 1:
        drawn = bootstrap(
            lambda weights: {metric: mean(column, weights)}, groups, draws.resamples, draws.seed
        )
        samples = drawn.get(metric, samples)
    low, high = interval(samples, draws.level)
    if low != high:
        return Score(metric, protocol, value, low, high, int(measured.sum()), units)
    low, high = wilson(value * units, units, draws.level)
    return Score(metric, protocol, value, low, high, int(measured.sum()), units, interval="wilson")
