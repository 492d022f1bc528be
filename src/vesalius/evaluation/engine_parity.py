"""Engine parity: whether a server answers as the run does whose weights it serves.

Works on predictions alone: of the run (``own``), of its base without the adapter (``bare``), and of
the server under the adapter's name (``served``) and under the base's (``served_bare``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.compare import compare
from vesalius.evaluation.differences import Difference
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.score import without_nan
from vesalius.run import Run
from vesalius.system.files import read_json

FILE = "parity.json"
"""Where a run notes the last result."""
Tokens = Callable[[str], Sequence[int]]
"""A text as the ids that the run's own tokenizer makes of it."""
Predictions = Sequence[Prediction]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a server may be from the run before it is no longer that run."""

    agreement: float = 0.9
    """The least share of answers that are equal, and of prompts as long, in [0, 1]."""
    logprob: float = 0.1
    """The most by which the mean log-probability (nats) of an equal answer's tokens may differ, on
    average. Between fp32 and bf16 it is some hundredths; another prompt changes it by tenths."""

    def within(self, others: Bounds) -> bool:
        """Whether what passes these passes the others, too."""
        return self.agreement >= others.agreement and self.logprob <= others.logprob


@dataclass(frozen=True, slots=True)
class Effect:
    """What the adapter does to the answers, in the run and on the server.

    An item is moved where the answer with the adapter is another than without, or its tokens' mean
    log-probability is another by more than the bound.
    """

    moved: int
    """Items that the adapter moves in the run."""
    moved_there: int | None
    """Of these, those that it moves on the server; None where the server has no base to compare."""
    differing: int
    """Items that the run answers otherwise with the adapter than without it."""
    with_adapter: int
    """Of these, those that the server answers as the run does with the adapter."""
    without_adapter: int
    """Of these, those that it answers as the run's base does without it."""

    @property
    def ignored(self) -> bool:
        """Whether the server shows the base's behaviour under the adapter's name."""
        still = self.moved_there is not None and self.moved > 2 * self.moved_there
        return still or self.without_adapter > self.with_adapter

    def __str__(self) -> str:
        if not self.moved:
            return "the adapter moves none of these items in the run: its effect cannot be judged"
        there = "the server has no base to ask" if self.moved_there is None else self.moved_there
        answers = (
            f"; of {self.differing} other answers the server gives {self.with_adapter} as with it,"
            f" {self.without_adapter} as without"
            if self.differing
            else ""
        )
        return f"the adapter moves {self.moved} items in the run, on the server: {there}{answers}"


