"""Image reliance as a score, so that two systems' can be held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.constants import constant_answers
from vesalius.evaluation.differences import Difference, Draws, differences
from vesalius.evaluation.measuring import Measured, Spec, built
from vesalius.evaluation.metrics import Array, Metric, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import ratio
from vesalius.evaluation.pairing import aligned
from vesalius.evaluation.prediction_sets import group_of
from vesalius.evaluation.stats import clusters

NAME = "image_reliance"
_PARTS = ("before", "after", "constant")


@dataclass(frozen=True, slots=True)
class Reliance:
    """(own - changed) / (own - constant) of one score: see :mod:`vesalius.evaluation.probes`.

    ``changed`` are one system's answers to changed pictures, by id: each has a metric of its own.
    """

    metric: Metric
    score: str
    changed: Mapping[str, Prediction]

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made."""
        inner = self.metric.protocol
        return ScoringProtocol(
            name=NAME,
            implementation=f"vesalius, of {self.score} by {inner.implementation}",
            version=inner.version,
            normalisation=inner.normalisation,
            averaging="(own - changed) / (own - most frequent answer), over the same questions",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """The metric's columns of own answers, of the changed and of the constant, row by row."""
        changed = [self.changed[p.id] for p in predictions]
        sides = (predictions, changed, constant_answers(predictions))
        parts = zip(_PARTS, sides, strict=True)
        return {
            f"{part}.{name}": column
            for part, rows in parts
            for name, column in self.metric.measure(rows).items()
        }

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The quotient under each row of weights; NaN where the constant is not beaten."""
        before, after, constant = (
            self.metric.aggregate(_part(table, part), weights)[self.score] for part in _PARTS
        )
        return {NAME: ratio(before - after, before - constant)}


def _part(table: Table, part: str) -> Table:
    start = f"{part}."
    return {k.removeprefix(start): v for k, v in table.items() if k.startswith(start)}


def reliance_difference(
    first: tuple[Sequence[Prediction], Sequence[Prediction]],
    second: tuple[Sequence[Prediction], Sequence[Prediction]],
    spec: Spec,
    score: str,
    draws: Draws,
) -> Difference:
    """The second system's image reliance minus the first's, on the questions all four sets answer.

    Each system is its own answers and those to changed pictures. NotComparable where no question
    is shared.
    """
    own_a, changed_a, own_b, changed_b = aligned(*first, *second)
    sides = []
    for own, changed in ((own_a, changed_a), (own_b, changed_b)):
        metric = Reliance(built(spec)[1], score, {p.id: p for p in changed})
        sides.append(Measured(NAME, metric, metric.measure(own)))
    groups = clusters([group_of(p) for p in own_a])
    (difference,) = differences([sides[0]], [sides[1]], groups, draws)
    return difference
