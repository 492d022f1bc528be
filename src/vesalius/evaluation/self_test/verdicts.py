"""What each metric sees: scores of right texts, of changed ones, and a word for the difference.

The **cost** of a change is the share of what another case's text costs: (right - changed) /
(right - other), where ``other`` are the same questions or pictures answered with the next one's
reference. So a score that never falls far (embeddings) is not called blind for its scale alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from math import isnan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import VesaliusError
from vesalius.evaluation.measuring import Measured, Spec, built
from vesalius.evaluation.metrics import Array, Metric, metrics
from vesalius.evaluation.metrics.table import ratio
from vesalius.evaluation.score import ALL, Evaluation, without_nan
from vesalius.evaluation.self_test.gallery import KINDS, TOLERATED, Exhibit, gallery, modalities
from vesalius.system.tables import packaged_table

Verdicts = Mapping[str, Mapping[str, Mapping[str, Mapping[str, str]]]]
"""By protocol, score, modality (or ``all``) and kind the word, where there is one."""
Verdict = Literal["sees", "partly", "blind", "tolerates", "punishes"]
SEES, PARTLY = 0.5, 0.2
"""From these shares of the cost of another case's text on, a change is seen, or partly seen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One score of one kind of change: right text, changed text, and what the change costs.

    ``modality`` is ``all`` or one of the gallery's, ``n`` counts the texts that are measured both
    ways; ``verdict`` is empty where there is nothing to judge by.
    """

    metric: str
    protocol: str
    kind: str
    modality: str
    right: float
    changed: float
    other: float
    n: int

    @property
    def drop(self) -> float:
        """What the change takes off the score."""
        return self.right - self.changed

    @property
    def cost(self) -> float:
        """The share of what another case's text costs; NaN where that costs nothing."""
        return float(ratio(np.array(self.drop), np.array(self.right - self.other)))

    @property
    def verdict(self) -> Verdict | Literal[""]:
        """The word for it; for what should not matter, the other way round."""
        if isnan(self.cost):
            return ""
        words: tuple[Verdict, Verdict, Verdict] = ("sees", "partly", "blind")
        if self.kind in TOLERATED:
            words = ("punishes", "partly", "tolerates")
        return words[0] if self.cost >= SEES else words[1] if self.cost >= PARTLY else words[2]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; what was not measured is null."""
        more = {"drop": self.drop, "cost": self.cost, "verdict": self.verdict or None}
        return without_nan(asdict(self) | more)


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What metrics saw of the gallery, and which could not be tested, and why."""

    rows: tuple[Seen, ...]
    absent: Mapping[str, str]

    def overall(self) -> list[Seen]:
        """The rows over all modalities."""
        return [row for row in self.rows if row.modality == ALL]

    def verdicts(self) -> Verdicts:
        """By protocol, score, modality and kind the word, where there is one."""
        words: dict[str, dict[str, dict[str, dict[str, str]]]] = {}
        for row in self.rows:
            if row.verdict:
                scores = words.setdefault(row.protocol, {}).setdefault(row.metric, {})
                scores.setdefault(row.modality, {})[row.kind] = row.verdict
        return words

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; what was not measured is null."""
        rows = [row.to_json() for row in self.rows]
        return {"sees_from": SEES, "partly_from": PARTLY, "rows": rows, "absent": dict(self.absent)}


def self_test(specs: Sequence[Spec | Metric] = ()) -> SelfTest:
    """Each metric's scores of the gallery; all that are registered, by default.

    A metric that cannot score a text (boxes, concepts), or whose weights are not here, is among the
    absent with its reason. UnknownName and RecipeError for one that there is not.
    """
    rows: list[Seen] = []
    absent: dict[str, str] = {}
    for spec in specs or list(metrics):
        name, metric = built(spec)
        try:
            own = [row for part in _rows(name, metric) for row in part]
        except VesaliusError as error:
            absent[name] = str(error)
            continue
        rows += sorted(own, key=lambda row: row.metric)
        if not own:
            reasons = metric.protocol.absent.values()
            absent[name] = next(iter(reasons), "it does not score how right a text is")
    return SelfTest(tuple(rows), absent)


@cache
def recorded() -> Verdicts:
    """The verdicts on our metrics with their default settings."""
    table: Verdicts = packaged_table(__package__, "verdicts.yaml")
    return table


def words_of(protocol: str, metric: str, modality: str = ALL) -> list[str]:
    """A verdict a kind (``KINDS``) on a score with default settings, empty where there is none."""
    words = recorded().get(protocol, {}).get(metric, {}).get(modality, {})
    return [words.get(kind, "") for kind in KINDS]


def blind_to(protocol: str, metric: str, modality: str = ALL) -> list[str]:
    """The kinds of change that a score with default settings is blind to; none known: empty."""
    words = zip(KINDS, words_of(protocol, metric, modality), strict=True)
    return [kind for kind, word in words if word == "blind"]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a score sees: a verdict a kind (``KINDS``), and by modality the kinds it is blind to."""

    metric: str
    words: Sequence[str]
    blind: Mapping[str, Sequence[str]]


