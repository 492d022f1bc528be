"""Evaluate and compare: scores of a run, of a file of predictions, or of predictions in hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.evaluation import compare as comparing
from vesalius.evaluation import evaluate as scoring
from vesalius.evaluation.clean import clean_ids, clean_scores
from vesalius.evaluation.compare import Comparison
from vesalius.evaluation.constants import constants
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.evaluate import evaluate_run, save_scores
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.pairing import paired
from vesalius.evaluation.prediction_sets import SLICES, prediction_sets
from vesalius.evaluation.protocols import SideBySide, side_by_side
from vesalius.evaluation.score import Evaluation, IntervalMethod
from vesalius.recipe import Evaluation as Settings
from vesalius.run import Run, read_predictions
from vesalius.steps.clean import blind_answers
from vesalius.steps.coverage import coverage_of, own_coverage
from vesalius.steps.gain import with_gain
from vesalius.steps.verdicts import note_verdict

Predicted = Run | Path | str | Sequence[Prediction]
"""A run, its folder, a JSON-lines file of predictions, or predictions."""


def evaluate(
    predicted: Predicted,
    name: str | None = None,
    *,
    metrics: Sequence[Spec] = (),
    resamples: int | None = None,
    interval: IntervalMethod | None = None,
    by: Sequence[str] = SLICES,
    without: Path | str | None = None,
    clean: Sequence[Path | str] = (),
) -> Evaluation:
    """Score predictions, with protocols and intervals, overall and by slice.

    ``predicted`` is a run or its folder, a JSON-lines file, or predictions. A run is scored as its
    recipe says: the set of predictions called ``name``, by default the unnamed one, or the first
    if all have names; the scores are also written into the run (``scores.json``), and what an audit
    says of its data is noted there (``status.json``). ``metrics`` are
    registry names or ``{name: parameters}``; ``resamples`` the number of bootstrap draws, 0 for no
    intervals; ``interval`` how they are made (``percentile``, ``bca``, ``exact``; default: the
    recipe's); ``by`` the fields that make slices. A combined run's evaluation has what it gains
    over its members, over ``without`` (a run or file of answers without neighbours), and under the
    controls that were predicted. ``clean`` names systems without pictures (runs, or files of their
    answers to the same questions): what none of them answers is scored beside the whole.
    A run's unnamed set is held against the questions of its data where predict's note does not
    vouch for it (``coverage``); for others :func:`with_coverage` does so.

    RunError where there are no predictions, an id appears twice, or ``name`` is given for no run;
    UnknownName for a metric that does not exist.
    """
    run = _run(predicted)
    how: dict[str, Any] = {"metrics": metrics, "resamples": resamples}
    if run is None:
        if name is not None:
            raise RunError(f"only a run has sets of predictions ({name!r})", hint="leave it out")
        if without is not None:
            raise RunError("only a run is held against one without neighbours", hint="name a run")
        rows = _rows(predicted)
        evaluation = _of_rows(rows, interval=interval, by=by, **how)
        return _with_clean(evaluation, rows, clean, metrics or Settings().metrics)
    chosen = prediction_sets(run)[0] if name is None else name
    if chosen and without is not None:
        what = f"the set {chosen!r} is not held against a run without neighbours"
        raise RunError(what, where=run.path, hint="its unnamed set is: vesalius predict --run RUN")
    rows = _rows(run, chosen)
    evaluation = evaluate_run(run, chosen, interval=interval, by=by, **how)
    if chosen == "":
        evaluation = with_gain(run, evaluation, without=without, **how)
        held = own_coverage(run, rows, evaluation.predictions_sha256)
        evaluation = replace(evaluation, coverage=held.to_json() if held else {})
    evaluation = _with_clean(evaluation, rows, clean, metrics or run.recipe().evaluation.metrics)
    save_scores(run, evaluation, chosen)
    note_verdict(run)
    return evaluation


def with_coverage(
    evaluation: Evaluation, predicted: Predicted, questions: Path | str
) -> Evaluation:
    """The evaluation with the ids that ``predicted`` leaves out and invents (``coverage``).

    ``questions`` names a run, a recipe (.yaml) or a data set whose test questions they are.
    RunError for a run, which knows its own; DatasetError where the questions are not here.
    """
    run = _run(predicted)
    if run is not None:
        raise RunError("a run knows its own questions", where=run.path, hint="leave questions out")
    return replace(evaluation, coverage=coverage_of(_rows(predicted), questions).to_json())


def _of_rows(
    rows: Sequence[Prediction],
    *,
    metrics: Sequence[Spec],
    resamples: int | None,
    interval: IntervalMethod | None,
    by: Sequence[str],
) -> Evaluation:
    """Predictions that no recipe stands behind: what is not said is as in a recipe's default."""
    settings = Settings()
    specs = metrics or settings.metrics
    evaluation = scoring.evaluate(
        rows,
        specs,
        resamples=settings.resamples if resamples is None else resamples,
        interval=interval or settings.interval,
        by=by,
    )
    return replace(evaluation, constants=constants(rows, specs))


def _with_clean(
    evaluation: Evaluation,
    rows: Sequence[Prediction],
    clean: Sequence[Path | str],
    metrics: Sequence[Spec],
) -> Evaluation:
    """The evaluation with the scores on what no one of these systems answers."""
    if not clean:
        return evaluation
    draws = Draws(evaluation.resamples, evaluation.level, evaluation.seed, evaluation.interval)
    subset = clean_scores(rows, *blind_answers(clean), metrics, draws)
    return replace(evaluation, clean=subset.to_json())


def compare(
    first: Predicted,
    second: Predicted,
    *,
    metrics: Sequence[Spec] = (),
    resamples: int | None = None,
    by: Sequence[str] = SLICES,
    clean: Sequence[Path | str] = (),
) -> Comparison:
    """Pair the predictions of two systems by id; every difference is second minus first.

    Each is what :func:`evaluate` takes; of a run its unnamed set counts. Metrics, resamples, level
    and seed are those of the second's recipe unless said otherwise. What no one of the systems that
    ``clean`` names answers is a slice more. NotComparable if no id is
    shared or one stands for two questions; RunError where there are no predictions.
    """
    run = _run(second)
    settings = Settings() if run is None else run.recipe().evaluation
    ours, theirs = _rows(first), _rows(second)
    ids = None
    if clean:
        ids = clean_ids(paired(ours, theirs)[0], blind_answers(clean)[0])
    return comparing.compare(
        ours,
        theirs,
        metrics or settings.metrics,
        resamples=settings.resamples if resamples is None else resamples,
        level=settings.level,
        seed=settings.seed,
        by=by,
        clean=ids,
    )


def protocols(
    predicted: Predicted, names: Sequence[str], *, resamples: int | None = None
) -> tuple[SideBySide, list[Prediction]]:
    """The same answers scored by protocols of these names, and the answers themselves.

    ``predicted`` is what :func:`evaluate` takes; of a run its unnamed set counts. See
    :func:`~vesalius.evaluation.protocols.side_by_side`.
    """
    run = _run(predicted)
    settings = Settings() if run is None else run.recipe().evaluation
    drawn = settings.resamples if resamples is None else resamples
    rows = _rows(predicted)
    return side_by_side(rows, names, Draws(drawn, settings.level, settings.seed)), rows


def _run(predicted: Predicted) -> Run | None:
    """The run, where it is one or the folder of one; RunError for a folder that is none."""
    if isinstance(predicted, Run):
        return predicted
    folder = isinstance(predicted, str | Path) and Path(predicted).is_dir()
    return Run.open(Path(str(predicted))) if folder else None


def _rows(predicted: Predicted, name: str = "") -> list[Prediction]:
    """The predictions; RunError where there are none: scores of nothing would look like some."""
    run, where = _run(predicted), predicted if isinstance(predicted, str | Path) else None
    if run is not None:
        rows, where = list(run.predictions(name)), run.predictions_file(name)
    elif isinstance(predicted, str | Path):
        rows = list(read_predictions(Path(predicted)))
    else:
        rows = list(predicted)  # type: ignore[arg-type]
    if not rows:
        raise RunError("there are no predictions in it", where=where)
    return rows
