"""How a question about a picture is read: its form, its pieces, and the values that words name.

English, by the rules of ``statements.yaml``; a question that no rule knows is left unread. Yes and
no are read in Chinese, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Literal

from vesalius.language.script import normalised
from vesalius.system.tables import packaged_table

Polarity = Literal["yes", "no"]
YES_NO = frozenset(
    {"normality", "contrast", "contrast_is", "is_this", "presence", "predicate", "acts"}
)
"""Forms that ask for yes or no; the others ask for a word."""
NOTHING: frozenset[str] = frozenset()
_OPENS: dict[Polarity, str] = {
    "yes": "是(?!否|不是)的?|有(?!没有|无|可能|限)|存在|包含|属于",
    "no": "不是|否|没有?(?!办法)|无(?!法)|未见|不存在|不包含|不属于",
}
"""What a Chinese clause opens with that affirms or denies, whatever follows: 有肺炎, 没有异常."""
_IS: dict[Polarity, str] = {
    "yes": "对的?|正确|有的|可以|能够?|会",
    "no": "不|不对|不正确|错误?|不可以|不能够?|不会",
}
"""What affirms or denies as the whole of a clause only: 对比增强 (contrast) is no yes."""
_OPENING = {sense: re.compile(f"{rule}|(?:{_IS[sense]})$") for sense, rule in _OPENS.items()}
_WHOLE = re.compile("|".join(["yes|no", *_OPENS.values(), *_IS.values()]))
_BREAK = re.compile(r"[\s.,;:!?]+")
_IRREGULAR = {"foci": "focus", "metastases": "metastasis", "vertebrae": "vertebra"}


@dataclass(frozen=True, slots=True)
class ParsedQuestion:
    """A question as read: its ``form`` (the rule's name) and the pieces the rule found."""

    form: str
    parts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def part(self, name: str) -> str:
        """A piece of the question; empty where the rule has none of that name."""
        return self.parts.get(name) or ""


def normal(question: str) -> str:
    """The question without case, surplus blanks and final punctuation."""
    return " ".join(question.lower().split()).strip(" ?.!:;\"'")


@lru_cache(maxsize=65536)
def polarity(answer: str) -> Polarity | None:
    """The one of yes and no that the answer says; None for neither or both.

    In English one of the two words, anywhere. In Chinese a clause that opens with the verb that
    answers (是, 有 ...) or its denial (不是, 没有, 否 ...), as in SLAKE; "这是CT" answers nothing.
    """
    text = normalised(answer).lower()
    senses: set[Polarity] = set()
    if "yes" in (words := re.findall(r"[a-z0-9]+", text)):
        senses.add("yes")
    if "no" in words:
        senses.add("no")
    senses |= {sense for clause in _BREAK.split(text) if (sense := _chinese(clause))}
    return senses.pop() if len(senses) == 1 else None


def is_polar(answer: str) -> bool:
    """Whether the answer is yes or no and nothing else."""
    return bool(_WHOLE.fullmatch(_BREAK.sub("", normalised(answer).lower())))


def _chinese(clause: str) -> Polarity | None:
    senses: list[Polarity] = ["no", "yes"]
    return next((sense for sense in senses if _OPENING[sense].match(clause)), None)


@lru_cache(maxsize=65536)
def parse_question(question: str) -> ParsedQuestion | None:
    """How the question is read; None where no rule knows it."""
    text = " ".join(question.split()).strip(" ?.!:;\"'")
    for form, rule in _rules():
        match = rule.fullmatch(text)
        if match:
            parts = {name: part for name, part in match.groupdict().items() if part}
            return ParsedQuestion(form, MappingProxyType(parts))
    return None


def values(topic: str, text: str) -> frozenset[str]:
    """The values of ``modality``, ``plane`` or ``contrast`` that a text names, implied ones too.

    Nothing where it names two that exclude each other: then it is not known which is meant.
    """
    named = {value for value, rule in table().values[topic].items() if rule.search(text)}
    if "no contrast" in named:
        named.discard("contrast")
    known = with_implied(named)
    clash = any(len(known & apart) > 1 for apart in table().apart)
    return NOTHING if clash else known


def bare(text: str) -> tuple[str, str] | None:
    """(topic, value) that a text names and nothing else ("an MRI scan"); None for more or other."""
    for topic, rules in table().bare.items():
        for value, rule in rules.items():
            if rule.fullmatch(text.strip()):
                return str(topic), str(value)
    return None


def bare_noun(text: str) -> str:
    """A noun phrase without article and plural: what counts as the same thing."""
    words = re.sub(r"^(?:an?|the|any|some)\b ?", "", normal(text)).split()
    return " ".join([*words[:-1], _singular(words[-1])]) if words else ""


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if re.search(r"(?:ss|sh|ch|x)es$", word):
        return word[:-2]
    return word[:-1] if re.search(r"[^siu]s$", word) else word


def with_implied(names: Iterable[str]) -> frozenset[str]:
    """The values with those that they imply: T1 implies MRI."""
    known, implies = frozenset(names), table().implies
    return known | {implies[value] for value in known if value in implies}


@dataclass(frozen=True, slots=True)
class Table:
    """What answers name: patterns by topic and value, alone or within more words.

    A value implies others; of the values of one set in ``apart`` only one can hold; ``abnormal``
    finds things that no normal picture shows.
    """

    values: Mapping[str, Mapping[str, re.Pattern[str]]]
    bare: Mapping[str, Mapping[str, re.Pattern[str]]]
    implies: Mapping[str, str]
    apart: tuple[frozenset[str], ...]
    abnormal: re.Pattern[str]


@cache
def table() -> Table:
    """The table of ``statements.yaml``, its patterns compiled."""
    content = _content()
    named: dict[str, dict[str, str]] = content["values"]

    def compiled(topics: Iterable[str], form: str) -> dict[str, dict[str, re.Pattern[str]]]:
        return {
            topic: {v: re.compile(form % rule, re.IGNORECASE) for v, rule in named[topic].items()}
            for topic in topics
        }

    return Table(
        values=compiled(named, "%s"),
        # What comes with contrast is not contrast alone.
        bare=compiled([topic for topic in named if topic != "contrast"], content["bare"]),
        implies=content["implies"],
        apart=tuple(frozenset(line) for line in content["apart"]),
        abnormal=re.compile(content["abnormal"], re.IGNORECASE),
    )


@cache
def _rules() -> tuple[tuple[str, re.Pattern[str]], ...]:
    content = _content()
    pieces: dict[str, str] = content["pieces"]

    def whole(rule: str) -> str:
        return re.sub(r"@(\w+)", lambda reference: whole(pieces[reference[1]]), rule)

    return tuple((form, re.compile(whole(rule), re.IGNORECASE)) for form, rule in content["rules"])


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = packaged_table(__package__, "statements.yaml")
    return content
