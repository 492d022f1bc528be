"""Answers that models of words and small pictures contradict, each fitted without its group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.likeness import SIDE, Thumbnail
from vesalius.data.survey.figures import Pair, per_cent, table
from vesalius.data.survey.rows import AnswerRow
from vesalius.data.survey.survey import Survey
from vesalius.data.survey.verdict import Result, measured, unmeasured
from vesalius.data.survey.words import NO_ANSWERS, by_type
from vesalius.evaluation.answer_faults import LEAST, answer_faults
from vesalius.models.sparse_softmax import SparseSoftmax
from vesalius.steps.shortcuts import FEWEST, FOLDS, MOST, fold_of, question_features

COARSE = 12
"""Grey means along each side of what a model sees of a picture, and bins of its grey levels."""
PENALTY = 10.0
"""Of the squared weights: there are more numbers than a type of question may have rows."""
LEAST_JUDGED = 0.1
"""The share of answers that must be judged, or nothing is said of them."""
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Suspect:
    """An answer in doubt, what it should rather be, and by how much more probable that is."""

    row: AnswerRow
    rather: str
    margin: float


def answer_check(whole: Survey) -> Result:
    """Cross-fitted over all splits, a model a type of question: confident disagreement."""
    if not whole.rows:
        return unmeasured("answers", NO_ANSWERS)
    suspects, judged = suspect_answers(whole.rows, whole.thumbnails)
    if judged < LEAST_JUDGED * len(whole.rows):
        reason = (
            f"only {judged:,} of {len(whole.rows):,} answers are frequent, and such that models of "
            "words and small pictures can tell them"
        )
        return unmeasured("answers", reason)
    share = len(suspects) / judged
    words = (
        f"{len(suspects):,} of {judged:,} answers ({per_cent(share)}) are contradicted by models "
        f"of words and small pictures that were fitted without them; "
        f"{len(whole.rows) - judged:,} more are rare, or such that these models cannot tell them."
    )
    listed = [
        (s.row.question, s.row.answer, s.rather, f"{s.margin:.2f}", "/".join(reversed(s.row.key)))
        for s in suspects
    ]
    columns = ("question", "answer", "rather", "margin", "case")
    return measured(
        "answers",
        share,
        words,
        facts={"judged": judged, "suspect": len(suspects), "rows": len(whole.rows)},
        tables=(table("The most suspect", columns, listed),) if suspects else (),
        pairs=tuple(
            Pair((s.row.key,), f"{s.row.question} - {s.row.answer!r}, rather {s.rather!r}")
            for s in suspects
        ),
    )


def suspect_answers(
    rows: Sequence[AnswerRow], thumbnails: Sequence[Thumbnail]
) -> tuple[list[Suspect], int]:
    """The answers in doubt, the most suspect first, and how many could be judged."""
    suspects: list[Suspect] = []
    judged = 0
    for some in by_type(rows).values():
        for part in _parts(some):
            here, number = _of_type(part, thumbnails)
            suspects += here
            judged += number
    return sorted(suspects, key=lambda one: -one.margin), judged


def _parts(rows: Sequence[AnswerRow]) -> Iterator[Sequence[AnswerRow]]:
    """The rows in parts that a model is fitted on at once."""
    for start in range(0, len(rows), MOST):
        yield rows[start : start + MOST]


def _of_type(
    rows: Sequence[AnswerRow], thumbnails: Sequence[Thumbnail]
) -> tuple[list[Suspect], int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.answer] = counts.get(row.answer, 0) + 1
    some = [row for row in rows if counts[row.answer] >= LEAST]
    names = sorted({row.answer for row in some})
    if len(some) < FEWEST or len(names) < 2:
        return [], 0
    given = np.array([names.index(row.answer) for row in some], dtype=np.intp)
    doubt = answer_faults(_out_of_fold(some, names, thumbnails), given)
    suspects = [
        Suspect(some[at], names[rather], float(margin))
        for at, rather, margin in zip(doubt.rows, doubt.rather, doubt.margin, strict=True)
        if names[rather] not in some[at].answers
    ]
    return suspects, doubt.judged


def _out_of_fold(
    rows: Sequence[AnswerRow], names: Sequence[str], thumbnails: Sequence[Thumbnail]
) -> Array:
    """Probabilities [rows, names], each row's by a model that was fitted on other groups."""
    likely = np.zeros((len(rows), len(names)))
    numbers = _numbers(rows, thumbnails)
    features = [question_features(row) for row in rows]
    place = {name: at for at, name in enumerate(names)}
    at = fold_of([row.group for row in rows])
    for fold in range(FOLDS):
        held = np.flatnonzero(at == fold)
        others = np.flatnonzero(at != fold)
        if not len(held) or not len(others):
            continue
        model = SparseSoftmax.fit(
            [features[i] for i in others],
            [rows[i].answer for i in others.tolist()],
            numbers[others],
            penalty=PENALTY,
        )
        columns = np.array([place[name] for name in model.labels])
        likely[np.ix_(held, columns)] = model.probabilities(
            [features[i] for i in held], numbers[held]
        )
    return likely


def _numbers(rows: Sequence[AnswerRow], thumbnails: Sequence[Thumbnail]) -> Array:
    """Of each row's picture: coarse grey means and the shares of grey levels; 0 without one."""
    width = SIDE // COARSE
    numbers = np.zeros((len(rows), COARSE * COARSE + COARSE))
    for number, row in enumerate(rows):
        if row.thumbnail >= 0:
            levels = thumbnails[row.thumbnail].astype(np.float64) / 255
            means = levels.reshape(COARSE, width, COARSE, width).mean(axis=(1, 3))
            shares = np.histogram(levels, bins=COARSE, range=(0, 1))[0] / levels.size
            numbers[number] = [*means.ravel(), *shares]
    return numbers
