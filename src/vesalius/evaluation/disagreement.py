"""How far the answers of several systems to one case lie apart, and where they do most."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

from vesalius.cases.case import Box
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.gallery import distinct
from vesalius.evaluation.metrics.detection import Detection
from vesalius.evaluation.metrics.detection.matching import answered, score
from vesalius.evaluation.metrics.words import squad


def boxes_at_point(prediction: Prediction) -> list[Box]:
    """The boxes at or above its operating point, the surest first."""
    point = Detection().point(prediction)
    boxes = [box for box in answered(prediction) or () if score(box) >= point]
    return sorted(boxes, key=lambda box: -score(box))


def disagreement(first: Prediction, second: Prediction) -> float:
    """How far two answers to one case lie apart, in [0, 1].

    Of boxes, of those shown: 1 - 2 S / (n + m), S the overlaps (IoU) of boxes of one class that are
    matched greedily, the nearest first; two answers without any box agree. Of texts whether they
    differ as SQuAD normalises. Of a text and boxes nothing is known: 0.
    """
    if answered(first) is not None and answered(second) is not None:
        return _apart(boxes_at_point(first), boxes_at_point(second))
    if first.answer.text is not None and second.answer.text is not None:
        return float(squad(first.text) != squad(second.text))
    return 0.0


def most_contested(columns: Sequence[Sequence[Prediction]], most: int) -> list[int]:
    """Places of the cases that the systems (a column each) disagree on most, no picture twice."""
    mean = [
        fmean(disagreement(a, b) for a, b in combinations(answers, 2))
        for answers in zip(*columns, strict=True)
    ]
    apart = [place for place, value in enumerate(mean) if value > 0]
    order = sorted(apart, key=lambda place: (-mean[place], columns[0][place].id))
    return distinct(order, columns[0], most)


def _apart(first: Sequence[Box], second: Sequence[Box]) -> float:
    if not first and not second:
        return 0.0
    pairs = [
        (a.iou(b), i, j)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if a.label == b.label
    ]
    shared, left, right = 0.0, set[int](), set[int]()
    for overlap, i, j in sorted(pairs, reverse=True):
        if i not in left and j not in right:
            left.add(i)
            right.add(j)
            shared += overlap
    return 1 - 2 * shared / (len(first) + len(second))
