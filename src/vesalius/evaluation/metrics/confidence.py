"""Whether confidence means something: calibration and selective answering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import nan

import numpy as np
from pydantic import Field

from vesalius.cases.prediction import Prediction
from vesalius.evaluation import calibration
from vesalius.evaluation.calibration import Ranks
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.closed import closed_right
from vesalius.evaluation.metrics.words import golds, is_closed, squad
from vesalius.settings import Frozen


class Calibration(Frozen):
    """ECE, adaptive and maximum ECE, Brier score, AUROC and AUPRC of confidence, AURC, and NLL.

    Each in [0, 1] but the negative log-likelihood, 0 or more nats (capped at 16 by answer). An
    answer is right by the strict closed parser for closed questions and by SQuAD exact match
    for open ones. Measured where a prediction has both a confidence and a reference.
    """

    bins: int = Field(default=15, ge=2)
    """Bins of equal width (ECE) or equal mass (adaptive ECE)."""

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="calibration",
            implementation="vesalius (Guo et al. 2017; Nguyen and O'Connor 2015; Geifman 2017)",
            parameters={"bins": self.bins},
            normalisation="right: strict closed parser, or SQuAD v2 exact match",
            averaging="over predictions with a confidence",
            role="calibration",
            better={
                "calibration.ece": "lower",
                "calibration.adaptive_ece": "lower",
                "calibration.mce": "lower",
                "calibration.brier": "lower",
                "calibration.nll": "lower",
                "calibration.aurc": "lower",
            },
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Confidence and right or not, a row."""
        rows = [certainty(p) or (nan, nan) for p in predictions]
        pairs = np.array(rows, dtype=np.float64).reshape(-1, 2)
        return {"confidence": pairs[:, 0], "right": pairs[:, 1]}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """All of them under each row of weights."""
        measured = ~np.isnan(table["confidence"])
        confidence, right = table["confidence"][measured], table["right"][measured]
        drawn = weights if measured.all() else weights[:, measured]
        ece, mce = calibration.binned(confidence, right, drawn, self.bins)
        adaptive, auroc, auprc, aurc = calibration.ranked(
            confidence,
            right,
            drawn,
            partial(Ranks.adaptive_ece, bins=self.bins),
            Ranks.auroc,
            Ranks.auprc,
            Ranks.aurc,
        )
        return {
            "calibration.ece": ece,
            "calibration.adaptive_ece": adaptive,
            "calibration.mce": mce,
            "calibration.brier": calibration.brier(confidence, right, drawn),
            "calibration.nll": calibration.nll(confidence, right, drawn),
            "calibration.auroc": auroc,
            "calibration.auprc": auprc,
            "calibration.aurc": aurc,
        }


def certainty(prediction: Prediction) -> tuple[float, float] | None:
    """Confidence and whether the answer is right; None where either is unknown."""
    references = golds(prediction)
    if prediction.confidence is None or not references:
        return None
    if is_closed(prediction):
        right = closed_right(prediction)
    else:
        right = squad(prediction.text) in {squad(gold) for gold in references}
    return prediction.confidence.value, float(right)
