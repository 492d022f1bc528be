"""What cannot stand in one dialogue: the same pair twice, and pairs that exclude each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from vesalius.cases.case import Question
from vesalius.language.questions import normal
from vesalius.language.statements import Claim, claim, excludes

Kind = Literal["unanswered", "duplicate", "repeat", "contradiction"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A pair of question and answer that was left out, and the pair on whose account it was.

    ``unanswered``: no answer in words. ``duplicate``: the same question with the same answer.
    ``repeat``: the same question with an answer that says something else, excluding nothing; the
    first stays. ``contradiction``: both cannot be true; ``rule`` says why (polarity, values,
    choice).
    """

    kind: Kind
    question: Question
    other: Question | None = None
    rule: str = ""

    def to_row(self, case: str, split: str) -> dict[str, Any]:
        """The finding as JSON-ready data, texts included: it is for a file, not for a log."""
        pairs = [_pair(q) for q in (self.question, self.other) if q is not None]
        row = {"case": case, "split": split, "kind": self.kind, "rule": self.rule, "pairs": pairs}
        return {name: value for name, value in row.items() if value}


def consistent(questions: Sequence[Question]) -> tuple[list[Question], list[Dropped]]:
    """The questions that can stand together, in the given order, and those that cannot.

    Of pairs that exclude each other the one at odds with most others goes; where that is a tie, as
    between two, all of them go: nothing says which is true.
    """
    remaining, dropped = _deduplicate(questions)
    claims = {id(q): claim(q.text, answer_of(q), q.options) for q in remaining}
    while clashes := _clashes(remaining, claims):
        count = {id(q): sum(q is a or q is b for a, b, _ in clashes) for q in remaining}
        most = max(count.values())
        worst = [q for q in remaining if count[id(q)] == most]
        for question in worst:
            first, second, rule = next(c for c in clashes if question is c[0] or question is c[1])
            other = second if question is first else first
            dropped.append(Dropped("contradiction", question, other, rule))
        remaining = [q for q in remaining if count[id(q)] < most]
    return remaining, dropped


def answer_of(question: Question) -> str:
    """The first reference answer's words, blanks collapsed; empty where there is none."""
    text = question.answers[0].text if question.answers else None
    return " ".join((text or "").split())


def _deduplicate(questions: Sequence[Question]) -> tuple[list[Question], list[Dropped]]:
    unique: list[Question] = []
    dropped: list[Dropped] = []
    first: dict[tuple[str, str], Question] = {}
    for question in questions:
        if not answer_of(question):
            dropped.append(Dropped("unanswered", question))
            continue
        key = (normal(question.text), question.language)
        before = first.setdefault(key, question)
        if before is question:
            unique.append(question)
        elif _same(before, question):
            dropped.append(Dropped("duplicate", question, before))
        elif excludes(*(claim(q.text, answer_of(q), q.options) for q in (before, question))):
            unique.append(question)  # the contradictions are weighed together
        else:
            dropped.append(Dropped("repeat", question, before))
    return unique, dropped


def _same(first: Question, second: Question) -> bool:
    return normal(answer_of(first)) == normal(answer_of(second))


def _clashes(
    questions: Sequence[Question], claims: dict[int, Claim]
) -> list[tuple[Question, Question, str]]:
    clashes = []
    for a, b in combinations(questions, 2):
        rule = excludes(claims[id(a)], claims[id(b)])
        if rule is not None:
            clashes.append((a, b, rule))
    return clashes


def _pair(question: Question) -> dict[str, str]:
    return {"id": question.id, "question": question.text, "answer": answer_of(question)}
