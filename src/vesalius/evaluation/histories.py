"""Dialogues under three histories: no earlier turns, the model's own answers, the references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.errors import NotComparable, RunError
from vesalius.evaluation.compare import Comparison, compare
from vesalius.evaluation.constants import constants
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.metrics.dialogue import is_turn
from vesalius.evaluation.score import ALL, Constant, Evaluation
from vesalius.run import FrequentAnswer, Run

HISTORIES = ("none", "own", "gold")
GAPS = {"own": "own minus gold", "none": "none minus gold"}
"""What is subtracted from what: wrong answers that follow from wrong ones, and what turns help."""
OVER_DIALOGUES = ("dialogue", "contradictions")
"""Metrics of whole dialogues, which turns get beside those that are chosen."""
SUMMARY_METRICS: tuple[Spec, ...] = ("rouge", "bleu", "meteor_exact_stem", "content")
"""Caption scores of the summary that a dialogue ends with."""
FIELDS = ("category",)


@dataclass(frozen=True, slots=True)
class Part:
    """Scores by history, and their paired differences to the gold history.

    ``constants`` are what always giving one answer would score, whatever was shown before.
    """

    scores: Mapping[str, Evaluation]
    gaps: Mapping[str, Comparison]
    constants: tuple[Constant, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "histories": {name: result.to_json() for name, result in self.scores.items()},
            "gaps": {GAPS[name]: result.to_json() for name, result in self.gaps.items()},
            "constants": [asdict(constant) for constant in self.constants],
        }


@dataclass(frozen=True, slots=True)
class Histories:
    """The turns' scores and the summaries' under each history; no summaries: ``summary`` is None.

    Under the gold history a summary can be copied from the answers shown: what a model sees in the
    picture by itself is its summary under ``none``, and under ``own`` what became of it.
    """

    turns: Part
    summary: Part | None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; what was not measured is null."""
        data = {"turns": self.turns.to_json()}
        return data if self.summary is None else data | {"summary": self.summary.to_json()}


def histories(
    sets: Mapping[str, Sequence[Prediction]],
    metrics: Sequence[Spec] = ("squad", "closed"),
    *,
    trained: FrequentAnswer | None = None,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Histories:
    """Score answers to the same turns under each history, and how far they fall short of gold.

    ``sets`` has a list for each of none, own and gold. Turns get ``metrics``, the scores by
    dialogue and the contradiction rates; summaries the caption scores. ``trained`` is the training
    split's most frequent answer. NotComparable where the sets do not answer the same turns.
    """
    _refuse_others(sets)
    how: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed}
    named = [spec if isinstance(spec, str) else next(iter(spec)) for spec in metrics]
    chosen = [*metrics, *(name for name in OVER_DIALOGUES if name not in named)]
    turns = {name: [p for p in sets[name] if is_turn(p)] for name in HISTORIES}
    closings = {name: [p for p in sets[name] if not is_turn(p)] for name in HISTORIES}
    summed = _part(closings, SUMMARY_METRICS, (), None, how) if closings["gold"] else None
    return Histories(_part(turns, chosen, FIELDS, trained, how), summed)


def histories_of(
    run: Run, *, metrics: Sequence[Spec] = (), resamples: int | None = None
) -> Histories:
    """The run's sets ``history-none``, ``history-own`` and ``history-gold``, scored as asked.

    RunError names a set that is missing, and the command that makes it.
    """
    settings = run.recipe().evaluation
    for name in HISTORIES:
        if not run.predictions_file(f"history-{name}").exists():
            hint = f"vesalius predict --run {run.path} --history {name}"
            raise RunError(f"has no answers under the history {name}", where=run.path, hint=hint)
    return histories(
        {name: list(run.predictions(f"history-{name}")) for name in HISTORIES},
        metrics or settings.metrics,
        trained=run.frequent_answer(),
        resamples=settings.resamples if resamples is None else resamples,
        level=settings.level,
        seed=settings.seed,
    )


def _part(
    sets: Mapping[str, Sequence[Prediction]],
    metrics: Sequence[Spec],
    by: Sequence[str],
    trained: FrequentAnswer | None,
    how: Mapping[str, Any],
) -> Part:
    scores = {
        name: _whole(evaluate(predictions, metrics, by=by, **how))
        for name, predictions in sets.items()
    }
    comparisons = {name: compare(sets["gold"], sets[name], metrics, by=by, **how) for name in GAPS}
    gaps = {
        name: replace(
            comparison,
            differences=tuple(d for d in comparison.differences if _stands(d, comparison)),
        )
        for name, comparison in comparisons.items()
    }
    return Part(scores, gaps, constants(sets["gold"], metrics, trained))


def _whole(evaluation: Evaluation) -> Evaluation:
    return replace(
        evaluation, scores=tuple(score for score in evaluation.scores if _stands(score, evaluation))
    )


def _stands(row: Any, of: Evaluation | Comparison) -> bool:
    """Whether a row is a score: a slice of turns has none of whole dialogues."""
    return row.slice == ALL or of.protocols[row.protocol].get("unit") != "dialogue"


def _refuse_others(sets: Mapping[str, Sequence[Prediction]]) -> None:
    ids = {name: {p.id for p in sets.get(name, ())} for name in HISTORIES}
    for name in HISTORIES:
        if not ids[name]:
            raise NotComparable(f"there are no answers under the history {name}")
        if ids[name] != ids["gold"]:
            apart = len(ids[name] ^ ids["gold"])
            raise NotComparable(
                f"{apart} turns were asked under one of the histories {name} and gold alone",
                hint="finish each with vesalius predict --history, on the same split and limit",
            )
