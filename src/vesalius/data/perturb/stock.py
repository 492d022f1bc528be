"""What a change takes from the rest of a set: other cases' pictures, wrong answers, translations.

It reads words and keys; no picture is opened.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from vesalius.cases.case import NOTHING, Case, Question
from vesalius.cases.picture import Picture
from vesalius.language.options import option_of
from vesalius.language.questions import is_polar, normal, polarity
from vesalius.language.script import normalised

MODALITIES = frozenset({"modality"})
ORGANS = frozenset({"organ", "organ system"})
"""Categories of questions whose answers say what a picture shows."""


@dataclass(frozen=True, slots=True)
class Donor:
    """A case's pictures for another one: whose they are, and what they are known to show."""

    group: str
    modality: str | None
    organ: str | None
    pictures: tuple[Picture, ...]

    @classmethod
    def of(cls, case: Case) -> Donor:
        """What the case's own fields and answers say of its pictures."""
        modality = case.modality or _answer_to(case, MODALITIES)
        organ = _answer_to(case, ORGANS)
        return cls(case.group, modality and plain(modality), organ and plain(organ), case.pictures)

    @property
    def known(self) -> bool:
        """Whether anything is known of what they show."""
        return bool(self.modality or self.organ)

    def shows_other_than(self, other: Donor) -> bool:
        """Whether a modality or an organ is known of both, and differs."""
        pairs = ((self.modality, other.modality), (self.organ, other.organ))
        return any(a and b and a != b for a, b in pairs)


class Stock:
    """A set's cases as other cases may use them; they are read when first asked for.

    What is drawn depends on ``seed`` and on the case alone, not on the order of asking.
    ``wordings`` are questions in other words, by their own.
    """

    def __init__(
        self,
        cases: Callable[[], Iterable[Case]],
        seed: int = 0,
        wordings: Mapping[str, str] = NOTHING,
    ) -> None:
        self._cases, self._seed, self.wordings = cases, seed, wordings

    def draws(self, change: str, key: str) -> random.Random:
        """The random numbers of a change to the case (or picture) of that key."""
        return random.Random(f"{self._seed}:{change}:{key}")  # noqa: S311

    def donor(self, change: str, case: Case, *, other_kind: bool = False) -> Donor | None:
        """A case with pictures, of another patient; None where there is none.

        ``other_kind``: also of another modality or organ, as far as the set says these.
        """
        own, donors = Donor.of(case), self._donors
        if other_kind and not (own.known and self._kinds > 1):
            return None
        start = self.draws(change, case.id).randrange(len(donors)) if donors else 0
        for one in (*donors[start:], *donors[:start]):
            if one.group != own.group and (not other_kind or one.shows_other_than(own)):
                return one
        return None

    def wrong_answer(self, question: Question, draws: random.Random) -> str | None:
        """A wrong answer of the right kind, None where none is known.

        Another of the options, the other one of yes and no, or what is right for another question
        of its category in the set.
        """
        golds = [answer.text for answer in question.answers if answer.text]
        if not golds:
            return None
        if question.options:
            right = {option_of(gold, question.options) for gold in golds}
            others = (
                [one for one in question.options if one not in right] if None not in right else []
            )
        elif any(is_polar(gold) for gold in golds):
            others = [{"yes": "no", "no": "yes"}.get(polarity(golds[0]) or "", "")]
        else:
            others = list(self._answers.get(question.category, ()))
        known = {plain(gold) for gold in golds}
        others = [one for one in others if one and plain(one) not in known]
        return draws.choice(others) if others else None

    def translation(self, case: Case, question: str) -> Question | None:
        """The question of that name in another language; None where the set has none."""
        return self._translations.get((case.id, question))

    @cached_property
    def _donors(self) -> Sequence[Donor]:
        return [Donor.of(case) for case in self._cases() if case.pictures]

    @cached_property
    def _kinds(self) -> int:
        """How many kinds of picture are told apart."""
        return len({(one.modality, one.organ) for one in self._donors if one.known})

    @cached_property
    def _answers(self) -> Mapping[str | None, Sequence[str]]:
        """Each category's answers, one spelling each, in order; those to yes or no left out."""
        by_category: defaultdict[str | None, dict[str, str]] = defaultdict(dict)
        for case in self._cases():
            for question in case.questions:
                texts = [answer.text for answer in question.answers if answer.text]
                for text in texts if not any(map(is_polar, texts)) else ():
                    by_category[question.category].setdefault(plain(text), text)
        return {name: [held[key] for key in sorted(held)] for name, held in by_category.items()}

    @cached_property
    def _translations(self) -> Mapping[tuple[str, str], Question]:
        pairs: dict[tuple[str, str], Question] = {}
        for case in self._cases():
            names = case.question_ids()
            if len({question.language for question in case.questions}) < 2:
                continue
            for name, question in zip(names, case.questions, strict=True):
                others = [q for q in case.questions if _translates(question, q)]
                if others:
                    pairs[case.id, name] = others[0]
        return pairs


def plain(text: str) -> str:
    """The text as it counts: without case, surplus blanks and final punctuation."""
    return normal(normalised(text))


def _translates(question: Question, other: Question) -> bool:
    """Whether two questions have one id but for the mark of their languages."""
    stems = (_stem(question), _stem(other))
    return question.language != other.language and stems[0] == stems[1] != ""


def _stem(question: Question) -> str:
    return re.sub(rf"[-._/]?{re.escape(question.language)}\Z", "", question.id)


def _answer_to(case: Case, categories: frozenset[str]) -> str | None:
    """What the case answers to a question of these categories that asks for no yes or no."""
    for question in case.questions:
        if (question.category or "").lower() in categories:
            for answer in question.answers:
                if answer.text and not is_polar(answer.text):
                    return answer.text
    return None
