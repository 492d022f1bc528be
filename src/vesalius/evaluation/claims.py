"""Claims and what the test cases say of them: shown, not shown, refuted; never silence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isnan
from typing import Any, Literal

from vesalius.evaluation.differences import Difference
from vesalius.evaluation.score import without_nan
from vesalius.recipe import Claim

Outcome = Literal["shown", "not shown", "refuted", "not measured"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claim.

    ``stated`` is the time at which a fit recorded it, in UTC; ``post_hoc``: predictions of the run
    were there already. ``difference`` is the run minus what it is held against; None where it was
    not measured, for ``reason``.
    """

    claim: Claim
    outcome: Outcome
    stated: str
    post_hoc: bool
    difference: Difference | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; what was not measured is null."""
        difference = None if self.difference is None else without_nan(asdict(self.difference))
        claim = self.claim.model_dump(mode="json")
        return asdict(self) | {"claim": claim, "difference": difference, "words": str(self)}

    @property
    def marked(self) -> str:
        """The outcome, with what a reader must know of when the claim was made."""
        return f"{self.outcome} (post hoc)" if self.post_hoc else self.outcome

    @property
    def evidence(self) -> str:
        """The paired difference with its interval, count and power, or why there is none."""
        if self.difference is None:
            return self.reason
        d = self.difference
        known = "" if isnan(d.detectable) else f", power ±{d.detectable:.3f}"
        return f"{d}, n = {d.n:,} in {d.groups:,} groups{known}"

    def __str__(self) -> str:
        return f"{self.marked}: {self.claim} ({self.evidence})"


def outcome(claim: Claim, difference: Difference, better: str) -> Outcome:
    """What a paired interval says of a claim.

    Shown: all of the interval agrees with it; refuted: none of it does; else not shown. ``better``
    is the score's direction, ``higher`` or ``lower``. Without an interval (one group, or resamples
    that are all alike in what is no proportion) only ``not measured`` can be told.
    """
    if isnan(difference.low) or isnan(difference.high):
        return "not measured"
    low, high = difference.low, difference.high
    if claim.equal_to:
        if not difference.first:
            return "not measured"
        low, high = sorted((low / difference.first, high / difference.first))
        if -claim.share < low and high < claim.share:
            return "shown"
        apart = high <= -claim.share or claim.share <= low
        return "refuted" if apart else "not shown"
    if better == "lower":
        low, high = -high, -low
    least = -(claim.margin or 0.0)
    if low > least or (claim.not_worse_than and low == least):
        return "shown"
    return "refuted" if high <= least and not low == high == 0 else "not shown"
