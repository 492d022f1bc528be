"""Scores of measured predictions with their intervals, all metrics under the same draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import isnan

import numpy as np

from vesalius.evaluation.differences import Draws
from vesalius.evaluation.measuring import Measured, counted
from vesalius.evaluation.metrics import Array
from vesalius.evaluation.score import ALL, Score
from vesalius.evaluation.stats import (
    Codes,
    bca,
    bootstrap,
    exact,
    interval,
    jackknife,
    trials,
    wilson,
)


def scores(
    parts: Sequence[Measured], groups: Codes, draws: Draws, *, label: str = ALL
) -> Iterator[Score]:
    """Every metric's scores over the rows of their tables, whose groups are ``groups`` [n]."""
    statistic = partial(_all, parts)
    several = len(set(groups.tolist())) > 1
    samples = bootstrap(statistic, groups, draws.resamples, draws.seed) if several else {}
    left_out = jackknife(statistic, groups) if several and draws.interval == "bca" else {}
    named = {part.name: part for part in parts}
    for (name, metric), value in statistic(np.ones((1, len(groups)))).items():
        entry = named[name]
        n, units = counted(entry.table, metric, groups)
        low, high = interval(samples.get((name, metric), np.zeros(0)), draws.level)
        score = Score(metric, name, float(value[0]), low, high, n, units, label)
        if draws.interval == "bca" and (name, metric) in samples:
            score = _accelerated(score, samples[name, metric], left_out[name, metric], draws.level)
        if n or label == ALL:
            yield _widened(_exact(score, entry, draws), entry, groups, draws.level)


def _accelerated(score: Score, samples: Array, left_out: Array, level: float) -> Score:
    """The score with its BCa bounds; as it is where they are not defined."""
    low, high = bca(samples, score.value, left_out, level)
    return score if isnan(low) else replace(score, low=low, high=high, interval="bca")


def _exact(score: Score, entry: Measured, draws: Draws) -> Score:
    """The score with exact bounds, where it is a share of rows that are each a group of its own."""
    share = entry.metric.protocol.proportions.get(score.metric) == ""
    if draws.interval != "exact" or not share or not 0 < score.n == score.groups:
        return score
    low, high = exact(score.value * score.n, score.n, draws.level)
    return replace(score, low=low, high=high, interval="exact")


def _widened(score: Score, entry: Measured, groups: Codes, level: float) -> Score:
    """The score with Wilson's interval where it is a proportion and no resample differs.

    Then the bootstrap's bounds coincide, as if three right answers of three proved anything.
    Groups are the trials: what is the same in every group was seen once a group. A mean over
    classes has as many trials as a plain share would need to be as uncertain.
    """
    by = entry.metric.protocol.proportions.get(score.metric)
    if by is None or score.low != score.high or score.interval == "exact":
        return score
    n = trials(entry.table[by], groups) if by else float(score.groups)
    low, high = wilson(score.value * n, n, level)
    return replace(score, low=low, high=high, interval="wilson")


def _all(parts: Sequence[Measured], weights: Array) -> dict[tuple[str, str], Array]:
    """Every metric's scores under the same draws, by protocol and score."""
    return {
        (part.name, score): values
        for part in parts
        for score, values in part.metric.aggregate(part.table, weights).items()
    }
