"""Differences of two systems on the same rows, with paired intervals and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

from vesalius.evaluation.measuring import Measured, counted
from vesalius.evaluation.metrics import Array, Table
from vesalius.evaluation.score import ALL, IntervalMethod
from vesalius.evaluation.stats import (
    Codes,
    bootstrap,
    detectable,
    holm,
    interval,
    mcnemar,
    paired_wilson,
    randomisation,
    trials,
)


@dataclass(frozen=True, slots=True)
class Draws:
    """How intervals and p-values are drawn: how often, at which level, from which seed.

    ``interval`` is how a score's bounds are made of the draws; differences have percentile bounds.
    """

    resamples: int = 10_000
    level: float = 0.95
    seed: int = 0
    interval: IntervalMethod = "percentile"


@dataclass(frozen=True, slots=True)
class Difference:
    """A score of two runs on the same predictions, and second minus first.

    ``low`` and ``high`` bound the difference (paired cluster bootstrap; Wilson's interval where a
    proportion differs by the same in every resample); ``p`` is from paired
    approximate randomisation of whole groups, ``p_holm`` adjusted over the slices of this score.
    ``mcnemar`` is the exact test on single questions where every row is right or wrong: it takes
    questions as independent, which questions on one image are not. ``detectable`` is the smallest
    difference that this test set would show four times in five
    (:func:`~vesalius.evaluation.stats.detectable`).
    """

    metric: str
    protocol: str
    slice: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    mcnemar: float
    n: int
    groups: int
    detectable: float = nan

    @property
    def measured(self) -> bool:
        """Whether both runs had anything to measure."""
        return not isnan(self.difference)

    def __str__(self) -> str:
        if not self.measured:
            return "not measured"
        bounds = "" if isnan(self.low) else f" [{self.low:+.3f}, {self.high:+.3f}]"
        return f"{self.difference:+.3f}{bounds}"


def differences(
    first: Sequence[Measured],
    second: Sequence[Measured],
    groups: Codes,
    draws: Draws,
    *,
    label: str = ALL,
    keep: NDArray[np.bool_] | None = None,
) -> list[Difference]:
    """Every score of two systems that the same metrics measured on the same rows.

    ``keep`` is a mask [n] of the rows that count, those of the slice ``label``, and ``groups`` has
    a code for each of them. Only what was measured in both counts.
    """
    rows: list[Difference] = []
    for a, b in zip(first, second, strict=True):
        tables = (a.table, b.table) if keep is None else (a.rows(keep), b.rows(keep))
        pair = _Pair(a, *_shared(*tables), groups)
        rows += pair.differences(label, draws.resamples, draws.level, draws.seed)
    return rows


def _shared(first: Table, second: Table) -> tuple[Table, Table]:
    """Both tables with NaN wherever either has it: what one run alone measured counts in none."""
    absent = {name: _absent(column) | _absent(second[name]) for name, column in first.items()}
    return _without(first, absent), _without(second, absent)


def _absent(column: Array) -> NDArray[np.bool_]:
    cells = np.isnan(column)
    rows: NDArray[np.bool_] = cells if column.ndim == 1 else np.all(cells, axis=1)
    return rows


def _without(table: Table, absent: Mapping[str, NDArray[np.bool_]]) -> Table:
    left = {name: column.copy() for name, column in table.items()}
    for name, column in left.items():
        column[absent[name]] = np.nan
    return left


@dataclass(frozen=True, slots=True)
class _Pair:
    """One metric's tables of two systems on the same rows."""

    entry: Measured
    first: Table
    second: Table
    groups: Codes

    def differences(
        self, label: str, resamples: int, level: float, seed: int
    ) -> Iterator[Difference]:
        ones = np.ones((1, len(self.groups)))
        aggregate = self.entry.metric.aggregate
        a, b = aggregate(self.first, ones), aggregate(self.second, ones)
        drawn: Mapping[str, Array] = {}
        p: Mapping[str, float] = {}
        if resamples and len(set(self.groups.tolist())) > 1:
            drawn = bootstrap(self._gap, self.groups, resamples, seed)
            both = {k: np.concatenate([v, self.second[k]]) for k, v in self.first.items()}
            p = randomisation(partial(aggregate, both), self.groups, resamples, seed)
        for name, value in a.items():
            n, units = counted(self.first, name, self.groups)
            if name in self.entry.metric.protocol.baselines or (label != ALL and n == 0):
                continue
            ends = float(value[0]), float(b[name][0])
            low, high = interval(drawn[name], level) if name in drawn else (nan, nan)
            if low == high:
                low, high = self._widened(name, ends, units, level) or (low, high)
            yield Difference(
                metric=name,
                protocol=self.entry.name,
                slice=label,
                first=ends[0],
                second=ends[1],
                difference=ends[1] - ends[0],
                low=low,
                high=high,
                p=p.get(name, nan),
                p_holm=nan,
                mcnemar=self._mcnemar(name),
                n=n,
                groups=units,
                detectable=detectable(drawn[name], level) if name in drawn else nan,
            )

    def _widened(
        self, name: str, ends: tuple[float, float], units: int, level: float
    ) -> tuple[float, float] | None:
        """Wilson's interval of two proportions that differ by the same in every resample."""
        by = self.entry.metric.protocol.proportions.get(name)
        if by is None:
            return None
        n = trials(self.first[by], self.groups) if by else units
        return paired_wilson(ends[1] - ends[0], n, level)

    def _gap(self, weights: Array) -> dict[str, Array]:
        aggregate = self.entry.metric.aggregate
        a, b = aggregate(self.first, weights), aggregate(self.second, weights)
        return {name: b[name] - a[name] for name in a}

    def _mcnemar(self, name: str) -> float:
        if name not in self.first or self.first[name].ndim != 1:
            return nan
        a, b = self.first[name], self.second[name]
        both = ~np.isnan(a) & ~np.isnan(b)
        a, b = a[both], b[both]
        if not a.size or not np.isin(np.concatenate([a, b]), (0.0, 1.0)).all():
            return nan
        return mcnemar(int((a > b).sum()), int((b > a).sum()))


def adjusted(differences: Sequence[Difference]) -> Iterator[Difference]:
    """Holm over the slices of each score; the overall test is one test and stays as it is."""
    families: dict[tuple[str, str], list[Difference]] = {}
    for d in differences:
        if d.slice != ALL:
            families.setdefault((d.protocol, d.metric), []).append(d)
    by_place = {
        (d.protocol, d.metric, d.slice): p
        for family in families.values()
        for d, p in zip(family, holm([d.p for d in family]), strict=True)
    }
    for d in differences:
        yield replace(d, p_holm=by_place.get((d.protocol, d.metric, d.slice), d.p))
