"""A writer's rewording of a summary, and the check that every sentence follows from some pair."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from vesalius.cases.case import Question
from vesalius.data.visual_dialogue.consistent import answer_of
from vesalius.data.visual_dialogue.words import matches, number, wording
from vesalius.language.assertions import assertions, numbers, sides
from vesalius.language.questions import bare_noun, parse_question, polarity

Writer = Callable[[str], str]
"""Turns a prompt into a text; a language model, or anything that writes."""
MOST = 3
"""Sentences that are read of what a writer wrote."""
_CLAUSES = re.compile(r"[.;:!?,]\s|\band\b|\bbut\b")
_WHOLE = 10_000  # in a summary a negation reaches to the end of its clause


@dataclass(frozen=True, slots=True)
class Assertion:
    """What one pair, or one clause, tells: words with whether they hold, sides, numbers."""

    words: Mapping[str, bool]
    sides: frozenset[str]
    numbers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The rewording, or the template where it failed, and the sentences that do not follow."""

    text: str
    unsupported: tuple[str, ...]


def rewrite(template: str, questions: Sequence[Question], writer: Writer) -> Rewritten:
    """The writer's rewording of a template summary, if every sentence follows from the pairs.

    A sentence that does not is dropped and told; what would be left could say less than the
    template, which then stands. So it does where nothing whole was written.
    """
    facts = [f"- {q.text} {answer_of(q)}" for q in questions]
    prompt = wording()["prompt"].format(template=template, facts="\n".join(facts))
    written = sentences(writer(prompt))[:MOST]
    support = [*map(assertion_of, questions), *map(_of_text, _clauses(template))]
    dropped = tuple(sentence for sentence in written if not follows(sentence, support))
    text = " ".join(dict.fromkeys(written))
    return Rewritten(template if dropped or not text else text, dropped)


def sentences(text: str) -> list[str]:
    """The sentences of a text, each with its stop; a last one without a stop is not whole."""
    flat = " ".join(text.split())
    return [part.strip() for part in re.findall(r"[^.!?]+(?:\.\d[^.!?]*)*[.!?]", flat)]


def follows(sentence: str, support: Iterable[Assertion]) -> bool:
    """Whether everything a sentence says is said by what supports it.

    Every content word that a clause states must be stated somewhere. What it negates must all be
    denied in one place, and nowhere be stated, unless it is exactly what is denied there. Every
    side and number must be told together with another word of the clause.
    """
    pairs = list(support)
    return all(_supported(_of_text(clause), pairs) for clause in _clauses(sentence))


def assertion_of(question: Question) -> Assertion:
    """What a pair of question and answer tells; "no" denies what was asked about."""
    answer, verdict = answer_of(question), polarity(answer_of(question))
    if verdict is None and not matches("none", answer) and number(answer) != 0:
        return _of_text(f"{question.text} {answer}")
    whole = _words(question.text)
    if verdict == "yes":
        return Assertion(whole, frozenset(sides(question.text)), frozenset(_numbers(question.text)))
    denied = _words(_subject(question.text))
    words = {word: (not whole[word] if word in denied else True) for word in whole}
    return Assertion(words, frozenset(sides(question.text)), frozenset(_numbers(question.text)))


def _subject(text: str) -> str:
    """The part of a yes/no question that its answer affirms or denies; all of it if not read."""
    read = parse_question(text)
    if read is None:
        return text
    predicate = read.part("said")
    if matches("visible", predicate) or predicate.lower() == "present":
        return read.part("subject")
    parts = [predicate, *(read.part(name) for name in ("thing", "word", "sign"))]
    return " ".join(part for part in parts if part) or text


def _supported(clause: Assertion, pairs: Sequence[Assertion]) -> bool:
    stated_somewhere = set().union(*(_words_that(pair, True) for pair in pairs))
    return (
        _words_that(clause, True) <= stated_somewhere
        and _denied(_words_that(clause, False), pairs)
        and all(_together(clause, {side}, set(), pairs) for side in clause.sides)
        and all(_together(clause, set(), {one}, pairs) for one in clause.numbers)
    )


def _denied(negated: set[str], pairs: Sequence[Assertion]) -> bool:
    if not negated:
        return True
    stated_elsewhere = any(negated <= _words_that(pair, True) for pair in pairs)
    # "No mass" does not follow from "no mass in the liver" where another pair tells of a mass.
    return any(
        negated == denied or (negated <= denied and not stated_elsewhere)
        for denied in (_words_that(pair, False) for pair in pairs)
    )


def _words_that(assertion: Assertion, holds: bool) -> set[str]:
    return {word for word, held in assertion.words.items() if held == holds}


def _together(clause: Assertion, side: set[str], one: set[str], pairs: Sequence[Assertion]) -> bool:
    """Whether some pair tells the side or number of a word that it holds of as the clause does."""
    named = any(word[0].isalpha() for word in one)  # "T1" and "L4" say themselves what they are of
    for pair in pairs:
        if side <= pair.sides and one <= pair.numbers:
            shared = clause.words.keys() & pair.words.keys()
            if named or not clause.words or any(clause.words[w] == pair.words[w] for w in shared):
                return True
    return False


def _of_text(text: str) -> Assertion:
    return Assertion(_words(text), frozenset(sides(text)), frozenset(_numbers(text)))


def _words(text: str) -> dict[str, bool]:
    """Content words without glue, cut to a rough stem, with whether they hold."""
    glue = wording()["glue"]
    words: dict[str, bool] = {}
    for word, holds in assertions(text, scope=_WHOLE, shortest=2).items():
        if word not in glue and number(word) is None:
            stem = _stem(word)
            words[stem] = words.get(stem, True) and holds
    return words


def _numbers(text: str) -> set[str]:
    words = (number(word) for word in re.findall(r"[a-z]+", text.lower()))
    # "one" is as often a pronoun; "no" is a negation.
    return {*numbers(text), *(str(n) for n in words if n is not None and n > 1)}


def _stem(word: str) -> str:
    return bare_noun(word.removesuffix("'s")) or word


def _clauses(text: str) -> list[str]:
    return [part for part in _CLAUSES.split(f"{text} ") if part.strip()]
