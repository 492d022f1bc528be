"""Calibrate: what a run's confidence is worth, and how like training its pictures usually are.

Both are learnt from the run's answers to its own validation split and kept in ``calibration.json``;
the test split has no part in it. What serves the run says confidence in words only with that file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vesalius.cases.prediction import Confidence, Prediction
from vesalius.errors import RunError
from vesalius.evaluation.metrics.confidence import certainty
from vesalius.models.platt import LEAST, PlattScaling
from vesalius.run import Run
from vesalius.system.files import read_json, write_json

FILE, SET = "calibration.json", "validation"
HALF = 0.5
"""Below this chance of being right an answer is more likely wrong: the run abstains by default."""
PICTURES, RARE = 100, 0.01
"""With so many validation pictures it is known how unlike training the rarest of them are."""
NOTHING_LIKE = -1.0
"""The similarity of a picture without any similar case: the least that a cosine can be."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What ``calibration.json`` holds.

    ``method`` is that of the confidence, ``n`` answers were judged and a share ``right`` of them is
    right; an answer of confidence p is right with a chance of ``sigmoid(slope * logit(p) +
    offset)`` (Platt, 1999), and for a share ``below`` that is less than a half. ``usual``: the
    similarity to the nearest training picture that all but one in a hundred of ``pictures``
    validation pictures reach; None where that is not known.
    """

    method: str
    n: int
    right: float
    slope: float
    offset: float
    below: float
    usual: float | None = None
    pictures: int = 0

    @classmethod
    def of(cls, run: Run) -> Calibration | None:
        """A run's; None if it was not calibrated, RunError if the file holds something else."""
        path = run.path / FILE
        if not path.exists():
            return None
        try:
            return cls(**read_json(path))
        except TypeError as error:
            hint = "vesalius calibrate writes it anew"
            raise RunError(f"not a calibration: {error}", where=path, hint=hint) from error

    def chance(self, confidence: Confidence | None) -> float | None:
        """The chance that an answer is right; None for a confidence made in another way."""
        if confidence is None or confidence.method != self.method:
            return None
        values = np.array([confidence.value], np.float64)
        return float(PlattScaling(self.slope, self.offset)(values)[0])

    @property
    def threshold(self) -> float:
        """The confidence below which an answer is more likely wrong than right."""
        # A slope of nothing: the confidence says nothing, and all answers have one chance.
        margin = self.offset / self.slope if self.slope else math.copysign(math.inf, self.offset)
        return float(1 / (1 + np.exp(np.clip(margin, -30, 30))))

    @property
    def basis(self) -> str:
        """How a chance was made, in words."""
        return (
            f"from {self.n} answers to the run's validation split, of which {self.right:.0%} are "
            f"right (Platt scaling of: {self.method})"
        )


def calibrate(run: Run) -> Calibration:
    """Judge the run's answers to its validation split, which are made unless they are there.

    RunError where it has no such split, where no answer can be judged by its words, or where fewer
    than twenty are right, or wrong: then nothing can be said of its confidence.
    """
    from vesalius.steps.predict import predict

    run.require_fitted()
    split = run.recipe().data.splits.validation
    if split is None:
        hint = "set data.splits.validation in the recipe, and fit anew"
        raise RunError("has no validation split to calibrate on", where=run.path, hint=hint)
    predict(run, split=split, name=SET)
    predictions = list(run.predictions(SET))
    judged = _calibration(run, predictions)
    write_json(run.path / FILE, asdict(judged))
    return judged


def _calibration(run: Run, predictions: Sequence[Prediction]) -> Calibration:
    methods = Counter(p.confidence.method for p in predictions if p.confidence is not None)
    if not methods:
        raise RunError("its answers have no confidence", where=run.path)
    (method, _), *_ = methods.most_common(1)
    alike = [p for p in predictions if p.confidence is not None and p.confidence.method == method]
    pairs = [pair for pair in map(certainty, alike) if pair is not None]
    if not pairs:
        hint = "detectors are calibrated by their fit"
        raise RunError("no answer can be judged by its words", where=run.path, hint=hint)
    values, right = np.array(pairs, np.float64).T
    platt = PlattScaling.fitted(values, right.astype(np.bool_))
    if platt is None:
        what = f"{right.sum():.0f} of {len(right)} validation answers are right"
        hint = f"at least {LEAST} must be right, and {LEAST} wrong, for confidence to mean anything"
        raise RunError(what, where=run.path, hint=hint)
    usual, pictures = _usual(predictions)
    return Calibration(
        method,
        len(right),
        right=float(right.mean()),
        slope=platt.slope,
        offset=platt.offset,
        below=float((platt(values) < HALF).mean()),
        usual=usual,
        pictures=pictures,
    )


def nearest(prediction: Prediction) -> float:
    """How like its nearest training picture a picture is, by the cases beside its answer."""
    return max((one.similarity for one in prediction.neighbours), default=NOTHING_LIKE)


def _usual(predictions: Sequence[Prediction]) -> tuple[float | None, int]:
    """The similarity that all but the rarest pictures reach, and of how many pictures."""
    # One picture has many questions, and the same cases with each.
    near = {p.picture or p.id: nearest(p) for p in predictions}
    values = np.array(list(near.values()))
    if len(values) < PICTURES or (values == NOTHING_LIKE).all():
        return None, len(values)
    return round(float(np.quantile(values, RARE, method="lower")), 6), len(values)


def facts(judged: Calibration) -> dict[str, Any]:
    """What the command prints."""
    table: dict[str, Any] = {
        "confidence": judged.method,
        "validation answers": judged.n,
        "right": f"{judged.right:.1%}",
        "more likely wrong below": f"{judged.threshold:.3f} ({judged.below:.1%} of the answers)",
    }
    if judged.usual is not None:
        table["usual similarity"] = f"{judged.usual:.3f} ({judged.pictures} pictures)"
    return table
