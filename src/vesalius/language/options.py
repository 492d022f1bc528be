"""Which of a question's options a reply takes: by its letter, its words or its number.

A letter names an option only where it stands as a name: alone, in brackets, before a colon, after
"answer" or "option". The article "a", the pronoun "I", vitamin D and hepatitis B name none. Words
and numbers count wherever they occur, whole: 2.5 is neither 2 nor 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from vesalius.language.assertions import CUES_AFTER, CUES_BEFORE
from vesalius.language.labels import label_mentions
from vesalius.language.quantities import NUMBER, canonical
from vesalius.language.script import UNSPACED, normalised, word_rule

Key = tuple[str, ...]

_LABELLED = re.compile(r"\s*[(\[]?([A-Za-z]|\d{1,2})\s*[.):\]]+\s+(\S.*)", re.DOTALL)
_LETTER = re.compile(r"\W*([A-Za-z])\W*")
_EMPHASIS = re.compile(r"(?<!\w)[*_`]+|[*_`]+(?!\w)")
_SCOPE_ENDS = re.compile(r"[.,;:!?\n](?!\d)|\b(?:but|however|although|except|rather)\b")
_ELSEWHERE = r"не|нет|nicht|kein\w*|ohne|pas|sans|sin|non|senza"  # the commonest of other languages
_DENIED_BEFORE = re.compile(
    rf"\b(?:{CUES_BEFORE}|{_ELSEWHERE}|rather than|instead of)\b|n't\b|[不没无非未]"
)
_REACH = 400
"""Characters before and after an option in which is looked for what is said of it."""
_WRONG = "not|wrong|incorrect|false|unlikely|excluded"
_DENIED_AFTER = re.compile(
    rf"\W*(?:\w+\W+)?(?:{CUES_AFTER}|(?:is|are|was|were|would be|seems) (?:{_WRONG})"
    r"|(?:is|are)n't|(?:can|could) be (?:ruled out|excluded)|不正确|错误)"
)


@dataclass(frozen=True, slots=True)
class Option:
    """An option as it is offered, its label where it has one, and the tokens of its words."""

    name: str
    label: str | None
    key: Key


@dataclass(frozen=True, slots=True)
class Mention:
    """Where a reply names an option, and whether it denies it."""

    option: Option
    start: int
    end: int
    denied: bool = False


@lru_cache(maxsize=65536)
def option_of(reply: str, options: tuple[str, ...]) -> str | None:
    """The one option that the reply takes; None where it takes none, or cannot be told.

    The reply is an option, or names exactly one. Of options named by their letter, those that are
    denied ("not A") do not count; a reply that names two by their words is not read, whatever it
    says of them, nor one that only denies. An option inside a longer one is not meant ("lung" in
    "left lung"), letters of options neither.
    """
    known = parsed(options)
    text = _bare(reply)
    whole = [one for one in known if _is(text, one)] or [one for one in known if _near(text, one)]
    if whole:
        return whole[0].name if len({one.key for one in whole}) == 1 else None
    worded = _outermost(_worded(text, known))
    lettered = list(_lettered(text, known))
    inner = _inner([*worded, *lettered])
    lettered = [one for one in lettered if one not in inner]
    taken = {one.option for one in lettered if not one.denied}
    if taken:
        taken |= {one.option for one in worded if one.option.label is None}
        return _only(taken, text, known, lettered)
    meant = _without_overruled(worded)
    one = meant[0] if len({mention.option.key for mention in meant}) == 1 else None
    return None if one is None or any(mention.denied for mention in meant) else one.option.name


@lru_cache(maxsize=4096)
def parsed(options: tuple[str, ...]) -> tuple[Option, ...]:
    """The options with their labels: "A", or the "A" of "A. mass" where all have one."""
    plain = [_bare(option) for option in options]
    parts = [_LABELLED.fullmatch(text) for text in plain]
    labels = {match[1].lower() for match in parts if match}
    if None not in parts and len(labels) == len(options):
        return tuple(
            Option(name, match[1].lower(), tokens(match[2]))
            for name, match in zip(options, parts, strict=True)
            if match
        )
    letters = [_LETTER.fullmatch(text) for text in plain]
    return tuple(
        Option(name, letter[1].lower() if letter else None, tokens(text) or (text,))
        for name, text, letter in zip(options, plain, letters, strict=True)
    )


def with_letters(options: Sequence[str]) -> tuple[str, ...]:
    """The options with the letters that they have by their order: "A. mass", "B. cyst" ..."""
    return tuple(f"{chr(ord('A') + place)}. {name}" for place, name in enumerate(options))


@lru_cache(maxsize=65536)
def tokens(text: str) -> Key:
    """The lower-case words of any script, and numbers as they count: "2.5cm" is 2.5 and cm."""
    return tuple(token for token, _, _ in _spans(text))


def _bare(text: str) -> str:
    """The normalised text without Markdown's emphasis; one of nothing else stays as it is."""
    plain = normalised(text).strip()
    return _EMPHASIS.sub("", plain) or plain


