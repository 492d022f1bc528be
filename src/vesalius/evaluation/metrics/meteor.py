"""METEOR without synonyms: the variant that needs neither WordNet nor Java."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from nltk.translate.meteor_score import meteor_score

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means, tabulate, unread
from vesalius.evaluation.metrics.words import english, golds, tokens
from vesalius.language.script import is_latin
from vesalius.settings import Frozen

_NAME = "meteor_exact_stem"


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
            normalisation="NFKC; Latin letters without marks; tokens [a-z0-9]+",
            averaging="maximum over references; mean over texts",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """The column ``meteor_exact_stem``."""
        return {**tabulate((_NAME,), predictions, _row), **unread(predictions, is_latin)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The mean."""
        return means(table, weights, (_NAME,))


class _NoSynonyms:
    """Stands where NLTK expects WordNet, and knows no synonym."""

    def synsets(self, word: str) -> tuple[()]:
        return ()


def _row(prediction: Prediction) -> tuple[float] | None:
    references = golds(prediction)
    if not references or not all(map(is_latin, references)):
        return None
    wanted, answer = [tokens(gold) for gold in references], tokens(english(prediction.text))
    return (float(meteor_score(wanted, answer, wordnet=_NoSynonyms())),)
