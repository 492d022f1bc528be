"""Answered questions as rows of plain words, with what is known of them besides the picture."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from vesalius.cases.case import Case, Question
from vesalius.data.audit import Key
from vesalius.data.fingerprints import Inspected

BUCKET = 64
"""Pixels: sizes are told to a model of metadata in steps of so many."""
UNKNOWN = "of no type"


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answered question: plain words, its type, and metadata as ``name=value``.

    ``picture`` is the SHA-256 of the one picture (or those, joined) that it is about, ``thumbnail``
    the place of that picture's thumbnail among the survey's; -1: none.
    """

    key: Key
    group: str
    question: str
    answers: tuple[str, ...]
    type: str
    metadata: tuple[str, ...]
    picture: str
    thumbnail: int = -1

    @property
    def answer(self) -> str:
        """The first reference answer."""
        return self.answers[0]


def plain(text: str) -> str:
    """Words without case or surplus blanks, one object for equal texts: templates repeat."""
    return sys.intern(" ".join(text.casefold().split()))


def answer_rows(
    case: Case, split: str, pictures: Sequence[Inspected], thumbnail: int = -1
) -> Iterator[AnswerRow]:
    """The case's questions that have an answer in words."""
    metadata = _metadata(case, pictures)
    shas = sorted(p.fingerprint.sha256 for p in pictures if p.fingerprint is not None)
    for question in case.questions:
        answers = tuple(plain(a.text) for a in question.answers if a.text and a.text.strip())
        if answers:
            yield AnswerRow(
                key=Key(case.id, split),
                group=case.group,
                question=plain(question.text),
                answers=answers,
                type=_type(question),
                metadata=metadata,
                picture=" ".join(shas),
                thumbnail=thumbnail,
            )


def commonest(answers: Iterable[str]) -> tuple[str, int]:
    """The most frequent answer and how often it is given; ties go to the alphabetically first."""
    counts = Counter(answers)
    best = min(counts, key=lambda text: (-counts[text], text))
    return best, counts[best]


def _type(question: Question) -> str:
    return sys.intern(question.category or question.kind or UNKNOWN)


def _metadata(case: Case, pictures: Sequence[Inspected]) -> tuple[str, ...]:
    """What is known of a picture without looking at it."""
    facts = [f"modality={case.modality}"] if case.modality else []
    if pictures and pictures[0].fingerprint is not None:
        first = pictures[0]
        facts.append(f"width={first.width // BUCKET}")
        facts.append(f"height={first.height // BUCKET}")
        facts.append(f"shape={first.width}x{first.height}")
    facts += [f"ending={PurePosixPath(p.key).suffix.lower()}" for p in case.pictures[:1]]
    facts.append(f"pictures={len(case.pictures)}")
    return tuple(map(sys.intern, facts))
