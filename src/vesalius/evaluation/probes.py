"""What a run's score rests on: its answers to changed pictures and words against its own.

**Image reliance** is the share of the score above a constant answer that is lost without the
picture: (own - changed) / (own - constant), each scored on the same questions, where the constant
is what always giving their most frequent reference would score. 1: without its picture the system
is worth no more than that constant; 0: it answers as well without; below 0: better; above 1: worse
than the constant. Where the system does not beat the constant with its picture, it is not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.constants import constant_answers, same_content
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.measuring import Measured, Spec, measure
from vesalius.evaluation.metrics import Array
from vesalius.evaluation.metrics.table import mean, ratio
from vesalius.evaluation.prediction_sets import group_of, refuse_duplicates
from vesalius.evaluation.score import Score
from vesalius.evaluation.stats import Codes, bootstrap, clusters, interval, paired_wilson, wilson
from vesalius.language.options import option_of, parsed

Quantity = Literal["remains", "flips", "lost"]
QUANTITIES = ("before", "after", "change", "remains", "flips", "lost", "reliance")
_RIGHT = 1 - 1e-9


class Row(Protocol):
    """What is told of a change that a system was asked under."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def what(self) -> str:
        """What was changed, in one line."""

    @property
    def quantity(self) -> Quantity:
        """What its sentence tells."""

    @property
    def sentence(self) -> str:
        """In words, ``{share}`` in the place of the number."""

    @property
    def without_picture(self) -> bool:
        """Whether what scores under it scores without the picture."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A system's score before and after a change, on the questions that were asked under both.

    ``change`` is after minus before. ``remains`` is after / before, ``flips`` the share of answers
    that say something else, ``lost`` the share of right answers that are right no more, and
    ``reliance`` image reliance (of changes that take the picture away); ``quantity`` is the one of
    them that ``sentence`` tells. Intervals are over whole groups, paired. ``reason``: why nothing
    was measured. ``predictions_sha256``: of the answers after it.
    """

    name: str
    what: str
    quantity: Quantity
    sentence: str
    scores: Mapping[str, Score]
    reason: str = ""
    predictions_sha256: str = ""

    @property
    def measured(self) -> bool:
        """Whether there was anything to measure."""
        return bool(self.scores)

    @property
    def n(self) -> int:
        """How many questions were asked under both."""
        return self.scores["before"].n if self.scores else 0

    @property
    def reliance(self) -> Score | None:
        """Image reliance; None where it was not measured."""
        score = self.scores.get("reliance")
        return score if score is not None and score.measured else None

    def __str__(self) -> str:
        """The result in one sentence."""
        if not self.scores:
            return f"Not measured: {self.reason}."
        score = self.scores[self.quantity]
        if not score.measured:
            return f"Not measured: {_NOTHING[self.quantity]}."
        return self.sentence.format(share=_share(score)) + "."


_NOTHING: Mapping[Quantity, str] = {
    "remains": "there is no score to lose",
    "flips": "there are no answers",
    "lost": "no answer was right before",
}


def _share(score: Score) -> str:
    """A share in percent, with its bounds where it has some; not above all."""
    value, low, high = (min(1.0, v) for v in (score.value, score.low, score.high))
    bounds = "" if isnan(score.low) else f" [{100 * low:.0f}, {100 * high:.0f}]"
    return f"{100 * value:.0f} %{bounds}"


def unmeasured(row: Row, reason: str) -> Probe:
    """A probe that could not be asked, and why."""
    return Probe(row.name, row.what, row.quantity, row.sentence, {}, reason)


def probe(
    row: Row,
    before: Sequence[Prediction],
    after: Sequence[Prediction],
    *,
    spec: Spec,
    metric: str,
    draws: Draws | None = None,
) -> Probe:
    """One score of a system before and after a change, its answers paired by id.

    Each side is scored by its own references, for a change may move them (mirrored sides). Only
    what the metric measures in both counts.
    """
    drawn = draws or Draws()
    here, there = _both(before, after)
    tables = [measure(rows, [spec])[0] for rows in (here, there)]
    known = np.logical_and(*(_measured(table, metric) for table in tables))
    if not known.any():
        return unmeasured(row, f"nothing was answered that {metric} measures")
    here, there = (
        [p for p, in_it in zip(rows, known, strict=True) if in_it] for rows in (here, there)
    )
    tables = [replace(table, table=table.rows(known)) for table in tables]
    constant = measure(constant_answers(here), [spec])[0] if row.without_picture else None
    pair = _Pair(metric, tables[0], tables[1], constant, _flips(here, there))
    groups = clusters([group_of(p) for p in here])
    scores = {score.metric: score for score in pair.scores(groups, drawn)}
    return Probe(row.name, row.what, row.quantity, row.sentence, scores)


