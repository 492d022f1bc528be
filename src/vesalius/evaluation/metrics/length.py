"""How long answers are: overlap scores rise and fall with it, so it must be in sight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means, tabulate
from vesalius.evaluation.metrics.words import golds
from vesalius.language.script import words
from vesalius.settings import Frozen

_NAMES = ("length.words", "length.reference_words")


class Length(Frozen):
    """Words of an answer, and of its references (their mean), both 0 or more."""

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="length",
            implementation="vesalius",
            normalisation="NFKC; words of any script, each character of a script without spaces",
            averaging="mean over texts that have a reference",
            better=dict.fromkeys(_NAMES, "neither"),
            baselines=_NAMES[1:],
            beside={_NAMES[0]: _NAMES[1]},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """A column a score."""
        return tabulate(_NAMES, predictions, _row)

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights, _NAMES)


def _row(prediction: Prediction) -> tuple[float, float] | None:
    references = golds(prediction)
    if not references:
        return None
    wanted = sum(len(list(words(text))) for text in references) / len(references)
    return float(len(list(words(prediction.text)))), wanted
