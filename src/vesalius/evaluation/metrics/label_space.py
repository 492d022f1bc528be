"""What a classifier could not have answered: references outside its label space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means, tabulate
from vesalius.evaluation.metrics.words import golds, squad
from vesalius.language.script import normalised
from vesalius.settings import Frozen


class LabelSpace(Frozen):
    """The share of references that no label says, and exact matches among the others, in [0, 1].

    A classifier chooses among the training answers: what lies outside them counts as wrong in
    every other score. Measured where a prediction's ``scores`` tell: a reference with a
    probability is inside, one at exactly 0.0 outside. Of several references one inside suffices.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="label_space",
            implementation="vesalius",
            normalisation="NFKC; labels: case and surplus blanks; exact match: as SQuAD v2",
            averaging="over predictions that score their references; mean",
            better={"label_space.outside": "lower"},
            proportions={"label_space.outside": "", "label_space.em_inside": ""},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Columns ``label_space.outside`` and ``label_space.em_inside`` (NaN outside)."""
        return tabulate(("label_space.outside", "label_space.em_inside"), predictions, _row)

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """Means of both."""
        return means(table, weights)


def _row(prediction: Prediction) -> tuple[float, float] | None:
    scores = {_plain(label): share for label, share in (prediction.scores or {}).items()}
    shares = [scores.get(_plain(gold)) for gold in golds(prediction)]
    if any(shares):
        answer = squad(prediction.text)
        return 0.0, float(any(answer == squad(gold) for gold in golds(prediction)))
    return (1.0, nan) if shares and None not in shares else None


def _plain(text: str) -> str:
    return " ".join(normalised(text).casefold().split())