def _both(
    before: Sequence[Prediction], after: Sequence[Prediction]
) -> tuple[list[Prediction], list[Prediction]]:
    refuse_duplicates(before)
    refuse_duplicates(after)
    changed = {p.id: p for p in after}
    here = [p for p in before if p.id in changed]
    return here, [changed[p.id] for p in here]


def _measured(table: Measured, metric: str) -> NDArray[np.bool_]:
    """Which rows a score rests on: those of the column of its name, else of the first one."""
    column = table.table.get(metric)
    if column is None:
        column = next(iter(table.table.values()))
    absent = np.isnan(column if column.ndim == 1 else column[:, 0])
    known: NDArray[np.bool_] = ~absent
    return known


def _flips(before: Sequence[Prediction], after: Sequence[Prediction]) -> Array:
    pairs = zip(before, after, strict=True)
    return np.array([_meaning(a) != _meaning(b) for a, b in pairs], dtype=np.float64)


def _meaning(prediction: Prediction) -> object:
    """The words of the option that an answer takes, else its content: letters change places."""
    options = prediction.options or ()
    taken = option_of(prediction.text, options) if options else None
    if taken is None:
        return same_content(prediction.answer)
    return next(one.key for one in parsed(options) if one.name == taken)


@dataclass(frozen=True, slots=True)
class _Pair:
    """One metric's tables of the same rows before and after a change, and of a constant answer."""

    metric: str
    before: Measured
    after: Measured
    constant: Measured | None
    flips: Array

    def statistic(self, weights: Array) -> dict[str, Array]:
        before, after = self._of(self.before, weights), self._of(self.after, weights)
        found = {
            "before": before,
            "after": after,
            "change": after - before,
            "remains": ratio(after, before),
            "flips": mean(self.flips, weights),
            "lost": mean(self.lost(), weights),
        }
        if self.constant is not None:
            above = before - self._of(self.constant, weights)
            found["reliance"] = ratio(before - after, above)
        return found

    def lost(self) -> Array:
        """[n]: 1 where a right answer is right no more, 0 where it still is, NaN where none was."""
        nothing = np.full(len(self.flips), np.nan)
        own, changed = (one.table.get(self.metric, nothing) for one in (self.before, self.after))
        if own.ndim != 1:
            return nothing
        turned = (changed < _RIGHT).astype(np.float64)
        return np.where(own >= _RIGHT, turned, np.nan)

    def _of(self, measured: Measured, weights: Array) -> Array:
        return measured.metric.aggregate(measured.table, weights)[self.metric]

    def scores(self, groups: Codes, draws: Draws) -> list[Score]:
        several = len(set(groups.tolist())) > 1
        samples = bootstrap(self.statistic, groups, draws.resamples, draws.seed) if several else {}
        rows = []
        for name, value in self.statistic(np.ones((1, len(groups)))).items():
            column = self.lost() if name == "lost" else self.flips
            measured = ~np.isnan(column)
            n, units = int(measured.sum()), len(set(groups[measured].tolist()))
            low, high = interval(samples.get(name, np.zeros(0)), draws.level)
            score = Score(name, self.before.name, float(value[0]), low, high, n, units)
            rows.append(self._widened(score, draws.level))
        return rows

    def _widened(self, score: Score, level: float) -> Score:
        """The score with Wilson's interval where it is a share and no resample differs.

        Of other quotients nothing is known then.
        """
        if not score.measured or score.low != score.high:
            return score
        n, share = score.groups, self.before.metric.protocol.proportions.get(self.metric) == ""
        if score.metric in ("flips", "lost") or (share and score.metric in ("before", "after")):
            low, high = wilson(score.value * n, n, level)
        elif share and score.metric == "change":
            low, high = paired_wilson(score.value, n, level)
        else:
            return replace(score, low=nan, high=nan)
        return replace(score, low=low, high=high, interval="wilson")
