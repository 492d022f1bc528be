"""Answers that models of words and pictures contradict, each fitted without its group."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from vesalius.data.survey.figures import Pair, per_cent, table
from vesalius.data.survey.rows import AnswerRow
from vesalius.data.survey.survey import Survey
from vesalius.data.survey.verdict import Result, measured, unmeasured
from vesalius.data.survey.words import NO_ANSWERS, by_type
from vesalius.evaluation.answer_faults import LEAST, answer_faults
from vesalius.models.sparse_softmax import SparseSoftmax
from vesalius.steps.answer_sight import Sight
from vesalius.steps.shortcuts import FEWEST, FOLDS, MOST, fold_of, question_features

LEAST_JUDGED = 0.1
"""The share of answers that must be judged, or nothing is said of them."""
TRIAL = 0.05
"""The share of judged answers that are changed on purpose, to see how many of such are found."""
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Suspect:
    """An answer in doubt, what it should rather be, and by how much more probable that is."""

    row: AnswerRow
    rather: str
    margin: float


@dataclass(frozen=True, slots=True)
class Doubts:
    """The answers in doubt, the most suspect first, and the places of those that can be judged."""

    suspects: list[Suspect] = field(default_factory=list)
    judged: list[int] = field(default_factory=list)


def answer_check(whole: Survey, sight: Sight, seed: int = 0) -> Result:
    """Cross-fitted over all splits, a model a type of question: confident disagreement.

    How much such models find on these very data a trial says, in which answers are changed.
    """
    rows = whole.rows
    if not rows:
        return unmeasured("answers", NO_ANSWERS)
    doubts = suspect_answers(rows, sight)
    suspects, judged = doubts.suspects, len(doubts.judged)
    if judged < LEAST_JUDGED * len(rows):
        reason = (
            f"only {judged:,} of {len(rows):,} answers are frequent, and such that models of "
            f"words and {sight.words} can tell them"
        )
        return unmeasured("answers", reason)
    found, changed = trial(rows, doubts, sight, seed)
    if not found:
        reason = (
            f"of {changed:,} answers that were changed for a trial, models of words and "
            f"{sight.words} find none"
        )
        return unmeasured("answers", reason)
    share = len(suspects) / judged
    words = (
        f"{len(suspects):,} of {judged:,} answers ({per_cent(share)}) are contradicted by models "
        f"of words and {sight.words} that were fitted without them; {len(rows) - judged:,} more "
        f"are rare, or such that these models cannot tell them. Of {changed:,} answers that were "
        f"changed for a trial they find {found:,}."
    )
    listed = [
        (s.row.question, s.row.answer, s.rather, f"{s.margin:.2f}", "/".join(reversed(s.row.key)))
        for s in suspects
    ]
    columns = ("question", "answer", "rather", "margin", "case")
    facts = {"judged": judged, "suspect": len(suspects), "rows": len(rows)}
    return measured(
        "answers",
        share,
        words,
        facts=facts | {"trial_changed": changed, "trial_found": found},
        tables=(table("The most suspect", columns, listed),) if suspects else (),
        pairs=tuple(
            Pair((s.row.key,), f"{s.row.question} - {s.row.answer!r}, rather {s.rather!r}")
            for s in suspects
        ),
    )


def trial(
    rows: Sequence[AnswerRow], doubts: Doubts, sight: Sight, seed: int = 0
) -> tuple[int, int]:
    """Of how many answers that are changed on purpose as many are found: (found, changed).

    A share ``TRIAL`` of those that can be judged, each into another one that can, of its type.
    """
    known: dict[str, list[str]] = {}
    for place in doubts.judged:
        known.setdefault(rows[place].type, []).append(rows[place].answer)
    labels = {kind: sorted(set(answers)) for kind, answers in known.items()}
    draws = random.Random(f"{seed}:answers")  # noqa: S311
    drawn = draws.sample(doubts.judged, round(TRIAL * len(doubts.judged)))
    altered, changed = list(rows), []
    for place in sorted(drawn):
        row = rows[place]
        others = [one for one in labels[row.type] if one not in row.answers]
        if others:
            altered[place] = replace(row, answers=(draws.choice(others),))
            changed.append(place)
    named = {id(one.row) for one in suspect_answers(altered, sight).suspects}
    return sum(id(altered[place]) in named for place in changed), len(changed)


def suspect_answers(rows: Sequence[AnswerRow], sight: Sight) -> Doubts:
    """The answers that models of the words and of what ``sight`` gives contradict."""
    places = {id(row): at for at, row in enumerate(rows)}
    doubts = Doubts()
    for some in by_type(rows).values():
        for part in _parts(some):
            here = _of_type(part, sight)
            doubts.suspects.extend(here.suspects)
            doubts.judged.extend(places[id(part[at])] for at in here.judged)
    doubts.suspects.sort(key=lambda one: -one.margin)
    return doubts


def _parts(rows: Sequence[AnswerRow]) -> Iterator[Sequence[AnswerRow]]:
    """The rows in parts that a model is fitted on at once."""
    for start in range(0, len(rows), MOST):
        yield rows[start : start + MOST]


def _of_type(rows: Sequence[AnswerRow], sight: Sight) -> Doubts:
    counts = Counter(row.answer for row in rows)
    often = [at for at, row in enumerate(rows) if counts[row.answer] >= LEAST]
    some = [rows[at] for at in often]
    names = sorted({row.answer for row in some})
    if len(some) < FEWEST or len(names) < 2:
        return Doubts()
    given = np.array([names.index(row.answer) for row in some], dtype=np.intp)
    doubt = answer_faults(_out_of_fold(some, names, sight), given, sight.tellable)
    suspects = [
        Suspect(some[at], names[rather], float(margin))
        for at, rather, margin in zip(doubt.rows, doubt.rather, doubt.margin, strict=True)
        if names[rather] not in some[at].answers
    ]
    return Doubts(suspects, [often[at] for at in doubt.judged])


def _out_of_fold(rows: Sequence[AnswerRow], names: Sequence[str], sight: Sight) -> Array:
    """Probabilities [rows, names], each row's by a model that was fitted on other groups."""
    likely = np.zeros((len(rows), len(names)))
    numbers = sight.numbers(rows)
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
            penalty=sight.penalty * len(others),
        )
        columns = np.array([place[name] for name in model.labels])
        likely[np.ix_(held, columns)] = model.probabilities(
            [features[i] for i in held], numbers[held]
        )
    return likely
