"""Which findings a text states, negates or leaves open: by rules, without a model.

Source: W. Chapman et al., A simple algorithm for identifying negated findings and diseases in
discharge summaries (NegEx), 2001; H. Harkema et al., ConText, 2009. English; triggers
(``triggers.yaml``) and dictionaries are data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from vesalius.language.dictionary import FindingDictionary, finding_dictionary, singular
from vesalius.language.script import normalised
from vesalius.system.tables import packaged_table

Polarity = Literal["present", "uncertain", "absent"]
ORDER: tuple[Polarity, ...] = ("present", "uncertain", "absent")
"""What counts where a text says several things of one finding: the first of these."""
GAP = 3
"""Other words that may stand between those of a phrase: "heart is mildly enlarged"."""
_BLANK = r"\n\s*\n"
_SENTENCE = re.compile(rf"[;!?]|:(?!\s*(?:none|absent)\b)|\.(?!\d)|{_BLANK}")
"""Where a sentence ends; "Pleural effusion: none" is one."""
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


@dataclass(frozen=True, slots=True)
class FindingMention:
    """A place in a text that names a concept: characters ``start`` to ``end`` of the normalised
    text, and what is said of it there.
    """

    concept: str
    polarity: Polarity
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Trigger:
    words: tuple[str, ...]
    sense: str
    """A polarity, ``hypothetical``, ``ends`` (it ends the reach of others) or ``pseudo``."""
    after: bool = False


@dataclass(frozen=True, slots=True)
class _Cue:
    """A trigger at words ``first`` to ``last`` of a sentence."""

    trigger: _Trigger
    first: int
    last: int


def findings(text: str, dictionary: FindingDictionary | None = None) -> dict[str, Polarity]:
    """Each concept that the text names -> whether it is present, uncertain or absent.

    Of several mentions a present one counts before an uncertain one, that before an absent one.
    """
    polarities: dict[str, Polarity] = {}
    for mention in finding_mentions(text, dictionary):
        before = polarities.get(mention.concept, mention.polarity)
        polarities[mention.concept] = min(before, mention.polarity, key=ORDER.index)
    return polarities


def finding_mentions(
    text: str, dictionary: FindingDictionary | None = None
) -> Iterator[FindingMention]:
    """Every mention in the order of the text's sentences; by default of the own dictionary."""
    known = finding_dictionary() if dictionary is None else dictionary
    plain = normalised(text).lower()
    for start, end in _sentences(plain):
        spans = [match.span() for match in _TOKEN.finditer(plain, start, end)]
        words = [singular(plain[a:b]) for a, b in spans]
        cues = _cues(words)
        for concept, first, last in _named(words, known):
            sense = _sense(cues, first, last)
            if sense in ORDER:
                yield FindingMention(concept, sense, spans[first][0], spans[last][1])


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    for low, high in _reported(text):
        start = low
        for match in _SENTENCE.finditer(text, low, high):
            yield start, match.start()
            start = match.end()
        yield start, high


def _reported(text: str) -> Iterator[tuple[int, int]]:
    """The stretches of a text that tell what was seen: all but indication, history, technique.

    Such a section ends at the next heading or the paragraph's end.
    """
    start = 0
    for match in _heading().finditer(text):
        if match["question"] is None or match.start() < start:
            continue
        yield start, match.start()
        end = _section_end().search(text, match.end())
        start = end.start() if end else len(text)
    yield start, len(text)


