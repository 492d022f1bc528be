"""Which questions of a split a set of answers leaves out, and which of its ids the split lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vesalius.cases.prediction import Prediction

NAMED = 5
"""How many ids a sentence names."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The ids of ``questions`` (how many there are, in the split that ``of`` names) and of answers.

    ``missing``: those of questions without an answer; ``invented``: those of answers to none.
    """

    of: str
    questions: int
    missing: tuple[str, ...] = ()
    invented: tuple[str, ...] = ()

    @classmethod
    def between(
        cls, of: str, questions: Iterable[str], predictions: Sequence[Prediction]
    ) -> Coverage:
        """What there is to tell of answers held against the ids of a split's questions."""
        asked = dict.fromkeys(questions)
        answered = {p.id for p in predictions}
        return cls(
            of,
            len(asked),
            tuple(one for one in asked if one not in answered),
            tuple(p.id for p in predictions if p.id not in asked),
        )

    def sentences(self) -> Iterator[str]:
        """What is missing and what is too many, by name; none where nothing is."""
        if self.missing:
            n, have = len(self.missing), "has" if len(self.missing) == 1 else "have"
            what = f"{n:,} of the {self.questions:,} questions of {self.of} {have} no answer"
            yield f"{what}: {first_of(self.missing)}."
        if self.invented:
            n, are = len(self.invented), "answer is" if len(self.invented) == 1 else "answers are"
            what = f"{n:,} {are} to no question of {self.of}, and scored all the same"
            yield f"{what}: {first_of(self.invented)}."

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, every id in it."""
        return asdict(self)


def remarks(coverage: Mapping[str, Any]) -> list[str]:
    """The sentences of what :meth:`Coverage.to_json` gave; none of an empty mapping."""
    return list(Coverage(**coverage).sentences()) if coverage else []


def first_of(ids: Sequence[str]) -> str:
    """The first few ids by name, and how many more there are."""
    more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    return ", ".join(map(repr, ids[:NAMED])) + more
