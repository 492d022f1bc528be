"""ROUGE, and the tolerant accuracy that is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from pydantic import Field
from rouge_score.rouge_scorer import RougeScorer

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means, tabulate
from vesalius.evaluation.metrics.words import golds, polarity, squad
from vesalius.settings import Frozen

_TYPES = ("rouge1", "rouge2", "rougeL")
_TOKENS = "tokens [a-z0-9]+"


class Rouge(Frozen):
    """ROUGE-1, -2 and -L F-measure in [0, 1]; a stemmed score says so in its name.

    Source: Lin, 2004, as rouge-score computes it.
    """

    stemmed: bool = False
    """Porter-stem tokens of more than three letters."""

    @property
    def names(self) -> tuple[str, ...]:
        """The scores' names."""
        end = ".stemmed" if self.stemmed else ""
        return tuple(f"rouge.{kind.removeprefix('rouge')}{end}" for kind in _TYPES)

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="rouge",
            implementation="rouge-score",
            version=version("rouge-score"),
            parameters={"stemmed": self.stemmed},
            normalisation=_TOKENS + (", Porter stems above 3 letters" if self.stemmed else ""),
            averaging="F-measure, maximum over references; mean over texts",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """An F-measure a row and kind."""
        return tabulate(self.names, predictions, self._row)

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights)

    def _row(self, prediction: Prediction) -> list[float] | None:
        references = golds(prediction)
        if not references:
            return None
        scores = _scorer(_TYPES, self.stemmed).score_multi(references, prediction.text)
        return [scores[kind].fmeasure for kind in _TYPES]


class Tolerant(Frozen):
    """Tolerant accuracy in [0, 1]: ROUGE-L reaches a threshold, or the same yes or no is said.

    The threshold is part of the score's name: choose it before seeing results. Source: the
    LLaVA-PathVQA report (67 % at 0.3, 30 % at 0.5), here with the strict yes/no parser.
    """

    threshold: float = Field(default=0.5, gt=0.0, le=1.0)
    """The smallest ROUGE-L F-measure that counts as right."""

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made."""
        return ScoringProtocol(
            name="tolerant",
            implementation="vesalius on rouge-score",
            version=version("rouge-score"),
            parameters={"threshold": self.threshold, "stemmed": False},
            normalisation=f"{_TOKENS}; exactly one of yes, no for golds of yes or no",
            averaging="right for any gold; mean over questions",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Right or not, a row."""
        return tabulate((f"tolerant.rougeL_{self.threshold:g}",), predictions, self._row)

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The mean."""
        return means(table, weights)

    def _row(self, prediction: Prediction) -> tuple[float] | None:
        references = golds(prediction)
        if not references:
            return None
        answer = prediction.text
        same = any(polarity(answer) == squad(g) for g in references if squad(g) in {"yes", "no"})
        near = _scorer(("rougeL",), False).score_multi(references, answer)["rougeL"].fmeasure
        return (float(same or near >= self.threshold),)


@lru_cache
def _scorer(types: tuple[str, ...], stemmed: bool) -> Any:
    return RougeScorer(list(types), use_stemmer=stemmed)
