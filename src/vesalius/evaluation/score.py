"""A score and an evaluation: numbers that carry their protocol, interval and count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isnan, nan
from typing import Any, Literal

from vesalius.errors import RunError

ALL = "all"
Interval = Literal["bootstrap", "wilson", "bca", "exact"]
"""How a score's bounds were made."""
IntervalMethod = Literal["percentile", "bca", "exact"]
"""How they are to be made; each has cases where another takes its place."""
_SHORT = 60


@dataclass(frozen=True, slots=True)
class Score:
    """A number with what it takes to read it.

    ``value``, ``low`` and ``high`` are NaN where there was nothing to measure; ``protocol`` names
    an entry of the evaluation's ``protocols``; ``n`` counts measured predictions and ``groups``
    the patients or images they come from; ``slice`` is ``all`` or ``field=value``. ``interval``
    says how the bounds were made: ``bootstrap`` (percentiles over groups), ``bca`` where it was
    asked for, ``exact`` for a proportion of rows each of its own group where that was, or
    ``wilson`` with the groups as trials, for a proportion that is the same in every resample.
    """

    metric: str
    protocol: str
    value: float
    low: float
    high: float
    n: int
    groups: int
    slice: str = ALL
    interval: Interval = "bootstrap"

    @property
    def measured(self) -> bool:
        """Whether there was anything to measure."""
        return not isnan(self.value)

    def __str__(self) -> str:
        if not self.measured:
            return "not measured"
        bounds = "" if isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{bounds}"


@dataclass(frozen=True, slots=True)
class Constant:
    """What always giving one answer would score; scores that it cannot have are left out.

    ``source`` says where the answer is from; ``slices`` has the values by slice. They have no
    interval: they stand beside a score to be read with it, and are no comparison.
    """

    name: str
    answer: str
    source: str
    values: Mapping[str, float]
    slices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        short = self.answer if len(self.answer) <= _SHORT else f"{self.answer[:_SHORT]}..."
        return f"{self.name}: always {short!r}, {self.source}"

    def value(self, metric: str, part: str = ALL) -> float | None:
        """The value of a score in a slice; None where there is none."""
        values = self.values if part == ALL else self.slices.get(part, {})
        return values.get(metric)

    def cell(self, metric: str, part: str = ALL) -> str:
        """The value as a table has it; empty where there is none."""
        value = self.value(metric, part)
        return "" if value is None else f"{value:.3f}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All scores of one set of predictions, their protocols, and how intervals were drawn.

    ``facts`` counts predictions, groups, abstentions, empty answers, answers cut at the token
    limit, predictions without a reference, and texts that are no words. ``counts`` has by protocol
    how many rows it could not read or had to cut, or are in no dialogue. Of a run's predictions it
    names by hash what they and the settings were. ``gain`` has what a combination gains
    (:class:`vesalius.evaluation.gain.Gain`), where the run is one; ``clean`` the scores on the
    questions that models without pictures do not answer
    (:class:`vesalius.evaluation.clean.CleanSubset`), where some were named. ``constants`` are the
    scores of always giving the most frequent answer, and of always saying "normal". ``coverage``
    has the ids that are missing and invented (:class:`vesalius.evaluation.coverage.Coverage`),
    where the answers were held against their questions.
    """

    scores: tuple[Score, ...]
    protocols: Mapping[str, Mapping[str, Any]]
    resamples: int = 10_000
    level: float = 0.95
    seed: int = 0
    facts: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    predictions_sha256: str = ""
    settings_sha256: str = ""
    gain: Mapping[str, Any] = field(default_factory=dict)
    interval: IntervalMethod = "percentile"
    clean: Mapping[str, Any] = field(default_factory=dict)
    constants: tuple[Constant, ...] = ()
    coverage: Mapping[str, Any] = field(default_factory=dict)

    def overall(self) -> list[Score]:
        """The scores over all predictions."""
        return [score for score in self.scores if score.slice == ALL]

    def by(self, field_name: str) -> list[Score]:
        """The scores by one field, e.g. ``category``."""
        return [score for score in self.scores if score.slice.startswith(f"{field_name}=")]

    def score(self, metric: str, of: str = ALL) -> Score:
        """One score; RunError names what there is."""
        for score in self.scores:
            if score.metric == metric and score.slice == of:
                return score
        known = sorted({score.metric for score in self.scores})
        raise RunError(f"there is no score {metric!r} for {of!r}", hint=f"scores: {known}")

    def better(self, score: Score) -> str:
        """``higher``, ``lower`` or ``neither``."""
        directions = self.protocols.get(score.protocol, {}).get("better", {})
        return str(directions.get(score.metric, "higher"))

    def foremost(self, score: Score) -> bool:
        """Whether its metric names it among the scores that stand for all."""
        return score.metric in self.protocols.get(score.protocol, {}).get("foremost", ())

    def in_words(self, score: Score) -> str:
        """The score with its interval; where it was not measured, what was lacking, if known."""
        reason = lacking(self.protocols, score.protocol, score.metric)
        return f"{score}: {reason}" if reason and not score.measured else str(score)

    def role(self, score: Score) -> str:
        """``headline`` or ``calibration``, or ``baseline`` for one that knows references alone."""
        protocol = self.protocols.get(score.protocol, {})
        if score.metric in protocol.get("baselines", ()):
            return "baseline"
        return str(protocol.get("role", "headline"))

    def baseline_of(self, score: Score) -> str | None:
        """The name of the baseline that belongs beside a score."""
        beside = self.protocols.get(score.protocol, {}).get("beside", {})
        name: str | None = beside.get(score.metric)
        return name

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; what was not measured is null."""
        return asdict(self) | {"scores": [without_nan(asdict(score)) for score in self.scores]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, where: object = None) -> Evaluation:
        """The evaluation :meth:`to_json` wrote; RunError if it is something else."""
        try:
            scores = tuple(score_from_row(row) for row in data["scores"])
            constants = tuple(Constant(**row) for row in data.get("constants", ()))
            return cls(**{**data, "scores": scores, "constants": constants})
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"not an evaluation: {error}", where=where) from error


def lacking(protocols: Mapping[str, Mapping[str, Any]], protocol: str, metric: str) -> str:
    """Why a score would not be measured, as its protocol has it; empty where it does not say."""
    known = protocols.get(protocol, {})
    return str(known.get("absent", {}).get(metric) or known.get("needs", {}).get(metric, ""))


def without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with null for what was not measured, as JSON needs it."""
    return {k: None if isinstance(v, float) and isnan(v) else v for k, v in row.items()}


def score_from_row(row: Mapping[str, Any]) -> Score:
    """The score that stands in JSON, where null is what was not measured."""
    values: dict[str, Any] = {k: nan if v is None else v for k, v in row.items()}
    return Score(**values)
