"""The training examples in dialogues, and when two wordings count as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.errors import ModelError


@dataclass(frozen=True, slots=True)
class Example:
    """One answered question: the reference's words, the pictures it is about, its case."""

    case: str
    group: str
    question: str
    category: str | None
    answer: str
    pictures: tuple[Picture, ...]


def examples(dialogues: Sequence[Dialogue]) -> list[Example]:
    """Every turn with a reference in words, in order; of several references the first is taken.

    ModelError if there is none: a model of answers cannot be fitted on boxes alone.
    """
    answered = [example for dialogue in dialogues for example in _of(dialogue)]
    if not answered:
        raise ModelError(
            "none of the dialogues to learn from has a reference answer in words",
            hint="vesalius data check shows what the data set holds",
        )
    return answered


def pictured(taught: Sequence[Example]) -> list[Example]:
    """The examples that were asked of a picture, or several."""
    return [example for example in taught if example.pictures]


def pooled(taught: Sequence[Example]) -> dict[str, Any]:
    """What a run notes of questions about several pictures; nothing where there are none."""
    several = sum(len(example.pictures) > 1 for example in taught)
    how = "the mean of their vectors"
    return {"several_pictures": {"questions": several, "read_as": how}} if several else {}


def plain(text: str) -> str:
    """The wording without case or surplus blanks: what counts as the same.

    Blanks must not count. In VQA-Med 2019 "is this a t1 weighted image?" is always answered no,
    and the same words with a stray tab always yes.
    """
    return " ".join(text.casefold().split())


def spellings(answers: Iterable[str]) -> Mapping[str, str]:
    """Plain answer -> its most frequent spelling; ties go to the alphabetically first."""
    counts: dict[str, Counter[str]] = {}
    for answer in answers:
        counts.setdefault(plain(answer), Counter())[answer.strip()] += 1
    return {key: most_frequent(spelled)[0] for key, spelled in counts.items()}


def most_frequent(counts: Counter[str]) -> tuple[str, float]:
    """The commonest entry and its share in (0, 1]; ties go to the alphabetically first."""
    entry = min(counts, key=lambda text: (-counts[text], text))
    return entry, counts[entry] / counts.total()


def _of(dialogue: Dialogue) -> Iterator[Example]:
    for at, turn in enumerate(dialogue.turns):
        texts = [answer.text for answer in turn.question.answers if answer.text is not None]
        if texts:
            yield Example(
                case=dialogue.case or dialogue.id,
                group=dialogue.group,
                question=turn.question.text,
                category=turn.question.category,
                answer=texts[0],
                pictures=dialogue.study_at(at),
            )
