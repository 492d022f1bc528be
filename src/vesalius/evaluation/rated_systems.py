"""What answered and was rated: runs, and the references of their questions as one more system.

Raters know an answer as an item, a hash that tells of no case and no run; a rating finds its answer
again by the name of the review, which is one system's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from vesalius.cases.prediction import Prediction
from vesalius.cases.rating import Rating
from vesalius.errors import RunError
from vesalius.evaluation.judging.prompts import candidate
from vesalius.evaluation.prediction_sets import refuse_duplicates
from vesalius.run import Run

REFERENCES = "references"
"""The name of what the experts of the data set answered."""
_HASHED = re.compile(r".* ([0-9a-f]{16})", re.DOTALL)
"""A review's name that says which answers it was of."""


@dataclass(frozen=True, slots=True)
class System:
    """What answered: its name for people, the name of its review, and its answers by id."""

    name: str
    review: str
    answers: Mapping[str, Prediction]

    @classmethod
    def of_run(cls, run: Run, name: str | None = None) -> System:
        """A run's answers; RunError where it has none, or one twice."""
        if not run.predictions_file().exists():
            hint = f"vesalius predict --run {run.path}"
            raise RunError("has no answers to review", where=run.path, hint=hint)
        rows = list(run.predictions())
        refuse_duplicates(rows)
        return cls(name or run.name, review_name(run), {one.id: one for one in rows})

    @classmethod
    def of_references(cls, rows: Iterable[Prediction]) -> System:
        """The first reference of each row, where it has one, as an answer."""
        known = [replace(one, answer=one.references[0]) for one in rows if one.references]
        lines = sorted("\n".join((one.id, one.question, candidate(one.answer))) for one in known)
        digest = sha256("\n\n".join(lines).encode()).hexdigest()
        return cls(REFERENCES, f"{REFERENCES} {digest[:16]}", {one.id: one for one in known})

    def ratings(self, ratings: Sequence[Rating], *, strict: bool = False) -> list[Rating]:
        """Those of its answers, with the answers' ids in place of items.

        A rating whose review names no answers may be of any system, unless ``strict``: two of them
        on one data set have the same ids.
        """
        ids = {item_id(self.review, name): name for name in self.answers}
        named = [
            replace(one, review=self.review, prediction=ids[one.prediction])
            if one.prediction in ids
            else one
            for one in ratings
        ]
        return [
            one
            for one in named
            if one.review == self.review or not (strict or _HASHED.fullmatch(one.review))
        ]


def systems(runs: Sequence[Run], *, references: bool = False) -> list[System]:
    """Runs, in their order, and the references of the first of them; RunError for one run twice.

    Runs are called by their folders' names, or by their paths where two names are the same.
    """
    names = [run.name for run in runs]
    clear = len({*names, REFERENCES}) > len(names)
    answering = [System.of_run(run, None if clear else str(run.path)) for run in runs]
    if len({one.review for one in answering}) < len(answering):
        what = "two of the runs have the same recipe and the same answers"
        raise RunError(what, where=runs[0].path, hint="name each run once")
    experts = [System.of_references(answering[0].answers.values())] if references else []
    return answering + experts


def review_name(run: Run) -> str:
    """What a review of a run's answers is called: the recipe and a hash of the answers."""
    digest = sha256(run.predictions_file().read_bytes()).hexdigest()
    return f"{run.recipe().name} {digest[:16]}"


def item_id(review: str, prediction: str) -> str:
    """What raters know an answer by: a hash that tells nothing of its case or its system."""
    digest = sha256(f"{review}\n{prediction}".encode()).hexdigest()
    return f"itm_{digest[:40]}"


def ratings_of(run: Run, ratings: Sequence[Rating], *, strict: bool = False) -> list[Rating]:
    """Those of a run's answers (:meth:`System.ratings`); RunError where none is."""
    theirs = System.of_run(run).ratings(ratings, strict=strict)
    if not theirs:
        what = f"none of the {len(ratings)} ratings is of a review of this run's answers"
        raise RunError(what, where=run.path, hint=f"their reviews: {reviews_in(ratings)}")
    return theirs


def reviews_in(ratings: Sequence[Rating]) -> str:
    """The names of the reviews that ratings are of, in one line."""
    return ", ".join(sorted({repr(one.review) for one in ratings}))
