"""What overlap scores cannot see: a flipped negation, a wrong side, a wrong number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import isnan, nan

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means, tabulate
from vesalius.evaluation.metrics.words import golds
from vesalius.recipe import Frozen

_BEFORE = "no|not|without|absent|absence of|free of|negative for|denies|neither|nor|never"
_AFTER = "is absent|are absent|not seen|not present|not identified|not visible|ruled out|resolved"
_ENDS = r"[.;:!?]|\bbut\b|\bhowever\b|\balthough\b|\bexcept\b|\bwith\b(?!out)|\bwhich\b"
_SCOPE = 6  # words that a negation reaches, as in NegEx (Chapman et al., 2001)
_EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and any are as at be been by evidence for from has have in is it its of on or "
        "other seen significant sign signs that the there this to was were within visible "
        "right left bilateral side sided",
    )
)
_NUMBER = re.compile(r"[a-z]?\d+(?:[.,]\d+)?")
_SIDES = {
    "left": {"left"},
    "leftsided": {"left"},
    "right": {"right"},
    "rightsided": {"right"},
    "bilateral": {"left", "right"},
    "bilaterally": {"left", "right"},
    "both": {"left", "right"},
}
_NAMES = ("content.negation", "content.laterality", "content.numbers")


class Content(Frozen):
    """Agreement with the reference in negation, side and number, each in [0, 1].

    ``content.negation``: the share of words in both texts that both negate or both state, over
    pairs in which one of the texts negates a shared word. ``content.laterality``: F1 over {left,
    right}. ``content.numbers``: F1 over counted numbers, "T1" and "L4" included. A pair in which
    neither text has any is not measured. Negation follows NegEx's idea (Chapman et al., 2001) for
    English: cues, six words of reach, ended by a stop or "but"; it is a warning light, no reader.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="content",
            implementation="vesalius content agreement",
            version="1",
            parameters={"negation_scope_words": _SCOPE, "language": "en"},
            normalisation="lower; words [a-z]+, sides, numbers with their letter",
            averaging="maximum over references; mean over texts that have any",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """A column a kind of content."""
        return tabulate(_NAMES, predictions, _row)

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights)


def _row(prediction: Prediction) -> tuple[float, ...] | None:
    references = golds(prediction)
    if not references:
        return None
    kinds: tuple[Callable[[str, str], float], ...] = (_negation, _laterality, _numbers)
    return tuple(_best([kind(prediction.text, gold) for gold in references]) for kind in kinds)


def _best(values: list[float]) -> float:
    measured = [value for value in values if not isnan(value)]
    return max(measured) if measured else nan


def _negation(said: str, gold: str) -> float:
    ours, theirs = stated(said), stated(gold)
    shared = ours.keys() & theirs.keys()
    if all(ours[word] and theirs[word] for word in shared):  # nothing shared is negated
        return nan
    return sum(ours[word] == theirs[word] for word in shared) / len(shared)


def stated(text: str) -> dict[str, bool]:
    """Each content word with whether the text states it (False: it is negated somewhere)."""
    found: dict[str, bool] = {}
    for clause in _clauses(text.lower()):
        words = re.findall(r"[a-z]+", clause)
        reached = _reached(clause, words)
        for at, word in enumerate(words):
            if len(word) > 2 and word not in _EMPTY_WORDS and word not in _CUE_WORDS:
                found[word] = found.get(word, True) and at not in reached
    return found


def _clauses(text: str) -> list[str]:
    # A full stop inside a number ends nothing.
    safe = re.sub(r"(?<=\d)\.(?=\d)", "", text)
    return re.split(_ENDS, safe)


def _reached(clause: str, words: list[str]) -> set[int]:
    if re.search(rf"\b(?:{_AFTER})\b", clause):
        return set(range(len(words)))
    starts = [len(re.findall(r"[a-z]+", clause[: m.end()])) for m in _BEFORE_CUE.finditer(clause)]
    return {at for start in starts for at in range(start, start + _SCOPE)}


def _laterality(said: str, gold: str) -> float:
    return _f1(Counter(_sides(said)), Counter(_sides(gold)))


def _sides(text: str) -> set[str]:
    words = re.findall(r"[a-z]+", text.lower().replace("-sided", "sided"))
    # "both" names two sides only where it does not join two things ("both A and B").
    joined = {a for a, b in pairwise(words) if a == "both" and b in {"a", "an", "the"}}
    return {side for word in words if word not in joined for side in _SIDES.get(word, ())}


def _numbers(said: str, gold: str) -> float:
    return _f1(*(Counter(_NUMBER.findall(text.lower().replace(",", "."))) for text in (said, gold)))


def _f1(said: Counter[str], gold: Counter[str]) -> float:
    if not said and not gold:
        return nan
    return 2 * (said & gold).total() / (said.total() + gold.total())


_BEFORE_CUE = re.compile(rf"\b(?:{_BEFORE})\b")
_CUE_WORDS = frozenset(re.findall(r"[a-z]+", f"{_BEFORE}|{_AFTER}"))
