"""A combination held against its members, their consensus, and itself with other neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.prediction import Prediction
from vesalius.errors import NotComparable
from vesalius.evaluation.differences import Draws, differences
from vesalius.evaluation.gain import Contrast, Gain, Kind
from vesalius.evaluation.harm import Harm, harms
from vesalius.evaluation.measuring import Measured, Spec, measure
from vesalius.evaluation.pairing import paired
from vesalius.evaluation.prediction_sets import group_of
from vesalius.evaluation.score import Score
from vesalius.evaluation.scoring import scores
from vesalius.evaluation.stats import clusters

Control = Literal["unguarded", "swapped"]
CONTROLS: tuple[Control, ...] = ("unguarded", "swapped")
"""What is done to a model's neighbours; the names are those of the models' own."""
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Others:
    """What a combination is held against.

    ``members`` by name and their ``consensus`` answer the very same rows; ``without`` is a system
    that has no neighbours, by its name, and ``controls`` are the combination's own answers under a
    control of its neighbours: both may answer some of the rows only.
    """

    members: Mapping[str, Sequence[Prediction]] = field(default_factory=dict)
    consensus: Sequence[Prediction] | None = None
    without: tuple[str, Sequence[Prediction]] | None = None
    controls: Mapping[Control, Sequence[Prediction]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.members or self.without or self.controls)

    def partial(self) -> Iterator[tuple[Kind, str, Sequence[Prediction]]]:
        """What may answer a part of the rows: its kind, its name and its predictions."""
        if self.without is not None:
            yield "without", *self.without
        for control, predictions in self.controls.items():
            yield control, control, predictions


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two systems measured on the same rows; differences are ``own`` minus ``other``."""

    other: Sequence[Measured]
    own: Sequence[Measured]
    groups: NDArray[np.int64]
    draws: Draws

    def contrasts(self, kind: Kind, name: str) -> Iterator[Contrast]:
        first, second = self.other, self.own
        if kind == "unguarded":
            first, second = second, first
        for d in differences(first, second, self.groups, self.draws):
            direction = _directions(self.own).get((d.protocol, d.metric))
            if direction is not None and d.measured:
                yield Contrast(kind, name, direction, d, self.draws.level)

    def harms(self, name: str) -> Iterator[Harm]:
        yield from harms(self.other, self.own, name, self.groups, self.draws)


def gain(
    combined: Sequence[Prediction],
    others: Others,
    metrics: Sequence[Spec],
    draws: Draws | None = None,
) -> Gain:
    """What a combination scores more than its best member, their consensus, and under controls.

    The best member is chosen by each score on these very cases, which favours it: what is better
    all the same is. Calibration, baselines of the references, and scores without a direction are
    left out, as is what was not measured in both. Harm is told against the system without
    neighbours if there is one, else against the best member by the primary score. Without any other
    only the copy rate is told. NotComparable where nothing of it can be measured.
    """
    draws = draws or Draws()
    if not others:
        return Gain("", (), (), _copied(combined, draws))
    own = measure(combined, metrics)
    primary = _primary(own)
    groups = clusters([group_of(p) for p in combined])
    rows: list[Contrast] = []
    harmed: list[Harm] = []
    notes: list[str] = []
    if others.members:
        members = {name: measure(part, metrics) for name, part in others.members.items()}
        pairs = {name: _Pair(table, own, groups, draws) for name, table in members.items()}
        best = _best(members, _directions(own))
        rows += _over_best(pairs, best)
        harmed = list(pairs[best[primary]].harms(best[primary])) if primary in best else []
    if others.consensus is not None:
        agreed = _Pair(measure(others.consensus, metrics), own, groups, draws)
        rows += agreed.contrasts("consensus", "consensus")
    for kind, name, part in others.partial():
        pair, shared = _shared(combined, part, own, metrics, draws)
        rows += pair.contrasts(kind, name)
        if kind == "without":
            harmed = list(pair.harms(name))
        if shared < len(combined):
            notes.append(f"{name}: {shared:,} of {len(combined):,} answers could be compared")
    return Gain(primary[1], tuple(rows), tuple(harmed), _copied(combined, draws), tuple(notes))


def _over_best(pairs: Mapping[str, _Pair], best: Mapping[_Key, str]) -> list[Contrast]:
    """By each score the contrast to the member that is best by it, in the scores' order."""
    rows = {
        (c.difference.protocol, c.difference.metric): c
        for name in dict.fromkeys(best.values())
        for c in pairs[name].contrasts("member", name)
        if best.get((c.difference.protocol, c.difference.metric)) == name
    }
    return [rows[key] for key in best if key in rows]


def _shared(
    combined: Sequence[Prediction],
    part: Sequence[Prediction],
    own: Sequence[Measured],
    metrics: Sequence[Spec],
    draws: Draws,
) -> tuple[_Pair, int]:
    """Both on the cases that both answered, and how many these are."""
    here, there = paired(combined, part)
    mine = own if here == list(combined) else measure(here, metrics)
    groups = clusters([group_of(p) for p in here])
    return _Pair(measure(there, metrics), mine, groups, draws), len(here)


def _primary(own: Sequence[Measured]) -> _Key:
    """The first metric's score that stands for it, more being better and something measured."""
    directions = _directions(own)
    for entry in own:
        values, foremost = _values(entry), entry.metric.protocol.foremost
        for metric in sorted(values, key=lambda name: name not in foremost):
            if directions.get((entry.name, metric)) == "higher" and not isnan(values[metric]):
                return entry.name, metric
    raise NotComparable("nothing of it could be measured", hint="do the answers have references?")


def _best(
    members: Mapping[str, Sequence[Measured]], directions: Mapping[_Key, str]
) -> dict[_Key, str]:
    """The best member by each score; of equals the one named first."""
    values = {
        name: {(e.name, k): v for e in tables for k, v in _values(e).items() if not isnan(v)}
        for name, tables in members.items()
    }
    best: dict[_Key, str] = {}
    for key, direction in directions.items():
        sign = 1 if direction == "higher" else -1
        # Rounded, so that a tie is one: max takes the member that is named first.
        heights = {name: round(sign * own[key], 12) for name, own in values.items() if key in own}
        if heights:
            best[key] = max(heights, key=heights.__getitem__)
    return best


def _directions(own: Sequence[Measured]) -> dict[_Key, str]:
    """``higher`` or ``lower`` for each score that says how good answers are."""
    return {
        (entry.name, metric): direction
        for entry in own
        if entry.metric.protocol.role == "headline"
        for metric in _values(entry)
        if metric not in entry.metric.protocol.baselines
        and (direction := entry.metric.protocol.better.get(metric, "higher")) != "neither"
    }


def _values(entry: Measured) -> dict[str, float]:
    ones = np.ones((1, len(next(iter(entry.table.values())))))
    return {k: float(v[0]) for k, v in entry.metric.aggregate(entry.table, ones).items()}


def _copied(combined: Sequence[Prediction], draws: Draws) -> Score | None:
    """The copy rate; None where no answer could have copied a neighbour's words."""
    groups = clusters([group_of(p) for p in combined])
    (score,) = scores(measure(combined, ["copy_rate"]), groups, draws)
    return score if score.measured else None
