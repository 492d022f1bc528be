"""Scores with their protocol and interval, overall and by slice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.evaluation.constants import constants
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.measuring import Spec, built, measure
from vesalius.evaluation.metrics.confidence import certainty
from vesalius.evaluation.prediction_sets import (
    SLICES,
    facts,
    group_of,
    refuse_duplicates,
    slices,
)
from vesalius.evaluation.score import Evaluation, IntervalMethod, Score
from vesalius.evaluation.scoring import scores
from vesalius.evaluation.stats import clusters
from vesalius.run import Run
from vesalius.system.files import read_json, write_json
from vesalius.system.version import __version__

AUTOMATIC = "calibration"
"""Measured without being named, wherever predictions have a confidence."""


def evaluate(
    predictions: Sequence[Prediction],
    metrics: Sequence[Spec] = ("squad", "closed"),
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    interval: IntervalMethod = "percentile",
    by: Sequence[str] = SLICES,
) -> Evaluation:
    """Score predictions, with cluster-bootstrap intervals, overall and by slice.

    ``metrics`` are registry names or ``{name: parameters}``. RunError where an id appears twice;
    UnknownName for a metric that does not exist. Slices are drawn from their own groups.
    """
    refuse_duplicates(predictions)
    measured = measure(predictions, metrics)
    names = [group_of(p) for p in predictions]
    draws = Draws(resamples, level, seed, interval)
    rows: list[Score] = []
    for label, keep in slices(predictions, by):
        groups = clusters([name for name, inside in zip(names, keep, strict=True) if inside])
        parts = [replace(entry, table=entry.rows(keep)) for entry in measured]
        rows += scores(parts, groups, draws, label=label)
    protocols = {entry.name: entry.metric.protocol.to_dict() for entry in measured}
    return Evaluation(
        tuple(rows),
        protocols,
        resamples,
        level,
        seed,
        facts(predictions),
        counts={entry.name: counts for entry in measured if (counts := entry.counts())},
        interval=interval,
    )


def evaluate_run(
    run: Run,
    name: str = "",
    *,
    metrics: Sequence[Spec] = (),
    resamples: int | None = None,
    interval: IntervalMethod | None = None,
    by: Sequence[str] = SLICES,
) -> Evaluation:
    """Score one of a run's prediction sets as its recipe says; calibration where it is possible.

    Scores that stand in the run are given back if they are of these predictions, settings and this
    version. Else they are computed, and written there unless that would replace scores of the same
    predictions under other settings (:func:`save_scores` does).
    """
    recipe = run.recipe().evaluation
    automatic = [AUTOMATIC] if not metrics and AUTOMATIC not in recipe.metrics else []
    how: dict[str, Any] = {
        "resamples": recipe.resamples if resamples is None else resamples,
        "level": recipe.level,
        "seed": recipe.seed,
        "interval": interval or recipe.interval,
        "by": by,
    }
    chosen: list[Spec] = list(metrics or recipe.metrics)
    digest = predictions_sha256(run, name)
    settings = _settings_digest([*chosen, *automatic], how)
    stored = _stored(run, name)
    if stored is not None and (stored.predictions_sha256, stored.settings_sha256) == (
        digest,
        settings,
    ):
        return stored
    predictions = list(run.predictions(name))
    if any(certainty(prediction) is not None for prediction in predictions):
        chosen += automatic
    evaluation = replace(
        evaluate(predictions, chosen, **how),
        predictions_sha256=digest,
        settings_sha256=settings,
        constants=constants(predictions, chosen, run.frequent_answer(), by),
    )
    if stored is None or stored.predictions_sha256 != digest:
        with suppress(OSError):  # a run that is only read is scored all the same
            save_scores(run, evaluation, name)
    return evaluation


def save_scores(run: Run, evaluation: Evaluation, name: str = "") -> None:
    """Write the scores of a prediction set into the run: ``scores.json``, ``scores-NAME.json``."""
    write_json(run.scores_file(name), evaluation.to_json())


def _stored(run: Run, name: str) -> Evaluation | None:
    """The scores in the run; None where there are none that can be read."""
    path = run.scores_file(name)
    if not path.exists():
        return None
    with suppress(RunError):
        return Evaluation.from_json(read_json(path), where=path)
    return None


def predictions_sha256(run: Run, name: str = "") -> str:
    """The hash of a prediction set's file, in hexadecimal; RunError where it cannot be read."""
    path = run.predictions_file(name)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"cannot be read: {error.strerror}", where=path) from error


def _settings_digest(specs: Sequence[Spec], how: dict[str, Any]) -> str:
    """A hash of all that decides the scores beside the predictions: what a protocol says, too."""
    protocols = {name: metric.protocol.to_dict() for name, metric in map(built, specs)}
    content = [protocols, how, "constants by slice", __version__]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
