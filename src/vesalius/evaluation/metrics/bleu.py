"""BLEU in named readings: sacrebleu's of a corpus and of sentences, and the COCO caption tools'."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from sacrebleu.metrics import BLEU

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.ngrams import TOKENISER, coco_tokens, ngrams
from vesalius.evaluation.metrics.table import means, tabulate, total, unread
from vesalius.evaluation.metrics.words import golds
from vesalius.language.script import has_words, is_spaced, normalised
from vesalius.settings import Frozen

_ORDER = 4
_WIDTH = 2 + 2 * _ORDER  # said length, closest reference length, matches by order, n-grams by order

_HAN = re.compile(r"[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


class Bleu(Frozen):
    """sacrebleu's corpus BLEU divided by 100, so in [0, 1]; its signature is in the protocol.

    Source: Post, 2018.
    """

    tokenize: Literal["13a", "char", "intl", "none", "zh"] = "13a"
    """sacrebleu's tokeniser; ``zh`` or ``char`` for Chinese."""
    lowercase: bool = False

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made, sacrebleu's signature included."""
        engine = _sacrebleu(self.tokenize, self.lowercase)
        engine.num_refs = -1  # references are counted by row
        return ScoringProtocol(
            name="bleu",
            implementation="sacrebleu, divided by 100",
            version=str(engine.get_signature().info["version"]),
            parameters={"signature": str(engine.get_signature())},
            normalisation=f"NFKC; tokeniser {self.tokenize}"
            + (", lower" if self.lowercase else ""),
            averaging="corpus: n-gram counts summed over texts, exponential smoothing",
            unit="corpus",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Lengths, matches and totals, [n, 10]."""
        engine, reads = (
            _sacrebleu(self.tokenize, self.lowercase),
            _READS.get(self.tokenize, is_spaced),
        )
        rows = np.full((len(predictions), _WIDTH), np.nan)
        for row, prediction in zip(rows, predictions, strict=True):
            references = golds(prediction)
            if references and all(map(reads, references)):
                streams = [[normalised(reference)] for reference in references]
                answer = normalised(prediction.text)
                row[:] = engine._extract_corpus_statistics([answer], streams)[0]
        return {"bleu": rows, **unread(predictions, reads)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """Corpus BLEU from summed counts."""
        sums = total(table["bleu"], weights)
        length, wanted = sums[:, 0], sums[:, 1]
        right, count = sums[:, 2 : 2 + _ORDER], sums[:, 2 + _ORDER :]
        # Exponential smoothing: the k-th order without a match counts as 2^-k matches.
        halvings = np.cumsum((right == 0) & (count > 0), axis=1)
        smoothed = np.where(right > 0, right, 0.5**halvings)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(smoothed / count).mean(axis=1)
            penalty = np.where(length < wanted, np.exp(1 - wanted / length), 1.0)
            score = penalty * np.exp(logs)
        measurable = (right.sum(axis=1) > 0) & (count > 0).all(axis=1)
        return {"bleu": _measured(np.where(measurable, score, 0.0), table["bleu"], weights)}


class BleuSentence(Frozen):
    """sacrebleu's BLEU of each text alone divided by 100, in [0, 1], averaged; what smooths it is
    in the score's name.

    A short answer has no 4-gram in common with its reference, so that the smoothing decides the
    score: ``exp`` halves for each order without a match, ``floor`` counts 0.1 there, ``add-k`` adds
    1 to every order above the first, ``none`` gives 0. Source: Chen and Cherry, 2014; Post, 2018.
    """

    smoothing: Literal["exp", "floor", "add-k", "none"] = "exp"
    tokenize: Literal["13a", "char", "intl", "none", "zh"] = "13a"
    """sacrebleu's tokeniser; ``zh`` or ``char`` for Chinese."""

    @property
    def name(self) -> str:
        """The score's name."""
        return f"bleu_sentence.{self.smoothing}"

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made, sacrebleu's signature included."""
        engine = self._engine
        engine.num_refs = -1
        return ScoringProtocol(
            name="bleu_sentence",
            implementation="sacrebleu, divided by 100",
            version=str(engine.get_signature().info["version"]),
            parameters={"signature": str(engine.get_signature())},
            normalisation=f"NFKC; tokeniser {self.tokenize}",
            averaging="sentence BLEU, orders that a text is too short for left out; mean",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """A BLEU a row."""
        reads = _READS.get(self.tokenize, is_spaced)
        return {**tabulate((self.name,), predictions, self._row), **unread(predictions, reads)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The mean."""
        return means(table, weights, (self.name,))

    @property
    def _engine(self) -> Any:
        return _sacrebleu(self.tokenize, lowercase=False, smoothing=self.smoothing, sentence=True)

    def _row(self, prediction: Prediction) -> tuple[float] | None:
        references, reads = golds(prediction), _READS.get(self.tokenize, is_spaced)
        if not references or not all(map(reads, references)):
            return None
        wanted = [*map(normalised, references)]
        return (self._engine.sentence_score(normalised(prediction.text), wanted).score / 100,)


class BleuCoco(Frozen):
    """BLEU-1 to BLEU-4 in [0, 1] as the COCO caption tools compute them (closest length).

    Source: Chen et al., 2015; unlike sacrebleu it keeps an order without matches almost zero.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="bleu_coco",
            implementation="vesalius, equal to pycocoevalcap's Bleu(4) on the same tokens",
            version="1.2",
            normalisation=TOKENISER,
            averaging="corpus: n-gram counts summed over texts, no smoothing",
            unit="corpus",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Lengths, matches and totals, [n, 10]."""
        rows = np.full((len(predictions), _WIDTH), np.nan)
        for row, prediction in zip(rows, predictions, strict=True):
            references = golds(prediction)
            if references and all(map(is_spaced, references)):
                row[:] = _counts(prediction.text, references)
        return {"bleu_coco": rows, **unread(predictions, is_spaced)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """Corpus BLEU-1 to BLEU-4 from summed counts."""
        sums = total(table["bleu_coco"], weights)
        tiny, small = 1e-15, 1e-9  # the tools' own constants against empty counts
        right, count = sums[:, 2 : 2 + _ORDER], sums[:, 2 + _ORDER :]
        length_ratio = (sums[:, 0] + tiny) / (sums[:, 1] + small)
        with np.errstate(under="ignore", over="ignore"):
            penalty = np.where(length_ratio < 1, np.exp(1 - 1 / length_ratio), 1.0)
        logs = np.cumsum(np.log((right + tiny) / (count + small)), axis=1)
        scores = {f"bleu_coco.{k}": np.exp(logs[:, k - 1] / k) * penalty for k in (1, 2, 3, 4)}
        return {k: _measured(v, table["bleu_coco"], weights) for k, v in scores.items()}


def _is_han(text: str) -> bool:
    """Whether the text has words that sacrebleu's Chinese tokeniser takes apart."""
    return has_words(text) and is_spaced(_HAN.sub(" a ", normalised(text)))


_READS: Mapping[str, Callable[[str], bool]] = {"zh": _is_han, "char": has_words}
"""What a tokeniser takes apart, where that is more than words between spaces."""


def _measured(score: Array, rows: Array, weights: Array) -> Array:
    drawn = weights @ (~np.isnan(rows[:, 0])).astype(np.float64)
    return np.where(drawn > 0, score, np.nan)


def _counts(text: str, references: Sequence[str]) -> list[float]:
    words, wanted = coco_tokens(text), [coco_tokens(r) for r in references]
    grams = ngrams(words, _ORDER)
    most = ngrams(wanted[0], _ORDER)
    for other in wanted[1:]:
        most |= ngrams(other, _ORDER)
    closest = min((abs(len(w) - len(words)), len(w)) for w in wanted)[1]
    right, count = [0.0] * _ORDER, [0.0] * _ORDER
    for ngram, times in grams.items():
        right[len(ngram) - 1] += min(times, most[ngram])
        count[len(ngram) - 1] += times
    return [len(words), closest, *right, *count]


@lru_cache
def _sacrebleu(
    tokenize: str, lowercase: bool, smoothing: str = "exp", sentence: bool = False
) -> Any:
    # force: sacrebleu otherwise warns that captions ending in " ." look tokenised already.
    return BLEU(
        tokenize=tokenize,
        lowercase=lowercase,
        smooth_method=smoothing,
        effective_order=sentence,
        force=True,
    )
