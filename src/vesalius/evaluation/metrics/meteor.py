"""METEOR without synonyms: the variant that needs neither WordNet nor Java."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from nltk.translate.meteor_score import meteor_score

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means, tabulate
from vesalius.evaluation.metrics.words import golds, tokens
from vesalius.settings import Frozen


class MeteorExactStem(Frozen):
    """NLTK's METEOR in [0, 1] with exact and Porter-stem matches only; never call it "METEOR".

    Source: Banerjee and Lavie, 2005; alpha 0.9, beta 3, gamma 0.5.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made."""
        return ScoringProtocol(
            name="meteor_exact_stem",
            implementation="nltk.translate.meteor_score without synonyms",
            version=version("nltk"),
            parameters={"alpha": 0.9, "beta": 3.0, "gamma": 0.5, "matches": "exact, stem"},
            normalisation="tokens [a-z0-9]+",
            averaging="maximum over references; mean over texts",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """The column ``meteor_exact_stem``."""
        return tabulate(("meteor_exact_stem",), predictions, _row)

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The mean."""
        return means(table, weights)


class _NoSynonyms:
    """Stands where NLTK expects WordNet, and knows no synonym."""

    def synsets(self, word: str) -> tuple[()]:
        return ()


def _row(prediction: Prediction) -> tuple[float] | None:
    wanted = [tokens(gold) for gold in golds(prediction)]
    if not wanted:
        return None
    return (float(meteor_score(wanted, tokens(prediction.text), wordnet=_NoSynonyms())),)
