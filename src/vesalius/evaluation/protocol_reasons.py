"""What in a reply or its reference makes two protocols disagree, the first reason that holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from vesalius.evaluation.metrics.words import squad, tokens
from vesalius.language.options import tokens as words
from vesalius.language.quantities import quantities
from vesalius.language.questions import is_polar, polarity

OTHER = "worded otherwise"
_POLAR = re.compile(r"\b(yes|no)\b")
_INSIDE = re.compile(r"yes|no")


def reason(reply: str, references: Sequence[str]) -> str:
    """Why one protocol may count a reply as right and another not; ``OTHER`` if no rule knows."""
    return next(
        (text for text, holds in REASONS if any(holds(reply, gold) for gold in references)), OTHER
    )


def _is_empty(reply: str, _: str) -> bool:
    return not reply.strip()


def _says_both(reply: str, gold: str) -> bool:
    return is_polar(gold) and set(_POLAR.findall(reply.lower())) == {"yes", "no"}


def _is_inside(reply: str, gold: str) -> bool:
    bare = not _POLAR.search(reply.lower())
    return is_polar(gold) and bare and bool(_INSIDE.search(reply.lower()))


def _says_neither(reply: str, gold: str) -> bool:
    return is_polar(gold) and polarity(reply) is None


def _is_longer_polar(reply: str, gold: str) -> bool:
    return is_polar(gold) and polarity(reply) == polarity(gold) and len(tokens(reply)) > 1


def _has_other_numbers(reply: str, gold: str) -> bool:
    return squad(reply) == squad(gold) and quantities(reply) != quantities(gold)


def _is_equal(reply: str, gold: str) -> bool:
    return reply.strip() == gold.strip() and not is_polar(gold)


def _is_same(reply: str, gold: str) -> bool:
    return words(reply) == words(gold) or (bool(squad(gold)) and squad(reply) == squad(gold))


def _repeats(reply: str, gold: str) -> bool:
    replied = tokens(reply)
    return any(replied.count(word) > tokens(gold).count(word) > 0 for word in replied)


def _holds_gold(reply: str, gold: str) -> bool:
    return bool(squad(gold)) and f" {squad(gold)} " in f" {squad(reply)} "


def _holds_reply(reply: str, gold: str) -> bool:
    return _holds_gold(gold, reply)


def _shares_words(reply: str, gold: str) -> bool:
    return bool(set(tokens(reply)) & set(tokens(gold)))


REASONS: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
    ("the reply is empty", _is_empty),
    ("it says both yes and no", _says_both),
    ('"yes" or "no" stands inside another word', _is_inside),
    ("it says neither yes nor no", _says_neither),
    ("it says the right one of yes and no, and more", _is_longer_polar),
    ("it is the reference, word for word, which is no yes or no", _is_equal),
    ("the digits are the same, the number is not", _has_other_numbers),
    ("equal but for case, marks or articles", _is_same),
    ("it repeats a word of the reference", _repeats),
    ("it holds the reference and more", _holds_gold),
    ("it is a part of the reference", _holds_reply),
    ("it shares words with the reference", _shares_words),
)
"""In this order: what is said in words, and the rule (reply, reference) -> whether it holds."""
