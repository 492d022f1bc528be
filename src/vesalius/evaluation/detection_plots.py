"""What a report draws of boxes: precision and recall, F1, free response, a confusion table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.evaluation import plots
from vesalius.evaluation.measuring import Spec, built
from vesalius.evaluation.metrics import Array, Table
from vesalius.evaluation.metrics.detection import Detection
from vesalius.evaluation.metrics.detection.curves import NOTHING, Curves, confusion, curves
from vesalius.evaluation.metrics.detection.matching import wanted
from vesalius.evaluation.prediction_sets import group_of
from vesalius.evaluation.stats import Codes, clusters, interval, resampled

_POINTS = 100
_CLASSES = 12
RESAMPLES = 1000
"""Of the groups, for bands and brackets: enough for what is looked at."""


@dataclass(frozen=True, slots=True)
class Count:
    """Boxes, with the 95 % interval over resampled groups."""

    n: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BoxPlots:
    """Plots with their titles, and boxes by reference class (rows) and shown class (columns)."""

    plots: Sequence[tuple[str, str, str]]
    classes: Sequence[str]
    counts: Mapping[tuple[str, str], Count]
    negatives: int


def box_plots(predictions: Sequence[Prediction], specs: Sequence[Spec]) -> BoxPlots | None:
    """Of a run's predictions; None where ``detection`` is not measured or no box can be judged.

    Curves have bands, pointwise 95 % intervals over resampled groups. The confusion table is left
    out for more than twelve classes: nobody could read it.
    """
    metric = next((m for _, m in map(built, specs) if isinstance(m, Detection)), None)
    if metric is None:
        return None
    table = metric.measure(predictions)
    curve = curves(table)
    if curve is None:
        return None
    groups = clusters([group_of(p) for p in predictions])
    negatives = sum(wanted(one) == () for one in predictions)
    counts = _counts(confusion(predictions, metric), groups)
    classes = sorted({label for pair in counts for label in pair} - {NOTHING})
    return BoxPlots(
        plots=_plots(table, curve, groups, negatives=negatives),
        classes=[*classes, NOTHING] if len(classes) <= _CLASSES else [],
        counts=counts,
        negatives=negatives,
    )


def _plots(
    table: Table, curve: Curves, groups: Codes, *, negatives: int
) -> list[tuple[str, str, str]]:
    step = max(1, len(curve.score) // _POINTS)
    thinned = np.append(curve.score[:-1:step], curve.score[-1])
    drawn = [curves(table, weights, thinned) for weights in resampled(groups, RESAMPLES, seed=0)]
    draws = [one for one in drawn if one is not None]
    rows: list[tuple[str, str, str, str, str, str]] = [
        ("Precision and recall", "", "recall", "precision", "recall", "precision"),
        ("F1", "", "score", "f1", "score from which a box is shown", "F1"),
        ("Free response", "", "false", "recall", "false boxes an image", "recall"),
    ]
    if negatives:
        name = "share of images without findings with a box"
        rows.append(
            ("Free response by image (wAFROC)", "", "alarms", "weighted", name, "weighted recall")
        )
    else:
        note = "no negatives: false boxes in images with findings"
        rows[2] = (rows[2][0], note, *rows[2][2:])
    return [
        (title, note, _curve(curve, draws, across, up, names=names))
        for title, note, across, up, *names in rows
    ]


def _curve(
    curve: Curves, draws: Sequence[Curves], across: str, up: str, *, names: Sequence[str]
) -> str:
    x, y = (np.atleast_2d(getattr(curve, name))[0] for name in (across, up))
    step = max(1, len(x) // _POINTS)  # more points than pixels are no use
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    line = [*points[:-1:step], points[-1]]
    grid = np.unique([place for place, _ in line])
    # Precision falls and rises with recall: its band is that of the best at this recall or beyond.
    best = across == "recall"
    heights = np.concatenate([_read(one, across, up, grid, best=best) for one in draws])
    band = [(place, *interval(heights[:, i])) for i, place in enumerate(grid.tolist())]
    return plots.lines([(names[1], line)], across=names[0], up=names[1], band=band)


def _read(curve: Curves, across: str, up: str, grid: Array, *, best: bool) -> Array:
    """The heights of all draws at the places of a grid: [B, places]."""
    y: Array = getattr(curve, up)
    x = np.broadcast_to(getattr(curve, across), y.shape)
    result = np.empty((len(x), len(grid)))
    for i, (places, heights) in enumerate(zip(x, y, strict=True)):
        if best:
            highest = np.maximum.accumulate(np.nan_to_num(heights)[::-1])[::-1]
            result[i] = np.append(highest, 0.0)[np.searchsorted(places, grid - 1e-9)]
        elif across == "score":  # which falls
            result[i] = np.interp(grid, places[::-1], heights[::-1])
        else:
            reached = np.searchsorted(places, grid + 1e-9, side="right")
            result[i] = np.concatenate([[0.0], heights])[reached]
    return result


def _counts(
    images: Sequence[Counter[tuple[str, str]]], groups: Codes
) -> dict[tuple[str, str], Count]:
    """Of each pair of classes that occurs."""
    pairs = sorted({pair for counts in images for pair in counts})
    each = np.array([[counts[pair] for pair in pairs] for counts in images], float)
    drawn = np.concatenate([weights @ each for weights in resampled(groups, RESAMPLES, seed=0)])
    return {
        pair: Count(int(each[:, i].sum()), *interval(drawn[:, i])) for i, pair in enumerate(pairs)
    }
