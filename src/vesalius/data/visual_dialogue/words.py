"""Words of answers and questions, made fit to stand in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from vesalius.system.tables import packaged_table

ARTICLE = re.compile(r"^(?:an?|any|some)\s+", re.IGNORECASE)
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def tidy(text: str) -> str:
    """A text as it stands within a sentence: blanks collapsed, acronyms up, other words down.

    A tab is a comma: in VQA-RAD's file it took the comma's place.
    """
    bare = " ".join(text.replace("\t", ", ").split()).strip(" .,;:?!\"'")
    bare = re.sub(r"(?<=\w{4})\.\s+", ", ", bare)  # one answer, one sentence
    return re.sub(r"\s+,", ",", re.sub(r"[\w*]+", lambda m: _cased(m[0]), bare))


def _cased(word: str) -> str:
    table = wording()
    if word.lower() in table["acronyms"]:
        return word.upper()
    plain = re.fullmatch(r"[A-Z][a-z]+", word) and word not in table["names"]
    return word.lower() if plain else word


def started(sentence: str) -> str:
    """The sentence with a capital first letter and a full stop."""
    return f"{sentence[:1].upper()}{sentence[1:]}."


def listed(parts: Sequence[str], joint: str = "and") -> str:
    """``a, b and c``."""
    return f" {joint} ".join([*([", ".join(parts[:-1])] if parts[:-1] else []), *parts[-1:]])


def first_of(rules: str, text: str) -> str:
    """The first word of a table of the wording that the text names; empty where none is."""
    return next(iter(all_of(rules, text)), "")


def all_of(rules: str, text: str) -> list[str]:
    """Every word of a table of the wording that the text names, in the table's order."""
    return [word for rule, word in wording()[rules] if rule.search(text)]


def is_are(noun: str) -> str:
    """The verb that goes with a noun phrase, by its last word before a preposition."""
    head = re.split(r" (?:of|in|on|at|near|under|within|with|to)\b", noun)[0]
    plural = re.search(r"(?:[^suA-Z]s|foci|vertebrae|hila)$", head) or " and " in head
    return "are" if plural else "is"


def number(text: str) -> int | None:
    """The number that a text is, in digits or as a word to ten; None for anything else."""
    word = text.strip().lower()
    if word in _NUMBERS:
        return _NUMBERS.index(word)
    if word in {"no", "none"}:
        return 0
    return int(word) if re.fullmatch(r"\d{1,3}", word) else None


def counted(count: int, thing: str, single: str) -> str:
    """``three nodules``, ``one mass``."""
    word = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{word} {single if count == 1 else thing}"


def place(answer: str) -> str:
    """Where something is, fit to follow "is": ``on the left``, ``in the cecum``."""
    rules = wording()["places"]
    side = rules["side"].fullmatch(answer)
    if side:
        return "on both sides" if side["side"].lower() == "both" else f"on the {side['side']}"
    if rules["preposition"].fullmatch(answer) or rules["adjective"].fullmatch(answer):
        return answer
    return f"in {answer}" if rules["plain"].fullmatch(answer) else f"in the {answer}"


def matches(rule: str, text: str) -> bool:
    """Whether the whole text is one of the wording's ``unsure``, ``none`` ...."""
    return bool(wording()[rule].fullmatch(text))


@cache
def wording() -> dict[str, Any]:
    """The table ``wording.yaml``, its patterns compiled."""
    table: dict[str, Any] = packaged_table(__package__, "wording.yaml")
    for name in ("nouns", "before", "after", "planes"):
        table[name] = [(_compiled(rule), word) for rule, word in table[name]]
    for name in ("unsure", "none", "system", "granted", "visible"):
        table[name] = _compiled(table[name])
    table["places"] = {name: _compiled(rule) for name, rule in table["places"].items()}
    table["acronyms"] = frozenset(table["acronyms"])
    return table


def unique(parts: Iterable[str]) -> list[str]:
    """The parts in order, each once."""
    return list(dict.fromkeys(parts))


def _compiled(rule: str) -> re.Pattern[str]:
    return re.compile(rule, re.IGNORECASE)
