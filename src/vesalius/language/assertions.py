"""What a text asserts: the words it states or negates, the sides and the numbers it names.

English, by rules after NegEx (Chapman et al., 2001): a warning light, no reader.
"""

from __future__ import annotations

import re
from itertools import pairwise

from vesalius.language.quantities import quantities
from vesalius.language.script import normalised

SCOPE = 6
"""Words that a negation reaches."""
CUES_BEFORE = "no|not|without|absent|absence of|free of|negative for|denies|neither|nor|never"
CUES_AFTER = (
    "is absent|are absent|not seen|not present|not identified|not visible|ruled out|resolved"
)
_ENDS = r"[.;:!?]|\bbut\b|\bhowever\b|\balthough\b|\bexcept\b|\bwith\b(?!out)|\bwhich\b"
_EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and any are as at be been by evidence for from has have in is it its of on or "
        "other seen significant sign signs that the there this to was were within visible "
        "right left bilateral side sided",
    )
)
_SIDES = {
    "left": {"left"},
    "leftsided": {"left"},
    "right": {"right"},
    "rightsided": {"right"},
    "bilateral": {"left", "right"},
    "bilaterally": {"left", "right"},
    "both": {"left", "right"},
}
_BEFORE_CUE = re.compile(rf"\b(?:{CUES_BEFORE})\b")
_CUE_WORDS = frozenset(re.findall(r"[a-z]+", f"{CUES_BEFORE}|{CUES_AFTER}"))


def assertions(text: str, *, scope: int = SCOPE, shortest: int = 3) -> dict[str, bool]:
    """Each content word with whether the text states it (False: it is negated somewhere).

    A negation reaches ``scope`` words; words of fewer letters than ``shortest`` do not count.
    """
    holds: dict[str, bool] = {}
    for clause in clauses(normalised(text).lower()):
        words = re.findall(r"[a-z]+", clause)
        reached = _reached(clause, words, scope)
        for at, word in enumerate(words):
            if len(word) >= shortest and word not in _EMPTY_WORDS and word not in _CUE_WORDS:
                holds[word] = holds.get(word, True) and at not in reached
    return holds


def clauses(text: str) -> list[str]:
    """The stretches of a text that a negation does not leave; a stop inside a number ends none."""
    safe = re.sub(r"(?<=\d)\.(?=\d)", "", text)
    return re.split(_ENDS, safe)


def sides(text: str) -> set[str]:
    """The sides that a text names: left, right or both."""
    words = re.findall(r"[a-z]+", normalised(text).lower().replace("-sided", "sided"))
    # "both" names two sides only where it does not join two things ("both A and B").
    joined = {a for a, b in pairwise(words) if a == "both" and b in {"a", "an", "the"}}
    return {side for word in words if word not in joined for side in _SIDES.get(word, ())}


def swapped_sides(text: str) -> str:
    """The text with left for right and right for left, in their spelling; other words stay."""
    return re.sub(r"(?i)\b(left|right)(?=\b|sided)", _other_side, text)


def numbers(text: str) -> list[str]:
    """The numbers in a text with the letter before them, whole: ``1,200`` is 1200, 12.0 is 12."""
    return [number.value for number in quantities(text)]


def _other_side(match: re.Match[str]) -> str:
    word = match[0]
    other = "right" if word.lower() == "left" else "left"
    return other.upper() if word.isupper() else other.title() if word[0].isupper() else other


def _reached(clause: str, words: list[str], scope: int) -> set[int]:
    if re.search(rf"\b(?:{CUES_AFTER})\b", clause):
        return set(range(len(words)))
    starts = [len(re.findall(r"[a-z]+", clause[: m.end()])) for m in _BEFORE_CUE.finditer(clause)]
    return {at for start in starts for at in range(start, start + scope)}
