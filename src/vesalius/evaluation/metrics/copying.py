"""How much of an answer is taken from its neighbours and is not so: copied n-grams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import ratio, tabulate, total
from vesalius.evaluation.metrics.words import golds
from vesalius.language.script import words
from vesalius.settings import Frozen

_NAME, _COPIED, _NGRAMS = "copy_rate", "copied", "ngrams"


class CopyRate(Frozen):
    """The share, in [0, 1], of answers' n-grams that a neighbour's text has and no reference has.

    An n-gram that neighbour and reference share was rightly taken over and does not count as
    copied. Measured where an answer has n words, a reference, and neighbours with a text in its
    evidence; a neighbour's n-grams end with its lines, each of which is a question and its answer.
    """

    n: int = Field(default=4, ge=1, le=20)
    """How many words in a row: from four on, what agrees by chance is rare."""

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made."""
        return ScoringProtocol(
            name="copy_rate",
            implementation="vesalius copied n-grams",
            version="1",
            parameters={"n": self.n},
            normalisation="NFKC; lower; words of any script",
            averaging="copied n-grams of all answers over all their n-grams",
            better={_NAME: "lower"},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """The share, the copied n-grams and all of them, a row."""
        return tabulate((_NAME, _COPIED, _NGRAMS), predictions, self._row)

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The pooled share."""
        return {_NAME: ratio(total(table[_COPIED], weights), total(table[_NGRAMS], weights))}

    def _row(self, prediction: Prediction) -> tuple[float, float, float] | None:
        lines = [line for one in prediction.neighbours for line in (one.text or "").splitlines()]
        references, own = golds(prediction), self._ngrams(prediction.text)
        if not lines or not references or not own:
            return None
        near = {gram for line in lines for gram in self._ngrams(line)}
        right = {gram for text in references for gram in self._ngrams(text)}
        copied = sum(gram in near and gram not in right for gram in own)
        return copied / len(own), float(copied), float(len(own))

    def _ngrams(self, text: str) -> list[tuple[str, ...]]:
        tokens = words(text)
        return [tuple(tokens[at : at + self.n]) for at in range(len(tokens) - self.n + 1)]