@dataclass(frozen=True, slots=True)
class Parity:
    """A server beside a run, on the same items."""

    items: int
    equal: int
    """Answers that are the same."""
    leading_tokens: float
    """Mean share of an answer's tokens, from the first on, that are the same; 1 if all are."""
    logprob: float
    """Mean absolute difference of the mean log-probability (nats) of equal answers' tokens; NaN
    where the server tells none."""
    prompts: int | None
    """Items whose prompt, picture included, has as many tokens there; None where it tells none."""
    score: Difference | None
    """The recipe's first score, server minus run, with its paired interval; None if unmeasured."""
    effect: Effect | None
    """None for a run without an adapter."""
    bounds: Bounds

    @property
    def agreement(self) -> float:
        """The share of equal answers."""
        return self.equal / self.items

    @property
    def faults(self) -> tuple[str, ...]:
        """Why the server is not this run, each in words; empty where it passes."""
        return tuple(self._faults())

    @property
    def verdict(self) -> str:
        """One line: that the server answers as the run does, or why it does not."""
        if self.faults:
            return "not the run: " + "; ".join(self.faults)
        return "the server answers as the run does"

    def _faults(self) -> Iterator[str]:
        if self.effect is not None and self.effect.ignored:
            yield f"the adapter is ignored ({self.effect})"
        if self.agreement < self.bounds.agreement:
            counted = f"{self.equal} of {self.items} answers equal"
            yield f"{counted}, below {self.bounds.agreement:.0%}"
        if self.logprob > self.bounds.logprob:
            apart = f"{self.logprob:.3f} nats, above {self.bounds.logprob:g}"
            yield f"log-probabilities of equal answers' tokens differ by {apart}"

        if self.prompts is not None and self.prompts < self.bounds.agreement * self.items:
            counted = f"{self.prompts} of {self.items} prompts have as many tokens"
            yield f"{counted}: another chat template, or pictures of another size"

    def facts(self) -> dict[str, str]:
        """What was measured, by what it is called, in words."""
        apart = "not measured: none told, or no answer equal"
        if not math.isnan(self.logprob):
            apart = f"{self.logprob:.4f} nats on average (at most {self.bounds.logprob:g})"
        least = f"at least {self.bounds.agreement:.0%}"
        found = {
            "answers equal": f"{self.equal} of {self.items} ({self.agreement:.1%}; {least})",
            "leading tokens equal": f"{self.leading_tokens:.1%}",
            "log-probabilities differ": apart,
            "prompts as long": "not told"
            if self.prompts is None
            else f"{self.prompts} of {self.items}",
        }
        if self.score is not None:
            found[f"{self.score.metric}, server minus run"] = str(self.score)
        if self.effect is not None:
            found["adapter"] = str(self.effect)
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; what was not measured is null."""
        score = None if self.score is None else without_nan(asdict(self.score))
        effect = None if self.effect is None else asdict(self.effect)
        plain = {
            "items": self.items,
            "equal": self.equal,
            "leading_tokens": self.leading_tokens,
            "logprob": self.logprob,
            "prompts": self.prompts,
        }
        bounds = asdict(self.bounds)
        verdict = {"passed": not self.faults, "verdict": self.verdict, "facts": self.facts()}
        return without_nan(plain) | {"score": score, "effect": effect, "bounds": bounds} | verdict


def parity(
    own: Predictions,
    served: Predictions,
    tokens: Tokens,
    *,
    bare: Predictions | None = None,
    served_bare: Predictions | None = None,
    metrics: Sequence[Spec] = (),
    bounds: Bounds | None = None,
) -> Parity:
    """A server's predictions beside the run's, to the same items in the same order.

    ``bare``: the run's base without the adapter; ``served_bare``: the server under the base's
    name. ``metrics``: of the first, the first score is compared. ValueError for no items.
    """
    limits = bounds or Bounds()
    if not own:
        raise ValueError("parity needs items")
    same = [a.answer == b.answer for a, b in zip(own, served, strict=True)]
    gaps = np.array([abs(_gap(a, b)) for a, b, e in zip(own, served, same, strict=True) if e])
    told = gaps[~np.isnan(gaps)]
    pairs = zip(own, served, strict=True)
    leading = [_leading(tokens(a.text or ""), tokens(b.text or "")) for a, b in pairs]
    compared = compare(own, served, metrics[:1]).overall() if metrics else []
    effect = None if bare is None else _effect(own, served, bare, served_bare, limits.logprob)
    return Parity(
        items=len(own),
        equal=sum(same),
        leading_tokens=float(np.mean(leading)),
        logprob=float(told.mean()) if len(told) else math.nan,
        prompts=_prompts(own, served),
        score=compared[0] if compared else None,
        effect=effect,
        bounds=limits,
    )


def noted(run: Run) -> dict[str, str]:
    """What the run notes of the last server that was held against it, in words; empty if none."""
    path = run.path / FILE
    if not path.exists():
        return {}
    row: dict[str, Any] = read_json(path)
    facts: dict[str, str] = row["facts"]
    return {"verdict": row["verdict"], "model": row["model"], "at": row["at"]} | facts


def _effect(
    own: Predictions,
    served: Predictions,
    bare: Predictions,
    served_bare: Predictions | None,
    bound: float,
) -> Effect:
    moved = [_moved(a, b, bound) for a, b in zip(own, bare, strict=True)]
    there = None
    if served_bare is not None:
        pairs = zip(moved, served, served_bare, strict=True)
        there = sum(_moved(a, b, bound) for here, a, b in pairs if here)
    rows = [
        (a.answer == c.answer, b.answer == c.answer)
        for a, b, c in zip(own, bare, served, strict=True)
        if a.answer != b.answer
    ]
    return Effect(sum(moved), there, len(rows), sum(a for a, _ in rows), sum(b for _, b in rows))


def _moved(one: Prediction, other: Prediction, bound: float) -> bool:
    return one.answer != other.answer or abs(_gap(one, other)) > bound


def _gap(one: Prediction, other: Prediction) -> float:
    """The difference of the answers' mean token log-probabilities, in nats; NaN if one is not told.

    A prediction's confidence is the exponential of that mean, in every engine.
    """
    return _logprob(one) - _logprob(other)


def _logprob(prediction: Prediction) -> float:
    sure = prediction.confidence
    return math.nan if sure is None else math.log(max(sure.value, 1e-6))


def _prompts(own: Predictions, served: Predictions) -> int | None:
    """How many prompts have as many tokens in both; None where the server tells none."""
    here, there = ([p.usage.prompt_tokens if p.usage else 0 for p in ps] for ps in (own, served))
    return sum(a == b for a, b in zip(here, there, strict=True)) if all(there) else None


def _leading(one: Sequence[int], other: Sequence[int]) -> float:
    """The share of the longer text's tokens that are the same from the first on."""
    longest = max(len(one), len(other))
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    return (min(len(one), len(other)) if same is None else same) / longest if longest else 1.0
