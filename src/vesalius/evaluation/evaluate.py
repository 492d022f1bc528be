"""Scores with their protocol and interval, overall and by slice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.evaluation.metrics import Array, Metric, Table, metrics
from vesalius.evaluation.score import ALL, Evaluation, Score
from vesalius.evaluation.stats import bootstrap, clusters, interval, wilson
from vesalius.recipe import validated
from vesalius.run import Run

Spec = str | Mapping[str, Mapping[str, Any]]
SLICES = ("category", "modality", "kind")


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric under the name it was asked by, with its table of sufficient statistics."""

    name: str
    metric: Metric
    table: Table

    def rows(self, keep: NDArray[np.bool_]) -> Table:
        """The rows of the table that are kept (a mask [n])."""
        return {k: v[keep] for k, v in self.table.items()}


def evaluate(
    predictions: Sequence[Prediction],
    metrics: Sequence[Spec] = ("squad", "closed"),
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    by: Sequence[str] = SLICES,
) -> Evaluation:
    """Score predictions, with cluster-bootstrap intervals, overall and by slice.

    ``metrics`` are registry names or ``{name: parameters}``. RunError where an id appears twice;
    UnknownName for a metric that does not exist. Slices are drawn from their own groups.
    """
    refuse_duplicates(predictions)
    measured = measure(predictions, metrics)
    names = [group_of(p) for p in predictions]
    scores: list[Score] = []
    for label, keep in slices(predictions, by):
        groups = clusters([name for name, inside in zip(names, keep, strict=True) if inside])
        parts = [replace(entry, table=entry.rows(keep)) for entry in measured]
        statistic = partial(_all, parts)
        drawn = bootstrap(statistic, groups, resamples, seed) if len(set(groups)) > 1 else {}
        for (name, metric), value in statistic(np.ones((1, len(groups)))).items():
            table = next(part.table for part in parts if part.name == name)
            n, units = counted(table, metric, groups)
            low, high = interval(drawn.get((name, metric), np.zeros(0)), level)
            score = Score(metric, name, float(value[0]), low, high, n, units, label)
            if n or label == ALL:
                scores.append(_widened(score, table.get(metric), level))
    protocols = {entry.name: entry.metric.protocol.to_dict() for entry in measured}
    return Evaluation(tuple(scores), protocols, resamples, level, seed, facts(predictions))


def _widened(score: Score, column: Array | None, level: float) -> Score:
    """The score with Wilson's interval where it is a proportion and no resample differs.

    Then the bootstrap's bounds coincide, as if three right answers of three proved anything.
    Groups are the trials: what is the same in every group was seen once a group.
    """
    if column is None or column.ndim > 1 or score.low != score.high:
        return score
    if not np.isin(column[~np.isnan(column)], (0.0, 1.0)).all():
        return score
    low, high = wilson(round(score.value * score.groups), score.groups, level)
    return replace(score, low=low, high=high, interval="wilson")


def _all(parts: Sequence[Measured], weights: Array) -> dict[tuple[str, str], Array]:
    """Every metric's scores under the same draws, by protocol and score."""
    return {
        (part.name, score): values
        for part in parts
        for score, values in part.metric.aggregate(part.table, weights).items()
    }


def evaluate_run(
    run: Run,
    name: str = "",
    *,
    metrics: Sequence[Spec] = (),
    resamples: int | None = None,
    by: Sequence[str] = SLICES,
) -> Evaluation:
    """Score one of a run's prediction sets as its recipe says; calibration where it is possible."""
    predictions = list(run.predictions(name))
    settings = run.recipe().evaluation
    chosen: list[Spec] = list(metrics or settings.metrics)
    if not metrics and any(p.confidence is not None for p in predictions):
        chosen += [] if "calibration" in chosen else ["calibration"]
    return evaluate(
        predictions,
        chosen,
        resamples=settings.resamples if resamples is None else resamples,
        level=settings.level,
        seed=settings.seed,
        by=by,
    )


def prediction_sets(run: Run) -> list[str]:
    """The names of a run's prediction sets, the unnamed one first; RunError if it has none."""
    names = {
        p.stem.removeprefix("predictions").removeprefix("-")
        for p in run.path.glob("predictions*.jsonl")
    }
    if not names:
        raise RunError(
            "has no predictions", where=run.path, hint=f"vesalius predict --run {run.path}"
        )
    return sorted(names)


def measure(predictions: Sequence[Prediction], specs: Sequence[Spec]) -> list[Measured]:
    """Every metric's table, each text seen once."""
    built = [_built(name, parameters) for name, parameters in map(_named, specs)]
    return [Measured(name, metric, metric.measure(predictions)) for name, metric in built]


def group_of(prediction: Prediction) -> str:
    """The unit of resampling: the patient or image group, else the image, else the case."""
    return prediction.group or prediction.picture or prediction.case or prediction.id


def refuse_duplicates(predictions: Sequence[Prediction]) -> None:
    """RunError names an id that appears twice: it would be counted twice."""
    for name, times in Counter(p.id for p in predictions).items():
        if times > 1:
            raise RunError(f"the id {name!r} appears {times} times", hint="keep one row per id")


def facts(predictions: Sequence[Prediction]) -> dict[str, int]:
    """What a reader must know of the predictions beside their scores."""
    return {
        "predictions": len(predictions),
        "groups": len({group_of(p) for p in predictions}),
        "abstained": sum(p.abstained for p in predictions),
        "empty": sum(p.answer.text is not None and not p.text.strip() for p in predictions),
        "cut_at_limit": sum(p.finish == "length" for p in predictions),
        "without_reference": sum(not p.references for p in predictions),
    }


def _named(spec: Spec) -> tuple[str, Mapping[str, Any]]:
    if isinstance(spec, str):
        return spec, {}
    if len(spec) != 1:
        raise RunError(f"a metric is a name or one name with parameters, not {dict(spec)!r}")
    name, parameters = next(iter(spec.items()))
    return name, parameters


def _built(name: str, parameters: Mapping[str, Any]) -> tuple[str, Metric]:
    entry = metrics[name]
    label = ", ".join(f"{k}={v}" for k, v in parameters.items())
    if isinstance(entry, type) and issubclass(entry, BaseModel):
        metric: Any = validated(entry, parameters, where=f"metric {name}")
    else:
        metric = entry(**parameters)
    return (f"{name}({label})" if label else name), metric


def slices(predictions: Sequence[Prediction], by: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """``all`` and each ``field=value``, with a mask [n] of the predictions that belong to it."""
    yield ALL, np.ones(len(predictions), dtype=bool)
    for name in by:
        values = [getattr(p, name) for p in predictions]
        known = sorted({str(value) for value in values if value is not None})
        if len(known) < 2 and None not in values:
            continue  # one slice that holds everything says nothing new
        for value in known:
            yield f"{name}={value}", np.array([v is not None and str(v) == value for v in values])


def counted(table: Table, metric: str, groups: Any) -> tuple[int, int]:
    """How many rows a score rests on, and how many groups they come from."""
    column = table.get(metric)
    if column is None:
        column = next(iter(table.values()))
    measured = ~np.isnan(column if column.ndim == 1 else column[:, 0])
    return int(measured.sum()), len(set(groups[measured].tolist()))
