"""The verdict on a data set: a state a check, in words and numbers, with its date and digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from vesalius.data.survey.figures import Pair, Table
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated
from vesalius.system.tables import packaged_table

State = Literal["sound", "doubtful", "fault", "not measured"]
STATES: tuple[State, ...] = ("fault", "doubtful", "sound", "not measured")
"""The gravest first."""
FORMAT = 1


class Rule(Frozen):
    """What a check measures, and its bounds: above them its value is doubtful, or a fault."""

    title: str
    measures: str
    doubtful: float
    fault: float | None

    def state(self, value: float) -> State:
        """The state of a value in [0, 1]."""
        if self.fault is not None and value > self.fault:
            return "fault"
        return "doubtful" if value > self.doubtful else "sound"


@lru_cache(maxsize=1)
def rules() -> Mapping[str, Rule]:
    """Every check by name, in the order of the page."""
    table = packaged_table(__package__, "checks.yaml")
    return {name: Rule.model_validate(row) for name, row in table.items()}


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found: its state, a sentence, numbers, and for the page tables and pairs.

    ``facts`` hold numbers only, no word of the data: they go into files that are passed on.
    """

    name: str
    state: State
    words: str
    value: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    pairs: tuple[Pair, ...] = ()

    @property
    def rule(self) -> Rule:
        """What the check measures."""
        return rules()[self.name]


def measured(name: str, value: float, words: str, **more: Any) -> Result:
    """The result of a check whose value decides its state."""
    return Result(name, rules()[name].state(value), words, value, **more)


def unmeasured(name: str, reason: str) -> Result:
    """The result of a check that could not be made, and why."""
    return Result(name, "not measured", reason)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All results on one data set, the time (ISO 8601, UTC) and what the splits held then."""

    dataset: str
    date: str
    splits: Mapping[str, Mapping[str, Any]]
    """By split: ``cases`` and ``sha256``, the digest of pictures and words in any order."""
    results: tuple[Result, ...]
    version: str

    @property
    def state(self) -> State:
        """The gravest state of a check."""
        return min((one.state for one in self.results), key=STATES.index)

    def of(self, state: State) -> list[Result]:
        """The results in a state."""
        return [one for one in self.results if one.state == state]

    @property
    def headline(self) -> str:
        """What the states come to, in one line."""
        return headline({one.name: one.state for one in self.results})

    def to_json(self) -> dict[str, Any]:
        """The machine-readable verdict: states, words and numbers, nothing of a case."""
        return {
            "format": FORMAT,
            "dataset": self.dataset,
            "date": self.date,
            "vesalius": self.version,
            "state": self.state,
            "headline": self.headline,
            "splits": {name: dict(facts) for name, facts in self.splits.items()},
            "checks": {
                one.name: {
                    "title": one.rule.title,
                    "state": one.state,
                    "words": one.words,
                    "value": one.value,
                    **one.rule.model_dump(include={"measures", "doubtful", "fault"}),
                    "facts": dict(one.facts),
                }
                for one in self.results
            },
        }

    @classmethod
    def from_json(cls, content: Any, *, where: object) -> Verdict:
        """A verdict that was written; DatasetError where it is none, or of another format."""
        row = validated(_Row, content, where=where)
        if row.format != FORMAT:
            raise DatasetError(f"a verdict of format {row.format}, not {FORMAT}", where=where)
        results = tuple(
            Result(name, one.state, one.words, one.value, one.facts)
            for name, one in row.checks.items()
            if name in rules()
        )
        return cls(row.dataset, row.date, row.splits, results, row.vesalius)


def headline(states: Mapping[str, State]) -> str:
    """What the states of checks come to, in one line."""
    counts = {state: sum(one == state for one in states.values()) for state in STATES}
    if counts["fault"]:
        first = f"{_counted(counts['fault'], 'fault')}: no score on this set is to be told as it is"
    elif counts["doubtful"]:
        first = "No fault, but scores on this set need words beside them"
    elif counts["sound"]:
        first = "Sound, as far as it was measured"
    else:
        return "Nothing could be measured"
    rest = [(counts["doubtful"], "doubt"), (counts["not measured"], "check")]
    parts = [_counted(n, noun) for n, noun in rest[:1] if n]
    parts += [f"{_counted(n, noun)} not measured" for n, noun in rest[1:] if n]
    return "; ".join([first, *parts])


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class _Check(Frozen, extra="ignore"):
    state: State
    words: str
    value: float | None
    facts: dict[str, Any]


class _Row(Frozen, extra="ignore"):
    format: int
    dataset: str
    date: str
    vesalius: str
    splits: dict[str, dict[str, Any]]
    checks: dict[str, _Check]


def by_rule(results: Sequence[Result]) -> tuple[Result, ...]:
    """The results in the order of the page."""
    order = list(rules())
    return tuple(sorted(results, key=lambda one: order.index(one.name)))
