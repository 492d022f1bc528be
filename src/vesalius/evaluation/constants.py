"""Constant answers: what a score is worth to a system that says the same of every case.

They know neither picture nor question. Of each only the value is told: an interval of its own would
double the draws, and what is asked of it is a comparison by eye.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.measuring import Spec, measure
from vesalius.evaluation.metrics import Metric
from vesalius.evaluation.metrics.words import golds, squad
from vesalius.evaluation.prediction_sets import slices
from vesalius.evaluation.score import ALL, Constant
from vesalius.run import FrequentAnswer
from vesalius.system.tables import packaged_table

FREQUENT, NORMAL = "frequent", "normal"


def constants(
    predictions: Sequence[Prediction],
    specs: Sequence[Spec | Metric],
    trained: FrequentAnswer | None = None,
    by: Sequence[str] = (),
) -> tuple[Constant, ...]:
    """The most frequent answer, and "normal" or a report of it, scored on the same cases.

    ``trained`` is the training split's most frequent answer; without it the references' own counts,
    which no system could know, and the row says so. Scores that say how good an answer is, more
    being better; one that a constant text cannot have (boxes, concepts, calibration) is left out,
    as is the most frequent answer where none is given twice. Empty where no case has a reference
    in words. ``by``: fields whose slices have values of their own.
    """
    texts = [gold for p in predictions for gold in golds(p)]
    if not texts:
        return ()
    rows = [(NORMAL, normal_text(texts), "the same for every set")]
    split = "the training split" if trained else "these references"
    most = trained or frequent_text(golds(p)[0] for p in predictions if golds(p))
    if most is not None:
        rows.insert(0, (FREQUENT, most.text, f"most frequent of {split} ({most})"))
    masks = dict(slices(predictions, by))
    every: list[Constant] = []
    for name, answer, source in rows:
        values = _values(predictions, specs, answer, masks)
        every.append(Constant(name, answer, source, values.pop(ALL), values))
    return tuple(every)


def frequent_text(texts: Iterable[str]) -> FrequentAnswer | None:
    """The most frequent text; None where none is given twice: it would be one patient's own."""
    given = [Answer(text=text) for text in texts]
    if not given:
        return None
    answer, n = frequent(given)
    return FrequentAnswer(answer.text or "", n, len(given)) if n > 1 else None


def frequent(answers: Iterable[Answer]) -> tuple[Answer, int]:
    """The most frequent answer, by its normalised text, else the whole of it; and how often."""
    given = list(answers)
    ((content, n),) = Counter(map(same_content, given)).most_common(1)
    return next(answer for answer in given if same_content(answer) == content), n


def same_content(answer: Answer) -> object:
    """What counts as the same answer: its normalised text, else the whole of it."""
    return answer if answer.text is None else squad(answer.text)


def answered_with(predictions: Sequence[Prediction], answer: Answer) -> list[Prediction]:
    """The same questions, all with this answer, and as sure of each as of any other."""
    return [replace(p, answer=answer, confidence=None, scores=None) for p in predictions]


def constant_answers(predictions: Sequence[Prediction]) -> list[Prediction]:
    """The same questions, all answered with their most frequent (first) reference."""
    answer, _ = frequent(p.references[0] for p in predictions if p.references)
    return answered_with(predictions, answer)


def normal_text(texts: Sequence[str]) -> str:
    """The fixed answer for references as long as these."""
    words = median(len(text.split()) for text in texts)
    rows = _fixed()
    return next(
        str(row["text"])
        for row in rows
        if row["up_to_words"] is None or words <= row["up_to_words"]
    )


def _values(
    predictions: Sequence[Prediction],
    specs: Sequence[Spec | Metric],
    text: str,
    masks: Mapping[str, NDArray[np.bool_]],
) -> dict[str, dict[str, float]]:
    """By slice each score of the constant, where it has one and more of it is better."""
    values: dict[str, dict[str, float]] = {part: {} for part in masks}
    weights = np.array(list(masks.values()), dtype=np.float64)
    rows = answered_with(predictions, Answer(text=text))
    for one in measure(rows, specs):
        protocol = one.metric.protocol
        if protocol.role != "headline":
            continue
        for name, scores in one.metric.aggregate(one.table, weights).items():
            if protocol.better.get(name, "higher") != "higher" or name in protocol.baselines:
                continue
            for part, score in zip(masks, scores, strict=True):
                if not np.isnan(score):
                    values[part][name] = float(score)
    return values


@cache
def _fixed() -> Sequence[dict[str, Any]]:
    rows: Sequence[dict[str, Any]] = packaged_table(__package__, "constants.yaml")
    return rows
