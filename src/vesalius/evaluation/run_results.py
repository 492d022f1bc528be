"""What a report tells of a run: its predictions, scores, and differences to others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.errors import NotComparable, RunError
from vesalius.evaluation.compare import compare
from vesalius.evaluation.differences import Difference
from vesalius.evaluation.evaluate import evaluate_run
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.prediction_sets import prediction_sets
from vesalius.evaluation.score import Evaluation, Score
from vesalius.recipe import Recipe
from vesalius.run import Run


@dataclass(frozen=True, slots=True)
class RunResults:
    """What a report tells of one run."""

    run: Run
    recipe: Recipe
    status: Mapping[str, Any]
    predictions: Sequence[Prediction]
    evaluation: Evaluation

    @classmethod
    def of(cls, run: Run) -> RunResults:
        """Read a run, and its scores if they are of these answers and settings; else score it."""
        predictions = list(run.predictions())
        return cls(run, run.recipe(), run.status(), predictions, evaluate_run(run))

    @property
    def split(self) -> str:
        """The split that was answered."""
        entry = self.status.get("predictions", {}).get("test", {})
        return str(entry.get("split") or self.recipe.data.splits.test)

    @property
    def primary(self) -> tuple[Spec, Score]:
        """What stands for the recipe's first metric, more being better, and that metric."""
        return primary_score(self.run, self.evaluation)


def primary_score(run: Run, evaluation: Evaluation) -> tuple[Spec, Score]:
    """The first of the recipe's metrics with a score for which more is better, and that score.

    RunError where none of them could be measured.
    """
    scores = sorted(evaluation.overall(), key=lambda s: not evaluation.foremost(s))
    for spec in run.recipe().evaluation.metrics:
        name = spec if isinstance(spec, str) else next(iter(spec))
        for score in scores:
            mine = score.protocol == name or score.protocol.startswith(f"{name}(")
            if mine and score.measured and evaluation.better(score) == "higher":
                return spec, score
    raise RunError(
        "none of the recipe's metrics could be measured",
        where=run.path,
        hint="do the predictions have references?",
    )


def against(
    main: RunResults, others: Iterable[RunResults], spec: Spec, primary: Score
) -> list[tuple[str, Difference | None]]:
    """The primary score's difference to each baseline; None where no prediction is shared."""
    return [
        (other.run.name, _difference(other.predictions, main, spec, primary)) for other in others
    ]


def changed(
    main: RunResults, spec: Spec, primary: Score, probed: Collection[str] = ()
) -> list[tuple[str, Difference | None]]:
    """The same for the run's own answers under a change (``blank`` ...), but for those probed."""
    return [
        (name, _difference(list(main.run.predictions(name)), main, spec, primary))
        for name in prediction_sets(main.run)
        if name and name not in probed and not name.startswith(("history-", "control-"))
    ]


def _difference(
    baseline: Sequence[Prediction], main: RunResults, spec: Spec, primary: Score
) -> Difference | None:
    settings = main.recipe.evaluation
    try:
        comparison = compare(
            baseline,
            main.predictions,
            [spec],
            resamples=settings.resamples,
            level=settings.level,
            seed=settings.seed,
            by=(),
        )
    except NotComparable:
        return None  # other questions: the page says that they cannot be compared
    return next(d for d in comparison.overall() if d.metric == primary.metric)
