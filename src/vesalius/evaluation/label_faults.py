"""Where detectors that never saw a picture contradict its boxes: labels that may be wrong.

After the errors that ObjectLab tells apart (U. Tkachenko, A. Thyagarajan and J. Mueller, 2023):
overlooked, badly located and swapped boxes, and beside them boxes around nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vesalius.cases.case import Box
from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.evaluation.prediction_sets import refuse_duplicates
from vesalius.run import Run, read_predictions

Fault = Literal["missing", "spurious", "shifted", "swapped"]
SAME = 0.5
"""IoU from which on two boxes are of one thing."""
NEAR = 0.1
"""IoU below which two boxes have nothing to do with each other."""


@dataclass(frozen=True, slots=True)
class LabelFault:
    """A label that may be wrong: its box (None: it is missing), and the box that says so.

    ``suspicion`` in [0, 1]: how sure the detector is, less what it has in the label's favour.
    """

    kind: Fault
    prediction: Prediction
    truth: Box | None
    predicted: Box | None
    suspicion: float


def label_faults(predictions: Sequence[Prediction], *, least: float = 0.5) -> list[LabelFault]:
    """Labels by falling suspicion, down to ``least``; each reference box once.

    ``missing``: a box is predicted where none is. ``spurious``: none is predicted near the label.
    ``shifted``: the best one of its class overlaps it by less than half. ``swapped``: the best one
    on it is of another class. Crowds are no labels of one thing: they, and what lies on them, are
    passed over. The predictions must come from detectors that were not fitted on these pictures;
    pictures without reference boxes, or whose answer has none, say nothing. RunError for an id that
    appears twice.
    """
    refuse_duplicates(predictions)
    faults = [fault for one in predictions for fault in _of_picture(one)]
    suspected = [fault for fault in faults if fault.suspicion >= least]
    return sorted(suspected, key=lambda fault: (-fault.suspicion, fault.prediction.id))


def unseen_predictions(path: Path) -> list[Prediction]:
    """The predictions of a finished run, or of a file of rows.

    RunError where they are of the split that the run was fitted on: those repeat its labels.
    """
    if path.is_file():
        return list(read_predictions(path))
    run = Run.open(path)
    split = run.status().get("predictions", {}).get("test", {}).get("split")
    if split is not None and split == run.recipe().data.splits.train:
        hint = "fit on other pictures (split_seed, split_file) and predict these"
        raise RunError(f"was fitted on {split!r}, which it predicted", where=path, hint=hint)
    return list(run.predictions())


def _of_picture(one: Prediction) -> Iterator[LabelFault]:
    truth = next((r.boxes for r in one.references if r.boxes is not None), None)
    if truth is None or one.answer.boxes is None:
        return
    predicted = sorted(one.answer.boxes, key=_score, reverse=True)
    for box in truth:
        if not box.crowd:
            kind, other, suspicion = _of_label(box, predicted)
            yield LabelFault(kind, one, box, other, suspicion)
    named: list[Box] = []
    for box in predicted:
        free = all(_overlap(box, label) < NEAR for label in truth)
        if free and all(box.iou(surer) < SAME for surer in named):
            named.append(box)
            yield LabelFault("missing", one, None, box, _score(box))


def _of_label(truth: Box, predicted: Sequence[Box]) -> tuple[Fault, Box | None, float]:
    """The likeliest fault of a reference box, the box that says so, and how suspect it is."""
    own = [box for box in predicted if box.label == truth.label]
    favour = max((_score(box) for box in own if box.iou(truth) >= SAME), default=0.0)
    near = max((_score(box) for box in predicted if box.iou(truth) >= NEAR), default=0.0)
    candidates: list[tuple[Fault, Box | None, float]] = [("spurious", None, 1.0 - near)]
    candidates += [
        ("swapped", box, _score(box) - favour)
        for box in predicted
        if box.label != truth.label and box.iou(truth) >= SAME
    ]
    candidates += [
        ("shifted", box, _score(box) * (1 - box.iou(truth)) - favour)
        for box in own
        if NEAR <= box.iou(truth) < SAME
    ]
    return max(candidates, key=lambda candidate: candidate[2])


def _score(box: Box) -> float:
    return 1.0 if box.score is None else box.score


def _overlap(box: Box, label: Box) -> float:
    """IoU with a label; with a crowd the share of the box that lies in it."""
    return box.share_in(label) if label.crowd else box.iou(label)
