"""CIDEr-D: agreement of a caption with its references in tf-idf weighted n-grams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import exp, log, sqrt

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.ngrams import TOKENISER, Ngrams, coco_tokens, ngrams
from vesalius.evaluation.metrics.table import means, tabulate, unread
from vesalius.evaluation.metrics.words import golds
from vesalius.language.script import is_spaced
from vesalius.settings import Frozen

_ORDER = 4
_SIGMA = 6.0
Vector = list[dict[tuple[str, ...], float]]


class CiderD(Frozen):
    """CIDEr-D in [0, 10]: n = 4, sigma = 6, times 10.

    Document frequencies come from all evaluated references and stay fixed under resampling; a
    corpus of one image therefore scores 0. Source: Vedantam et al., 2015.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made."""
        return ScoringProtocol(
            name="cider_d",
            implementation="vesalius, equal to pycocoevalcap's CIDEr-D on the same tokens",
            version="1.2",
            parameters={"n": _ORDER, "sigma": _SIGMA, "scale": 10},
            normalisation=TOKENISER,
            averaging="mean over references, then over images; frequencies from these references",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """The column ``cider_d``."""
        references = {id(p): _counted(golds(p)) for p in predictions}
        documents = [r for r in references.values() if r]
        frequency = Counter(g for document in documents for g in set().union(*document))
        space = _Space(frequency, log(len(documents)) if documents else 0.0)

        def row(prediction: Prediction) -> tuple[float] | None:
            wanted = references[id(prediction)]
            answer = ngrams(coco_tokens(prediction.text))
            return (space.score(answer, wanted),) if wanted else None

        return {**tabulate(("cider_d",), predictions, row), **unread(predictions, is_spaced)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The mean."""
        return means(table, weights, ("cider_d",))


def _counted(texts: Sequence[str]) -> list[Ngrams]:
    """The references' n-grams; none where one of them cannot be read."""
    return [ngrams(coco_tokens(text)) for text in texts] if all(map(is_spaced, texts)) else []


class _Space:
    """n-grams weighted by how rare they are among the references of one corpus."""

    def __init__(self, frequency: Counter[tuple[str, ...]], log_documents: float) -> None:
        self.frequency, self.log_documents = frequency, log_documents

    def score(self, answer: Ngrams, references: Sequence[Ngrams]) -> float:
        """CIDEr-D of one caption, in [0, 10]."""
        here = self._vector(answer)
        similar = [self._similarity(here, self._vector(r), answer, r) for r in references]
        return 10.0 * sum(similar) / len(references)

    def _vector(self, counts: Ngrams) -> Vector:
        vector: Vector = [{} for _ in range(_ORDER)]
        for ngram, times in counts.items():
            rarity = self.log_documents - log(max(1.0, self.frequency[ngram]))
            vector[len(ngram) - 1][ngram] = times * rarity
        return vector

    def _similarity(self, a: Vector, b: Vector, answer: Ngrams, wanted: Ngrams) -> float:
        # The tools measure length in bigrams, one less than the words; so do we.
        gap = _bigrams(answer) - _bigrams(wanted)
        penalty = exp(-(gap**2) / (2 * _SIGMA**2))
        return penalty * sum(_cosine(x, y) for x, y in zip(a, b, strict=True)) / _ORDER


def _cosine(a: dict[tuple[str, ...], float], b: dict[tuple[str, ...], float]) -> float:
    """The clipped cosine: a repeated n-gram earns no more than the reference holds of it."""
    shared = sum(min(value, b[g]) * b[g] for g, value in a.items() if g in b)
    norm = sqrt(sum(v * v for v in a.values())) * sqrt(sum(v * v for v in b.values()))
    return shared / norm if norm else shared


def _bigrams(counts: Ngrams) -> int:
    return sum(times for ngram, times in counts.items() if len(ngram) == 2)