def sights(evaluation: Evaluation) -> list[Sight]:
    """Of each score that was measured; of settings other than the default nothing is known."""
    return [
        sight(score.protocol, score.metric)
        for score in evaluation.overall()
        if score.measured and score.metric in recorded().get(score.protocol, ())
    ]


def sight(protocol: str, metric: str) -> Sight:
    """What a score with default settings sees."""
    blind = {name: blind_to(protocol, metric, name) for name in modalities()}
    return Sight(metric, words_of(protocol, metric), blind)


def _rows(name: str, metric: Metric) -> Iterator[list[Seen]]:
    """The rows of each kind, over all its exhibits and by modality."""
    for kind in KINDS:
        shown = [one for one in gallery() if one.kind == kind]
        yield list(_of_kind(name, metric, kind, shown))


def _of_kind(name: str, metric: Metric, kind: str, shown: Sequence[Exhibit]) -> Iterator[Seen]:
    sides = [
        Measured(name, metric, metric.measure([e.answered(t, str(i)) for i, (e, t) in rows]))
        for rows in (list(enumerate(zip(shown, texts, strict=True))) for texts in _texts(shown))
    ]
    parts = {ALL: np.ones(len(shown), dtype=bool)}
    for modality in dict.fromkeys(one.modality for one in shown):
        parts[modality] = np.array([one.modality == modality for one in shown])
    weights = np.array(list(parts.values()), dtype=np.float64)
    folded = [metric.aggregate(side.table, weights) for side in sides]
    for score in _judged(metric, folded[0]):
        known = _known(sides, score)
        for place, (part, inside) in enumerate(parts.items()):
            right, changed, other = (float(side[score][place]) for side in folded)
            n = int((known & inside).sum())
            if n and not any(map(isnan, (right, changed, other))):
                yield Seen(score, name, kind, part, right, changed, other, n)


def _texts(shown: Sequence[Exhibit]) -> tuple[list[str], ...]:
    """The right texts, the changed ones, and those of the next exhibit of the same form."""
    right = [one.reference for one in shown]
    return right, [one.changed for one in shown], [_next(shown, at) for at in range(len(shown))]


def _next(shown: Sequence[Exhibit], at: int) -> str:
    """Another text for the same form of question, unlike the right one."""
    own = shown[at]
    later = [*shown[at + 1 :], *shown[:at]]
    alike = (
        one.reference
        for one in later
        if (bool(one.question), one.closed) == (bool(own.question), own.closed)
        and one.reference != own.reference
    )
    return next(alike, "")


def _judged(metric: Metric, scores: Mapping[str, Array]) -> Iterator[str]:
    """The scores that say how right a text is, more being better."""
    protocol = metric.protocol
    if protocol.role == "headline":
        for name in scores:
            if protocol.better.get(name, "higher") == "higher" and name not in protocol.baselines:
                yield name


def _known(sides: Sequence[Measured], score: str) -> NDArray[np.bool_]:
    """Which texts [n] are measured, right and changed."""
    known = np.ones(len(next(iter(sides[0].table.values()))), dtype=bool)
    for side in sides[:2]:
        column = side.table.get(score, next(iter(side.table.values())))
        known &= ~np.isnan(column if column.ndim == 1 else column[:, 0])
    return known