def _named(words: Sequence[str], known: FindingDictionary) -> Iterator[tuple[str, int, int]]:
    """(concept, first word, last word) of each mention; of those that overlap the shortest."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for at, word in enumerate(words):
        for concept, phrase in known.by_word.get(word, ()):
            span = _around(words, at, phrase)
            if span is not None and not _is_excluded(words, span, known.excluded[concept]):
                spans.setdefault(concept, []).append(span)
    for concept, places in spans.items():
        taken: list[tuple[int, int]] = []
        for first, last in sorted(places, key=lambda span: (span[1] - span[0], span)):
            if all(last < a or first > b for a, b in taken):
                taken.append((first, last))
        yield from ((concept, first, last) for first, last in sorted(taken))


def _around(words: Sequence[str], at: int, phrase: Sequence[str]) -> tuple[int, int] | None:
    """Where a phrase's words stand nearest around one of them, in any order; None if too far."""
    places = {at}
    low, high = max(0, at - len(phrase) - GAP), min(len(words), at + len(phrase) + GAP)
    rest = list(phrase)
    rest.remove(words[at])
    for word in rest:
        free = [i for i in range(low, high) if words[i] == word and i not in places]
        if not free:
            return None
        places.add(min(free, key=lambda i: abs(i - at)))
    first, last = min(places), max(places)
    return (first, last) if last - first < len(phrase) + GAP else None


def _is_excluded(
    words: Sequence[str], span: tuple[int, int], phrases: Sequence[Sequence[str]]
) -> bool:
    near = words[max(0, span[0] - GAP) : span[1] + GAP + 1]
    return any(set(phrase) <= set(near) for phrase in phrases)


def _sense(cues: Sequence[_Cue], first: int, last: int) -> str:
    """What the nearest trigger that reaches the words ``first`` to ``last`` makes of them."""
    best, sense = math.inf, "present"
    for cue in cues:
        trigger = cue.trigger
        start, end = (last, cue.first) if trigger.after else (cue.last, first)
        inside = first < cue.first <= cue.last < last  # "effusions, if any, are pleural"
        reach = _table()["reach"]
        most = reach.get(" ".join(trigger.words), reach["after" if trigger.after else "before"])
        reached = inside or (0 < end - start <= most and not _ended(cues, start, end))
        if trigger.sense not in ("ends", "pseudo") and reached and end - start < best:
            best, sense = end - start, trigger.sense
    return sense


def _ended(cues: Sequence[_Cue], start: int, end: int) -> bool:
    return any(cue.trigger.sense == "ends" and start < cue.first and cue.last < end for cue in cues)


def _cues(words: Sequence[str]) -> list[_Cue]:
    """The triggers in a sentence; those inside a longer one are none."""
    cues = [
        _Cue(trigger, at, at + len(trigger.words) - 1)
        for at, word in enumerate(words)
        for trigger in _triggers().get(word, ())
        if tuple(words[at : at + len(trigger.words)]) == trigger.words
    ]
    chosen, taken = list[_Cue](), list[tuple[int, int]]()
    for cue in sorted(cues, key=lambda cue: cue.first - cue.last):
        span = (cue.first, cue.last)
        if all(span == one or cue.last < one[0] or cue.first > one[1] for one in taken):
            chosen.append(cue)
            taken.append(span)
    return chosen


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = packaged_table(__package__, "triggers.yaml")
    return table


@cache
def _heading() -> re.Pattern[str]:
    """A heading at its colon; one of ``questions`` has the group."""
    table = _table()
    questions, others = (
        "|".join(sorted(table[key], key=len, reverse=True)) for key in ("questions", "headings")
    )
    return re.compile(rf"\b(?:(?P<question>{questions})|{others})\s*:")


@cache
def _section_end() -> re.Pattern[str]:
    return re.compile(rf"{_BLANK}|{_heading().pattern}")


@cache
def _triggers() -> Mapping[str, Sequence[_Trigger]]:
    """All triggers by their first word."""
    table = _table()
    triggers = [
        _Trigger(_split(phrase), sense, direction == "after")
        for sense in ("absent", "uncertain", "hypothetical")
        for direction in ("before", "after")
        for phrase in table[sense][direction]
    ]
    triggers += [
        _Trigger(_split(phrase), sense) for sense in ("pseudo", "ends") for phrase in table[sense]
    ]
    by_word: dict[str, list[_Trigger]] = {}
    for trigger in triggers:
        by_word.setdefault(trigger.words[0], []).append(trigger)
    return by_word


def _split(phrase: str) -> tuple[str, ...]:
    return tuple(singular(word) for word in str(phrase).split())