def _is(text: str, option: Option) -> bool:
    """Whether the whole reply is the option: its label, its words, or both."""
    reply = tokens(text)
    label = () if option.label is None else (option.label,)
    if not reply:  # symbols alone: "+"
        return (text.strip(" \n.\"'()"),) == option.key
    return reply in {option.key, label, label + option.key}


def _near(text: str, option: Option) -> bool:
    """Whether the whole reply is the option but for articles."""
    words = _without_articles(option.key)
    return (
        bool(words) and option.key != (option.label,) and _without_articles(tokens(text)) == words
    )


def _without_articles(key: Key) -> Key:
    return tuple(word for word in key if word not in {"a", "an", "the"})


def _worded(text: str, known: Iterable[Option]) -> list[Mention]:
    """Every occurrence of an option's words; a letter alone is none."""
    spans, lower = list(_spans(text)), text.lower()
    words = [token for token, _, _ in spans]
    mentions = []
    for option in known:
        size = len(option.key)
        if option.key == (option.label,):
            continue
        for at in range(len(words) - size + 1):
            if tuple(words[at : at + size]) == option.key:
                start, end = spans[at][1], spans[at + size - 1][2]
                mentions.append(Mention(option, start, end, _denied(lower, start, end)))
    return mentions


def _lettered(text: str, known: Sequence[Option]) -> Iterator[Mention]:
    by_label = {one.label: one for one in known if one.label is not None}
    lower = text.lower()
    for mention in label_mentions(text, tuple(by_label)) if by_label else ():
        denied = _denied(lower, mention.start, mention.end)
        yield Mention(by_label[mention.label], mention.start, mention.end, denied)


def _only(
    taken: set[Option], text: str, known: Sequence[Option], mentions: Sequence[Mention]
) -> str | None:
    """The option taken by its letter, unless another one's words follow as what it is."""
    if len(taken) != 1:
        return None
    option = next(iter(taken))
    ends = [one.end for one in mentions if one.option == option]
    after = {text[end : end + _REACH].lstrip(" .):]-,") for end in ends}
    words = {tokens(re.split(r"[.;!?\n](?!\d)", rest, maxsplit=1)[0]) for rest in after}
    others = {one.key for one in known if one != option and one.label is not None}
    return None if words & others else option.name


def _outermost(mentions: Sequence[Mention]) -> list[Mention]:
    inner = _inner(mentions)
    return [one for one in mentions if one not in inner]


def _inner(mentions: Iterable[Mention]) -> set[Mention]:
    """The mentions that lie inside longer ones."""
    inner = set()
    start, end = -1, -1  # of the mention that reaches farthest, the longest of those
    for one in sorted(mentions, key=lambda one: (one.start, -one.end)):
        if one.end > end:
            start, end = one.start, one.end
        elif (start, end) != (one.start, one.end):
            inner.add(one)
    return inner


def _without_overruled(mentions: Sequence[Mention]) -> list[Mention]:
    """The mentions without those that another option denies: "neither", where it is offered."""
    cues = [one for one in mentions if one.option.key[0] in {"neither", "none"}]
    return [one for one in mentions if one in cues or not (cues and one.start > cues[0].start)]


def _denied(lower: str, start: int, end: int) -> bool:
    """Whether what the clause says before or after the span denies it."""
    first = max(0, start - _REACH)
    ends = [match.end() for match in _SCOPE_ENDS.finditer(lower, first, start)]
    neither = lower.rfind("neither", first, start)
    before = lower[max([first, *ends]) : start]
    listed = neither >= 0 and not re.search(r"[.;!?\n]|\bbut\b", lower[neither:start])
    return listed or bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(lower, end))


def _spans(text: str) -> Iterator[tuple[str, int, int]]:
    content = normalised(text).lower()
    for match in _token_rule().finditer(content):
        number = match["number"]
        token = match[0] if number is None else _number(number, match["sign"] or "")
        yield token, match.start(), match.end()


def _number(number: str, sign: str) -> str:
    plus = "+" if number.endswith("+") else ""
    return re.sub(r"\s", "", sign).replace("<=", "≤").replace(">=", "≥") + (
        canonical(number.rstrip("+")) + plus
    )


@cache
def _token_rule() -> re.Pattern[str]:
    """Numbers, words of any script, per cent and degrees; a grade's plus belongs to it (2+)."""
    last = r"\++(?![^\W_])|-(?=\s*(?:$|[.,;:!?)\]]))"
    return re.compile(
        rf"(?P<sign>[<>≤≥±]=?\s*)?(?:(?<![^\W\d_])|(?<=[0-9]x))(?P<number>{NUMBER}(?:\+(?!\s*[0-9]))?)"
        rf"|(?<=[0-9])(?:(?![{UNSPACED}])[^\W\d_])+"
        rf"|(?:{word_rule().pattern})(?:{last})?"
        r"|[%°]"
    )
