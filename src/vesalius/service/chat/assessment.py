"""What is known of an answer's worth beside the model's own number.

Words for confidence need a run that was calibrated on its own validation; a number alone is none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.steps.calibrate import HALF, NOTHING_LIKE, Calibration, nearest


@dataclass(frozen=True, slots=True)
class Assessment:
    """Of one answer; None where it is not known.

    ``chance``: that it is right, in [0, 1], as ``basis`` says. ``nearest``: the similarity of its
    picture to the nearest training picture; ``usual``: what nearly all of the run's validation
    pictures reach. ``unlike``: it does not.
    """

    chance: float | None = None
    basis: str | None = None
    nearest: float | None = None
    usual: float | None = None
    unlike: bool = False

    def to_row(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def assessed(prediction: Prediction, calibration: Calibration | None) -> Assessment | None:
    """What the run's calibration says of an answer; None without one."""
    if calibration is None:
        return None
    chance, usual = calibration.chance(prediction.confidence), calibration.usual
    basis = None if chance is None else calibration.basis
    if usual is None or prediction.picture is None:
        return Assessment(chance, basis)
    near = nearest(prediction)
    known = None if near == NOTHING_LIKE else near
    return Assessment(chance, basis, known, usual, near < usual)


def judged(
    prediction: Prediction, assessment: Assessment | None, below: float | None
) -> Prediction:
    """Abstained, too, where the confidence lies below a threshold that somebody set.

    Where nobody did, a calibrated answer is abstained from that is more likely wrong than right.
    """
    sure, chance = prediction.confidence, None if assessment is None else assessment.chance
    if below is None:
        unsure = chance is not None and chance < HALF
    else:
        unsure = sure is None or sure.value < below
    return replace(prediction, abstained=True) if unsure else prediction
