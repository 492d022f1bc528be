"""Pairs that tell what a picture shows, what it does not, and what is said of things."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from vesalius.data.visual_dialogue.facts import Facts, Pair
from vesalius.data.visual_dialogue.words import counted, is_are, matches, number, place
from vesalius.language.questions import bare_noun

_DANGLING = re.compile(r".*(?:\b(?:of|by|to|be|in|for|as|from|with)|:.*)")
_KNOWLEDGE = re.compile(r"the (?:best|function|role|purpose|treatment|prevention|image)\b")


def _normality(pair: Pair, facts: Facts) -> bool:
    if pair.yes is None or facts.abnormal is not None:
        return False
    facts.abnormal = pair.yes != (pair.part("sign") == "normal")
    return True


def _presence(pair: Pair, facts: Facts) -> bool:
    if pair.yes is None:
        return False
    return facts.shows(pair.part("thing"), yes=pair.yes != bool(pair.read.part("not")))


def _predicate(pair: Pair, facts: Facts) -> bool:
    if pair.yes is None or not pair.part("said"):
        return False
    verb, predicate = pair.part("verb").lower(), pair.part("said")
    predicate = "visible" if matches("visible", predicate) else predicate
    return facts.say(pair.part("subject"), verb if pair.yes else f"{verb} not", predicate)


def _acts(pair: Pair, facts: Facts) -> bool:
    if pair.yes is None:
        return False
    subject, verb = pair.part("subject"), pair.part("verb").lower()
    plural = is_are(subject) == "are"
    if not pair.yes:
        return facts.say(subject, f"{'do' if plural else 'does'} not {verb}", pair.part("said"))
    single = "has" if verb == "have" else f"{verb}s"
    return facts.say(subject, verb if plural else single, pair.part("said"))


def _chosen(pair: Pair, facts: Facts) -> bool:
    if pair.yes is not None or len(pair.answer.split()) > 6:
        return False
    rest = place(pair.answer) if pair.read.part("place") else pair.answer
    return facts.say(pair.part("subject"), pair.part("verb").lower(), rest)


def _alternatives(pair: Pair, facts: Facts) -> bool:
    word, other = pair.part("word"), pair.part("other")
    if pair.answer == bare_noun(other) or (pair.answer == word and " " not in f"{word}{other}"):
        adjectives = re.search(r"(?:al|ic|ar)$", other)
        return not adjectives and facts.shows(pair.answer, yes=True)
    *first, noun = other.split()
    if first and pair.answer in {word, " ".join(first)}:
        return facts.shows(f"{pair.answer} {noun}", yes=True)
    return False


def _place(pair: Pair, facts: Facts) -> bool:
    if pair.yes is not None or matches("none", pair.answer):
        return False
    subject = pair.part("subject")
    the = subject if re.match(r"(?:the|this|these|those)\b", subject) else f"the {subject}"
    return facts.say(the, pair.part("verb").lower() or is_are(subject), place(pair.answer))


def _count(pair: Pair, facts: Facts) -> bool:
    count, thing = number(pair.answer), pair.part("thing")
    if count is None:
        return False
    if count == 0:
        return facts.shows(thing, yes=False)
    single = bare_noun(thing)
    facts.present[single] = counted(count, thing, single)
    return True


def _size(pair: Pair, facts: Facts) -> bool:
    subject, verb = pair.part("subject"), pair.part("verb").lower()
    if re.search(r"\d", pair.answer):
        return facts.say(subject, "measures" if verb == "is" else "measure", pair.answer)
    return pair.yes is None and facts.say(subject, verb, pair.answer)


def _named(pair: Pair, facts: Facts) -> bool:
    if pair.yes is not None or matches("none", pair.answer):
        return False
    noun, answer = pair.part("noun"), pair.answer
    if answer in {"left", "right"}:
        answer = f"the {answer} one"
    elif bare_noun(answer).split()[-1:] == bare_noun(noun).split()[-1:]:
        answer = f"the {answer}"
    return facts.say(f"the {pair.part('said')} {noun}", pair.part("verb").lower(), answer)


def _thing(pair: Pair, facts: Facts) -> bool:
    subject = pair.part("subject")
    if pair.yes is not None or _DANGLING.fullmatch(subject) or _KNOWLEDGE.match(subject):
        return False
    return facts.say(subject, pair.part("verb").lower(), pair.answer)


def _finding(pair: Pair, facts: Facts) -> bool:
    if pair.yes is not None:
        return False
    if matches("none", pair.answer):
        facts.abnormal = False
        return True
    return facts.shows(re.sub(r"^the ", "", pair.answer), yes=True)


FINDING: Mapping[str, Callable[[Pair, Facts], bool]] = {
    "normality": _normality,
    "presence": _presence,
    "predicate": _predicate,
    "acts": _acts,
    "chosen": _chosen,
    "alternatives": _alternatives,
    "place": _place,
    "count": _count,
    "size": _size,
    "named": _named,
    "thing": _thing,
    "finding": _finding,
}
"""By the form of the question: notes what the pair says, or returns False."""
