"""A caption in phrases of one finding each, without those that compare with an earlier picture.

"Unchanged since the prior study" is true of one patient's pictures and of no other's, so it must
not be borrowed; the finding that a phrase names may be. English, by the table ``phrases.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from re import Pattern

from vesalius.system.tables import packaged_table

_SENTENCE = re.compile(r"[;!?\n]+|:\s|\.(?!\d)(?<!\b[A-Za-z]\.)")
_EDGES = " \t\r\n,.;:-–"


@dataclass(frozen=True, slots=True)
class _Table:
    contrasts: Pattern[str]
    joints: Pattern[str]
    negations: Pattern[str]
    comparisons: Pattern[str]
    adverbs: Pattern[str]
    empty: frozenset[str]


def phrases(text: str) -> tuple[str, ...]:
    """The phrases of a text in order, in its own words.

    Sentences, then what contrasts in them, then the members of lists. A list under one negation
    stays whole, so that no phrase says the opposite of its sentence.
    """
    parts = (part for sentence in _SENTENCE.split(text) for part in _statements(sentence))
    return tuple(phrase for part in parts if (phrase := part.strip(_EDGES)))


def finding_phrases(text: str) -> tuple[str, ...]:
    """The phrases of a text that tell of this picture alone, each once.

    A comparison is dropped ("no interval change"); "unchanged cardiomegaly" becomes "cardiomegaly".
    """
    table, distinct = _table(), dict[str, str]()
    for phrase in phrases(text):
        if table.comparisons.search(phrase):
            continue
        bare = " ".join(table.adverbs.sub(" ", phrase).split()).strip(_EDGES)
        words = re.findall(r"[^\W_]+", bare.lower())
        if any(word not in table.empty for word in words):
            distinct.setdefault(bare.lower(), bare)
    return tuple(distinct.values())


def _statements(sentence: str) -> Iterator[str]:
    table = _table()
    for part in table.contrasts.split(sentence):
        negated = table.negations.search(part)
        if negated is None:
            yield from table.joints.split(part)
        else:  # what stands before the negation may still be a list
            *before, last = table.joints.split(part[: negated.start()])
            yield from before
            yield last + part[negated.start() :]


@cache
def _table() -> _Table:
    content = packaged_table(__package__, "phrases.yaml")

    def words(name: str, more: Sequence[str] = ()) -> Pattern[str]:
        longest_first = sorted(content[name], key=len, reverse=True)
        spaced = [r"\s+".join(map(re.escape, one.split())) for one in longest_first]
        named = [rf"\b{one}\b" for one in spaced]
        return re.compile("|".join([*more, *named]), re.IGNORECASE)

    return _Table(
        words("contrasts"),
        words("joints", [r",(?!\d)"]),
        words("negations"),
        words("comparisons"),
        words("adverbs"),
        frozenset(content["empty"]),
    )
