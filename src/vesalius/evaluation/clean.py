"""The clean subset: questions that no model without pictures of a named set answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.errors import NotComparable, RunError
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.metrics.closed import closed_right
from vesalius.evaluation.metrics.words import golds, is_closed, squad
from vesalius.evaluation.pairing import aligned
from vesalius.evaluation.score import Score, score_from_row, without_nan

CLEAN = "clean"
"""What the slice of these questions is called."""


@dataclass(frozen=True, slots=True)
class CleanSubset:
    """Scores on the questions that no one of ``without`` answers right.

    ``without`` has by name the hash of the answers that decided; ``n`` questions of ``of`` are
    clean.
    """

    without: Mapping[str, str]
    n: int
    of: int
    scores: tuple[Score, ...] = ()

    def __str__(self) -> str:
        names = ", ".join(self.without)
        return f"{self.n:,} of {self.of:,} questions are answered by none of {names}"

    def score(self, metric: str) -> Score | None:
        """One score on the subset; None where there is none of that name."""
        return next((score for score in self.scores if score.metric == metric), None)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; what was not measured is null."""
        return asdict(self) | {"scores": [without_nan(asdict(score)) for score in self.scores]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, where: object = None) -> CleanSubset:
        """What :meth:`to_json` wrote; RunError if it is something else."""
        try:
            return cls(**{**data, "scores": tuple(map(score_from_row, data["scores"]))})
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"not the scores of a clean subset: {error}", where=where) from error


def clean_ids(
    predictions: Sequence[Prediction], without: Mapping[str, Sequence[Prediction]]
) -> set[str]:
    """The ids of the questions that no one of the systems in ``without`` answers right.

    Right is an exact match (SQuAD v2) with a reference, or a closed answer that is. NotComparable
    where one of the systems did not answer all of them, or answered others under their ids.
    """
    clean = {p.id for p in predictions}
    for name, rows in without.items():
        here, there = aligned(predictions, rows)
        if len(here) < len(predictions):
            what = f"answers {len(here):,} of the {len(predictions):,} questions"
            hint = "a question that it was not asked cannot be called clean"
            raise NotComparable(what, where=name, hint=hint)
        clean -= {p.id for p in there if answered_right(p)}
    return clean


def answered_right(prediction: Prediction) -> bool:
    """Whether the answer is a reference's words (SQuAD v2), or a closed one that is right."""
    exact = squad(prediction.text) in map(squad, golds(prediction))
    return exact or (is_closed(prediction) and closed_right(prediction))


def clean_scores(
    predictions: Sequence[Prediction],
    without: Mapping[str, Sequence[Prediction]],
    digests: Mapping[str, str],
    metrics: Sequence[Spec],
    draws: Draws | None = None,
) -> CleanSubset:
    """Score the clean part of predictions; ``digests`` are the hashes of what ``without`` says.

    No scores where no question is clean.
    """
    chosen, ids = draws or Draws(), clean_ids(predictions, without)
    rows = [p for p in predictions if p.id in ids]
    how: dict[str, Any] = asdict(chosen)
    scores = evaluate(rows, metrics, by=(), **how).overall() if rows else []
    return CleanSubset(digests, len(rows), len(predictions), tuple(scores))
