"""Did a combination help? Against its best member, their consensus, and with worse neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import groupby
from math import isnan, nan
from typing import Any, Literal

from vesalius.errors import RunError
from vesalius.evaluation.differences import Difference
from vesalius.evaluation.harm import Harm
from vesalius.evaluation.power import power_line
from vesalius.evaluation.score import Score, without_nan

Kind = Literal["member", "consensus", "without", "unguarded", "swapped"]
Outcome = Literal["better", "worse", "undecided", "unknown"]
_HEADINGS: Mapping[Kind, str] = {
    "member": "gain over the best member by each score",
    "consensus": "gain over the consensus of its members",
    "without": "gain over {other}, which has no neighbours",
    "unguarded": "leakage gain: guard of patients off minus on",
    "swapped": "own neighbours minus another case's",
}
_SENTENCES: Mapping[Kind, Mapping[Outcome, str]] = {
    "member": {
        "better": "better than its best member ({other})",
        "worse": "worse than its best member ({other})",
        "undecided": "no difference to its best member ({other}) that these {n} cases could show",
    },
    "consensus": {
        "better": "better than the consensus of its members",
        "worse": "worse than the consensus of its members",
        "undecided": "no difference to its members' consensus that these {n} cases could show",
    },
    "without": {
        "better": "better than without neighbours ({other})",
        "worse": "worse than without neighbours ({other})",
        "undecided": "no difference to {other}, which has none, that these {n} cases could show",
    },
    "unguarded": {
        "better": "leakage: it scores more where cases of the same patient may come",
        "worse": "it scores less where cases of the same patient may come",
        "undecided": "no gain from cases of the same patient that these {n} cases could show",
    },
    "swapped": {
        "better": "its own neighbours help: another case's serve it less well",
        "worse": "another case's neighbours serve it better than its own",
        "undecided": "another case's neighbours serve as well, as far as these {n} cases show",
    },
}


@dataclass(frozen=True, slots=True)
class Contrast:
    """One score of the combination and of what it is held against, on the same cases.

    ``difference`` is the combination minus ``other``; under ``unguarded`` it is the other way
    round, what the score gains where the guard of patients is off. ``better``: whether higher or
    lower is. ``level`` is that of the interval.
    """

    kind: Kind
    other: str
    better: str
    difference: Difference
    level: float = 0.95

    @property
    def heading(self) -> str:
        """What it is held against, in a few words."""
        return _HEADINGS[self.kind].format(other=self.other)

    @property
    def outcome(self) -> Outcome:
        """What the interval of the difference says, where the test agrees; ``unknown`` without one.

        Of few groups a bootstrap's interval is too narrow, and randomisation knows how few.
        """
        d = self.difference
        if not d.measured or isnan(d.low) or isnan(d.p):
            return "unknown"
        low, high = (d.low, d.high) if self.better == "higher" else (-d.high, -d.low)
        if low <= 0 <= high or d.p > 1 - self.level:
            return "undecided"
        return "better" if low > 0 else "worse"

    @property
    def says(self) -> str:
        """The outcome in a word or two: without the guard, more is no praise."""
        words = {"better": "leaks", "worse": "lower unguarded"}
        return words.get(self.outcome, self.outcome) if self.kind == "unguarded" else self.outcome

    def __str__(self) -> str:
        d = self.difference
        if self.outcome == "unknown":
            basis = "without resamples" if isnan(d.p) and d.groups > 1 else f"of {d.groups} groups"
            what = f"whether it differs from {self.other} cannot be said {basis}"
        else:
            what = _SENTENCES[self.kind][self.outcome].format(other=self.other, n=f"{d.n:,}")
        p = "" if isnan(d.p) else f", p {d.p:.4f}"
        return f"{d.metric}: {what}: {d}{p}, n = {d.n:,} in {d.groups:,} groups"


@dataclass(frozen=True, slots=True)
class Gain:
    """What a combination gains, by every score, and by ``primary`` in sentences.

    ``copy`` is the copy rate, where answers and neighbours have texts. ``inputs`` names by hash the
    predictions beside the combination's own that this is of.
    """

    primary: str
    contrasts: tuple[Contrast, ...]
    harms: tuple[Harm, ...]
    copy: Score | None = None
    notes: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)

    def groups(self) -> list[tuple[str, list[Contrast]]]:
        """The contrasts by what they are held against, each with its heading."""
        pairs = groupby(self.contrasts, key=lambda one: one.heading)
        return [(heading, list(contrasts)) for heading, contrasts in pairs]

    def sentences(self) -> list[str]:
        """By the primary score: what the intervals say, who was harmed, and what was copied."""
        rows = [str(c) for c in self.contrasts if c.difference.metric == self.primary]
        rows += [_harm_sentence(one) for one in self.harms if one.metric == self.primary]
        if self.copy is not None:
            rows.append(
                f"copy rate: {self.copy} of the answers' 4-grams stand in a neighbour's text and "
                f"in no reference, n = {self.copy.n:,}"
            )
        if self.contrasts:
            own = [c.difference for c in self.contrasts if c.difference.metric == self.primary]
            rows.append(power_line(own, self.contrasts[0].level))
        return [*rows, *self.notes]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; what was not measured is null."""
        contrasts = [
            asdict(c) | {"difference": without_nan(asdict(c.difference)), "outcome": c.outcome}
            for c in self.contrasts
        ]
        rows = [
            asdict(h)
            | {"harmed": without_nan(asdict(h.harmed)), "saved": without_nan(asdict(h.saved))}
            for h in self.harms
        ]
        copy = None if self.copy is None else without_nan(asdict(self.copy))
        return asdict(self) | {"contrasts": contrasts, "harms": rows, "copy": copy}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, where: object = None) -> Gain:
        """What :meth:`to_json` wrote; RunError if it is something else."""
        try:
            contrasts = tuple(
                Contrast(
                    c["kind"],
                    c["other"],
                    c["better"],
                    Difference(**_nan(c["difference"])),
                    c["level"],
                )
                for c in data["contrasts"]
            )
            rows = tuple(
                Harm(
                    **{
                        **h,
                        "harmed": Score(**_nan(h["harmed"])),
                        "saved": Score(**_nan(h["saved"])),
                    }
                )
                for h in data["harms"]
            )
            copy = None if data["copy"] is None else Score(**_nan(data["copy"]))
            more = {"notes": tuple(data["notes"]), "inputs": data["inputs"]}
            return cls(data["primary"], contrasts, rows, copy, **more)
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"not what a combination gains: {error}", where=where) from error


def _harm_sentence(harm: Harm) -> str:
    n, units = harm.harmed.n, harm.harmed.groups
    if harm.margin:
        what = f"fall by more than {harm.margin:g} against {harm.other}"
        other = "rise by as much"
    else:
        what = f"are right with {harm.other} and wrong in the combination"
        other = "are wrong there and right here"
    return (
        f"harm rate: {harm.harmed} of the cases {what}, {harm.saved} {other} ({harm.metric}), "
        f"n = {n:,} in {units:,} groups"
    )


def _nan(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: nan if v is None else v for k, v in row.items()}
