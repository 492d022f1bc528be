"""What a caption says, fact by fact: numbers, sides, findings and their polarity, length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from math import nan

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.content import laterality, numbers
from vesalius.evaluation.metrics.table import means, tabulate, unread
from vesalius.evaluation.metrics.words import golds
from vesalius.language.dictionary import OWN, finding_dictionary
from vesalius.language.findings import Polarity, findings
from vesalius.language.script import is_latin, words
from vesalius.settings import Frozen

_NAMES = (
    "caption.numbers",
    "caption.sides",
    "caption.findings",
    "caption.polarity",
    "caption.modality",
    "caption.organs",
    "caption.length_ratio",
    "caption.words",
    "caption.repetition",
)
_MODALITY, _ORGAN = "Procedure", "Body "
"""How the semantic types of the own dictionary's modalities end, and those of its organs begin."""
_REPEATED = 3
"""Words in a row that count as repeated where they come again in one text."""


class CaptionFacts(Frozen):
    """What n-grams miss: agreement with the reference by kind of fact, and a caption's form.

    ``caption.numbers``: F1 over numbers with their units (25 mm is 2.5 cm). ``caption.sides``: F1
    over left and right, bilateral being both. ``caption.findings``: F1 over findings with their
    polarity (present, absent, uncertain). ``caption.polarity``: of the findings in both texts the
    share of one polarity. ``caption.modality`` and ``caption.organs``: F1 over how the picture was
    made and what it shows. Where neither text has any of a kind, it is not measured.
    ``caption.words``: the answer's words; ``caption.length_ratio``: over the reference's;
    ``caption.repetition``: the share of its runs of three words that come again. Findings are read
    by rules after NegEx and a small dictionary, in English: what is not in it is not read.
    """

    dictionary: str = OWN
    """``vesalius``, ``radlabels``, several joined by ``+``, or a YAML file of one's own. Modality
    and organs are read by the own one in any case."""

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="caption_facts",
            implementation="vesalius caption facts",
            version="1",
            parameters={"dictionary": self.dictionary, "repeated_words": _REPEATED},
            normalisation="NFKC; lower; singular; findings of vesalius.language.findings",
            averaging="maximum over references (length: the nearest); mean over texts with any",
            better={
                "caption.length_ratio": "neither",
                "caption.words": "neither",
                "caption.repetition": "lower",
            },
            foremost=("caption.findings", "caption.polarity", "caption.numbers", "caption.sides"),
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """A column a score."""
        return {**tabulate(_NAMES, predictions, self._row), **unread(predictions, is_latin)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights, _NAMES)

    def _row(self, prediction: Prediction) -> tuple[float, ...] | None:
        references = golds(prediction)
        if not references:
            return None
        answer = prediction.text
        pairs = np.array([self._agreement(answer, gold) for gold in references])
        if not all(map(is_latin, references)):
            pairs[:, 1:] = nan  # numbers are the same in every language; the rest is English
        tokens, lengths = words(answer), [len(words(gold)) for gold in references]
        nearest = min(lengths, key=lambda length: (abs(length - len(tokens)), length))
        ratio = len(tokens) / nearest if nearest else nan
        measured = [column[~np.isnan(column)] for column in pairs.T]
        best = [float(column.max()) if column.size else nan for column in measured]
        return (*best, ratio, float(len(tokens)), repetition(tokens))

    def _agreement(self, answer: str, gold: str) -> tuple[float, ...]:
        ours, theirs = _facts(answer, self.dictionary), _facts(gold, self.dictionary)
        return (
            numbers(answer, gold),
            laterality(answer, gold),
            _f1(set(ours.findings.items()), set(theirs.findings.items())),
            _share_of_one_polarity(ours.findings, theirs.findings),
            _f1(ours.modalities, theirs.modalities),
            _f1(ours.organs, theirs.organs),
        )


def repetition(tokens: Sequence[str]) -> float:
    """The share of a text's runs of three words that stood in it before; NaN with fewer words."""
    runs = Counter(zip(tokens, tokens[1:], tokens[2:], strict=False))
    return (runs.total() - len(runs)) / runs.total() if runs else nan


@dataclass(frozen=True, slots=True)
class _Facts:
    """A text's findings with their polarity, its modalities and the organs it names."""

    findings: Mapping[str, Polarity]
    modalities: frozenset[str]
    organs: frozenset[str]


@lru_cache(maxsize=65536)
def _facts(text: str, dictionary: str) -> _Facts:
    own = finding_dictionary(OWN).entries
    kinds = {name: entry.kind or "" for name, entry in own.items()}
    mentions = findings(text, finding_dictionary(OWN))
    chosen = mentions if dictionary == OWN else findings(text, finding_dictionary(dictionary))
    return _Facts(
        {name: polarity for name, polarity in chosen.items() if not _is_setting(kinds.get(name))},
        frozenset(name for name in mentions if kinds[name].endswith(_MODALITY)),
        frozenset(name for name in mentions if kinds[name].startswith(_ORGAN)),
    )


def _is_setting(kind: str | None) -> bool:
    """Whether a concept is how or where a picture was taken, and no finding."""
    return kind is not None and (kind.endswith(_MODALITY) or kind.startswith(_ORGAN))


def _f1(answer: Set[object], gold: Set[object]) -> float:
    both = len(answer) + len(gold)
    return 2 * len(answer & gold) / both if both else nan


def _share_of_one_polarity(answer: Mapping[str, Polarity], gold: Mapping[str, Polarity]) -> float:
    shared = answer.keys() & gold.keys()
    return sum(answer[name] == gold[name] for name in shared) / len(shared) if shared else nan
