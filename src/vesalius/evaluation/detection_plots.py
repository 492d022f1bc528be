"""What a report draws of boxes: precision and recall, F1, free response, a confusion table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vesalius.cases.prediction import Prediction
from vesalius.evaluation import plots
from vesalius.evaluation.measuring import Spec, built
from vesalius.evaluation.metrics import Array
from vesalius.evaluation.metrics.detection import Detection
from vesalius.evaluation.metrics.detection.curves import NOTHING, confusion, curves
from vesalius.evaluation.metrics.detection.matching import wanted

_POINTS = 200
_CLASSES = 12


@dataclass(frozen=True, slots=True)
class BoxPlots:
    """Plots with their titles, and boxes by reference class (rows) and shown class (columns)."""

    plots: Sequence[tuple[str, str, str]]
    classes: Sequence[str]
    counts: Mapping[tuple[str, str], int]
    negatives: int


def box_plots(predictions: Sequence[Prediction], specs: Sequence[Spec]) -> BoxPlots | None:
    """Of a run's predictions; None where ``detection`` is not measured or no box can be judged.

    The confusion table is left out for more than twelve classes: nobody could read it.
    """
    metric = next((m for _, m in map(built, specs) if isinstance(m, Detection)), None)
    curve = None if metric is None else curves(metric.measure(predictions))
    if metric is None or curve is None:
        return None
    negatives = sum(wanted(one) == () for one in predictions)
    counts = confusion(predictions, metric)
    classes = sorted({label for pair in counts for label in pair} - {NOTHING})
    drawn = [
        ("Precision and recall", curve.recall, curve.precision, "recall", "precision"),
        ("F1", curve.score, curve.f1, "score from which a box is shown", "F1"),
        ("Free response", curve.false, curve.recall, "false boxes an image", "recall"),
    ]
    if negatives:
        names = ("share of images without findings with a box", "weighted recall")
        drawn.append(("Free response by image (wAFROC)", curve.alarms, curve.weighted, *names))
    note = "" if negatives else "no negatives: false boxes in images with findings"
    return BoxPlots(
        plots=[
            (title, note if across is curve.false else "", _curve(across, up, *names))
            for title, across, up, *names in drawn
        ],
        classes=[*classes, NOTHING] if len(classes) <= _CLASSES else [],
        counts=counts,
        negatives=negatives,
    )


def _curve(across: Array, up: Array, name: str, height: str) -> str:
    step = max(1, len(across) // _POINTS)  # more points than pixels are no use
    points = list(zip(across.tolist(), up.tolist(), strict=True))
    thinned = [*points[:-1:step], points[-1]]
    return plots.lines([(height, thinned)], across=name, up=height)
