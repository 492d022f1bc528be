"""What a question and its answer state about a picture, and which statements exclude each other.

English, by rules that lie in ``statements.yaml``: a light that warns where it is certain and stays
dark elsewhere. Data sets are cleaned with it, and models' answers to one picture compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from vesalius.language.questions import (
    NOTHING,
    YES_NO,
    ParsedQuestion,
    bare,
    bare_noun,
    normal,
    parse_question,
    polarity,
    table,
    values,
    with_implied,
)

Choice = tuple[str, str]
OFFERING = frozenset({"alternatives", "chosen"})
"""Forms whose question names the answers to choose from."""
_OPENS_YES_NO = re.compile(r"(?:is|are|was|were|do|does|did|can|could|has|have|will|would|any)\b")
_NONE = frozenset({"0", "no", "none", "zero", "nil"})


@dataclass(frozen=True, slots=True)
class Claim:
    """What an answer commits to: values that hold, values that do not, and a choice made.

    ``chosen`` is (question, answer) where a question offers alternatives: another of them, chosen
    in answer to the same question, excludes it.
    """

    holds: frozenset[str] = NOTHING
    denied: frozenset[str] = NOTHING
    chosen: Choice | None = None


SILENT = Claim()


def claim(question: str, answer: str, options: Sequence[str] | None = None) -> Claim:
    """What ``answer`` to ``question`` commits to; SILENT where the rules cannot tell."""
    read, verdict = parse_question(question), polarity(answer)
    if read is not None and read.form not in YES_NO:
        stated = _worded(read, answer)
    else:
        stated = SILENT if verdict is None else _yes_no(question, read, yes=verdict == "yes")
    choice = _choice(question, read, answer, options)
    return stated if choice is None else replace(stated, chosen=(normal(question), choice))


def possible(question: str, options: Sequence[str] | None = None) -> Iterator[Claim]:
    """A claim of every kind that some answer to the question could make."""
    read = parse_question(question)
    if options or (read is not None and read.form in OFFERING):
        yield from (Claim(chosen=(normal(question), str(number))) for number in range(2))
    if read is None and not _OPENS_YES_NO.match(normal(question)):
        return
    if read is None or read.form in YES_NO:
        yield from (_yes_no(question, read, yes=yes) for yes in (True, False))
    elif read.form == "count":
        yield from (_there_is(read.part("thing"), yes=yes) for yes in (True, False))
    else:
        known = table().values.get(_topic(read), {})
        yield from (Claim(holds=with_implied({value})) for value in known)


def excludes(first: Claim, second: Claim) -> str | None:
    """Why the two cannot both be true of one picture, in a word; None where they can.

    ``polarity``: one affirms what the other denies. ``values``: two values of which only one can
    hold. ``choice``: two of the alternatives that one question offers.
    """
    if first.holds & second.denied or second.holds & first.denied:
        return "polarity"
    for apart in table().apart:
        ours, theirs = first.holds & apart, second.holds & apart
        if ours and theirs and not ours & theirs:
            return "values"
    if first.chosen and second.chosen and first.chosen[0] == second.chosen[0]:
        return "choice" if first.chosen[1] != second.chosen[1] else None
    return None


@lru_cache(maxsize=65536)
def comparable(
    first: str,
    second: str,
    options: tuple[str, ...] | None = None,
    others: tuple[str, ...] | None = None,
) -> bool:
    """Whether some answers to the two questions would exclude each other."""
    theirs = list(possible(second, others))
    return any(excludes(a, b) for a in possible(first, options) for b in theirs)


def _yes_no(question: str, read: ParsedQuestion | None, *, yes: bool) -> Claim:
    form = "" if read is None else read.form
    if read is not None and form == "normality":
        sign = read.part("sign").lower() == "normal"
        return Claim(holds=frozenset({"normal" if sign == yes else "abnormal"}))
    if read is not None and form == "contrast" and not read.part("agent"):
        return Claim(holds=frozenset({"contrast" if yes else "no contrast"}))
    if read is not None and form == "contrast_is":
        kind = f"{read.part('word')} {read.part('device')}"
        implied = values("contrast", kind) | values("modality", kind)
        return _stated(question, implied, yes=yes)
    if read is not None and form == "is_this":
        return _is_this(read.part("word"), yes=yes)
    if read is not None and form == "presence":
        return _there_is(read.part("thing"), yes=yes != bool(read.part("not")))
    return _stated(question, yes=yes)


def _stated(question: str, implied: Iterable[str] = (), *, yes: bool) -> Claim:
    this = f"asked: {normal(question)}"
    return Claim(holds=with_implied({this, *implied})) if yes else Claim(denied=frozenset({this}))


def _is_this(word: str, *, yes: bool) -> Claim:
    # "Is this a contrast-enhanced CT?", denied, leaves room for a CT: only the bare name denies it.
    named = bare(word)
    value = f"is: {bare_noun(word)}" if named is None else named[1]
    if not yes:
        return Claim(denied=frozenset({value}))
    return Claim(holds=with_implied({value, *values("modality", word), *values("plane", word)}))


def _there_is(thing: str, *, yes: bool) -> Claim:
    value = f"there is: {bare_noun(thing)}"
    if not yes:
        return Claim(denied=frozenset({value}))
    ill = {"abnormal"} if table().abnormal.search(thing) else set()
    return Claim(holds=frozenset({value, *ill}))


def _worded(read: ParsedQuestion, answer: str) -> Claim:
    if read.form == "count":
        none = normal(answer) in _NONE
        return _there_is(read.part("thing"), yes=not none) if answer.strip() else SILENT
    topic = _topic(read)
    return Claim(holds=values(topic, answer)) if topic in table().values else SILENT


def _choice(
    question: str, read: ParsedQuestion | None, answer: str, options: Sequence[str] | None
) -> str | None:
    """The alternative that the answer takes; None unless it is one, in so many words."""
    choice = normal(answer)
    if options:
        return choice if choice in {normal(option) for option in options} else None
    offering = read is not None and read.form in OFFERING
    return choice if offering and choice and f" {choice} " in f" {normal(question)} " else None


def _topic(read: ParsedQuestion) -> str:
    return "contrast" if read.form == "contrast_kind" else read.form
