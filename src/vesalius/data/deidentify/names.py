"""Persons' names: their parts, and whether one of them stands in a text.

Both readers of a file compare names here, each with the names and texts that it read itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from vesalius.data.deidentify.codes import vocabulary
from vesalius.system.tables import packaged_table

LEAST = 3
"""The fewest letters of a part that is looked for; a letter of a wide script counts twice."""
_INSIDE = 5
"""So long a part is looked for within words, too: within one, shorter ones stand by chance."""
_LETTERS = re.compile(r"[^\W\d_]+")
_PSEUDONYM = re.compile(r"V-[0-9A-F]{16}|(?=.*\d)[0-9A-Fa-f-]{8,}")
# Letters that Unicode does not take apart into a Latin letter and a mark.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "’": "'"}
)
DUMMIES = frozenset(("Removed", "REMOVED", "Anonymous"))
"""What stands in the place of removed text."""
_UMLAUTS = {"ä": "ae", "ö": "oe", "ø": "oe", "ü": "ue", "å": "aa"}


@dataclass(frozen=True)
class Names:
    """The names of all persons of a file."""

    parts: frozenset[str]
    """Each part, folded, and the ways in which parts are written together."""

    @classmethod
    def of(cls, written: Iterable[str]) -> Names:
        """From person names as DICOM has them: ``Family^Given^Middle^Prefix^Suffix=...=...``."""
        return cls(frozenset(part for name in set(written) for part in _parts(name)))

    def stand_in(self, text: str, keyword: str = "") -> bool:
        """Whether a part of a name stands in one value of the element ``keyword``."""
        if not self.parts or _is_term(text, keyword):
            return False
        plain = folded(text)
        maker = is_maker_element(keyword)
        parts = self.parts - _tables()["makers"] if maker else self.parts
        if any(part in plain and _has(plain, part) for part in parts):
            return True
        short = _shortened(plain)  # MUELLER of a patient whom a register has as Muller
        return short != plain and not parts.isdisjoint(_LETTERS.findall(short))


def folded(text: str) -> str:
    """Text as it is compared: lower case, no diacritics, no widths (Unicode NFKD)."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in apart if unicodedata.category(letter)[0] != "M")
    return unicodedata.normalize("NFC", bare.translate(_PLAIN))


def is_maker_element(keyword: str) -> bool:
    """Whether a maker's own word may stand in the element, although a person is called so."""
    return keyword in _tables()["maker_elements"]


def says_nothing(text: str) -> bool:
    """Whether a text is of placeholders, titles and repeated letters alone; not one of digits."""
    words, table = _LETTERS.findall(folded(text)), _tables()
    plain = table["placeholders"] | table["titles"]
    return bool(words) and all(_is_repeated(word) or word in plain for word in words)


def measure(text: str) -> int:
    """Letters, those of wide scripts counted double: two of them are a family's name."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _parts(name: str) -> Iterator[str]:
    for group in name.split("="):
        components = _components(group)
        if says_nothing(group):
            continue  # Anonymous^Patient is nobody's name, Guest^Anna is
        yield from (part for one in components for part in _of_component(one))
        # A login, or a folder of the site's: doejane, janedoe, jdoe, doej.
        plain = ["".join(_LETTERS.findall(folded(one))) for one in components[:2]]
        if len(plain) == 2 and all(plain) and measure("".join(plain)) > LEAST:
            family, given = plain
            yield from (family + given, given + family)
            if _has_capitals(family):
                yield from (given[0] + family, family + given[0])


def _components(group: str) -> list[str]:
    """Family, given name ...; ``Doe, Jane`` and ``Doe Jane`` without carets are two, too."""
    components = [component.strip() for component in group.split("^")]
    if any(components[1:]):
        return components
    family, comma, given = components[0].partition(",")
    if comma:
        return [family.strip(), given.strip()]
    words = family.split()
    return [family] if len(words) != 2 else words


def _of_component(component: str) -> Iterator[str]:
    """The words of a component, as they are and transliterated, and all of them in one."""
    if _PSEUDONYM.fullmatch(component):
        return
    lower = unicodedata.normalize("NFC", component).lower()
    plain = folded(lower)
    spelled = folded("".join(_UMLAUTS.get(letter, letter) for letter in lower))
    for text in {plain, spelled, _shortened(plain)}:
        words = [word for word in _words_of(text) if word not in _tables()["titles"]]
        named = [word for word in words if word not in _tables()["particles"]] or words
        yield from filter(_is_long_enough, named)
        joined = re.sub(r"['\-. ]", "", text)
        if named and joined.isalpha() and _is_long_enough(joined):
            yield joined


def _shortened(plain: str) -> str:
    """A folded text with bare vowels for its umlauts, or for what is spelled like one."""
    return re.sub("ae|oe|ue", lambda pair: pair[0][0], plain)


def _words_of(text: str) -> Iterator[str]:
    for word in re.findall(r"[^\W_]+", text):
        for letters in _LETTERS.findall(word):
            # LUNG1 is a number of a study; MILLER1 is still a name.
            if letters == word or (len(letters) > LEAST and letters not in vocabulary()):
                yield letters


def _is_long_enough(word: str) -> bool:
    return measure(word) >= LEAST and not _is_repeated(word)


def _is_repeated(word: str) -> bool:
    """Whether a word is one letter again and again; one of a wide script is a word by itself."""
    return len(set(word)) == 1 and measure(word) == len(word)


def _has_capitals(word: str) -> bool:
    return word.upper() != word


def _is_term(text: str, keyword: str) -> bool:
    value = text.strip(" \0")
    if value in DUMMIES:
        return True
    return value in _tables()["terms"].get(keyword, ())


def _has(text: str, part: str) -> bool:
    """Whether the part is a word of the text, or stands within one that no dictionary has."""
    if not _has_capitals(part):  # many such scripts put nothing between words
        return True
    for word in _LETTERS.findall(text):
        if word == part or (len(part) >= _INSIDE and part in word and word not in vocabulary()):
            return True
    return False


@lru_cache(maxsize=1)
def _tables() -> Mapping[str, Any]:
    table = packaged_table(__package__, "names.yaml")
    return {
        "placeholders": frozenset(table["placeholders"]),
        "titles": frozenset(table["titles"]),
        "particles": frozenset(table["particles"]),
        "makers": frozenset(table["makers"]),
        "maker_elements": frozenset(table["maker_elements"]),
        "terms": {name: frozenset(values) for name, values in table["terms"].items()},
    }
