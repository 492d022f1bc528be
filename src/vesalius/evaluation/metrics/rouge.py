"""ROUGE, and the tolerant accuracy that is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Literal

from nltk.stem.porter import PorterStemmer
from pydantic import Field
from rouge_score.rouge_scorer import RougeScorer

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means, tabulate, unread
from vesalius.evaluation.metrics.words import english, golds
from vesalius.language.questions import is_polar, polarity
from vesalius.language.script import has_words, is_latin, normalised, words
from vesalius.settings import Frozen

_TYPES = ("rouge1", "rouge2", "rougeL")
_TOKENS = "NFKC; Latin letters without marks; tokens [a-z0-9]+"
_ANY_SCRIPT = "NFKC; words of any script, each character of a script without spaces"


class Rouge(Frozen):
    """ROUGE-1, -2 and -L F-measure in [0, 1]; a stemmed score says so in its name.

    Source: Lin, 2004, as rouge-score computes it.
    """

    stemmed: bool = False
    """Porter-stem tokens of more than three letters."""
    summary: bool = False
    """Also ROUGE-Lsum: L by sentence, which are the lines of a text. In a text of one line it is
    L; whoever splits at full stops puts line breaks there before."""
    tokens: Literal["english", "unicode"] = "english"
    """``english``: rouge-score's; ``unicode`` reads every script, and the scores say so."""

    @property
    def names(self) -> tuple[str, ...]:
        """The scores' names."""
        end = (".stemmed" if self.stemmed else "") + (".unicode" if self._any_script else "")
        return tuple(f"rouge.{kind.removeprefix('rouge')}{end}" for kind in self._types)

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="rouge",
            implementation="rouge-score",
            version=version("rouge-score"),
            parameters={"stemmed": self.stemmed, "tokens": self.tokens}
            | ({"summary": True} if self.summary else {}),
            normalisation=(_ANY_SCRIPT if self._any_script else _TOKENS)
            + (", Porter stems above 3 letters" if self.stemmed else ""),
            averaging="F-measure, maximum over references; mean over texts",
            foremost=self.names[2:3],
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """An F-measure a row and kind."""
        reads = has_words if self._any_script else is_latin
        return {**tabulate(self.names, predictions, self._row), **unread(predictions, reads)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights, self.names)

    @property
    def _any_script(self) -> bool:
        return self.tokens == "unicode"

    def _row(self, prediction: Prediction) -> list[float] | None:
        references = golds(prediction)
        if not references or not all(map(has_words if self._any_script else is_latin, references)):
            return None
        plain = normalised if self._any_script else english
        scorer = _scorer(self._types, self.stemmed, self._any_script)
        scores = scorer.score_multi([*map(plain, references)], plain(prediction.text))
        return [scores[kind].fmeasure for kind in self._types]

    @property
    def _types(self) -> tuple[str, ...]:
        return (*_TYPES, "rougeLsum") if self.summary else _TYPES


class Tolerant(Frozen):
    """Tolerant accuracy in [0, 1]: ROUGE-L reaches a threshold, or the same yes or no is said.

    The threshold is part of the score's name: choose it before seeing results. Source: the
    LLaVA-PathVQA report (67 % at 0.3, 30 % at 0.5), here with the strict yes/no parser.
    """

    threshold: float = Field(default=0.5, gt=0.0, le=1.0)
    """The smallest ROUGE-L F-measure that counts as right."""

    @property
    def name(self) -> str:
        """The score's name."""
        return f"tolerant.rougeL_{self.threshold:g}"

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
            proportions={self.name: ""},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Right or not, a row."""
        return {
            **tabulate((self.name,), predictions, self._row),
            **unread(predictions, _latin_or_polar),
        }

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The mean."""
        return means(table, weights, (self.name,))

    def _row(self, prediction: Prediction) -> tuple[float] | None:
        references = golds(prediction)
        if not references or not all(map(_latin_or_polar, references)):
            return None
        answer = prediction.text
        same = any(polarity(answer) == polarity(gold) for gold in references if is_polar(gold))
        texts = [english(gold) for gold in references]
        near = _scorer(("rougeL",)).score_multi(texts, english(answer))["rougeL"].fmeasure
        return (float(same or near >= self.threshold),)


class _Words:
    """The words of any script, as rouge-score wants a tokeniser."""

    def __init__(self, stemmed: bool) -> None:
        self.stem = PorterStemmer().stem if stemmed else str

    def tokenize(self, text: str) -> list[str]:
        return [self.stem(word) if len(word) > 3 else word for word in words(text)]


def _latin_or_polar(text: str) -> bool:
    return is_latin(text) or is_polar(text)


@lru_cache
def _scorer(types: tuple[str, ...], stemmed: bool = False, any_script: bool = False) -> Any:
    tokenizer = _Words(stemmed) if any_script else None
    return RougeScorer(list(types), use_stemmer=stemmed, tokenizer=tokenizer)
