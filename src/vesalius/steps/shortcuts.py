"""How much of the answers is known without the picture: by words, and by metadata."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vesalius.data.survey.figures import per_cent, table
from vesalius.data.survey.rows import AnswerRow, commonest
from vesalius.data.survey.survey import Survey
from vesalius.data.survey.verdict import Result, measured, unmeasured
from vesalius.data.survey.words import NO_ANSWERS, by_type, learnt_and_tested
from vesalius.evaluation.stats import bootstrap, clusters, interval
from vesalius.models.sparse_softmax import SparseSoftmax

FOLDS = 5
FEWEST = 30
"""Answered questions below which nothing is fitted."""
MOST = 20_000
"""Rows that a model is fitted on at most, and tested on at most: a seeded sample of larger sets."""
LABELS = 300
"""The commonest answers to a type, among which a model chooses; all others count as wrong."""
RESAMPLES = 2_000
Guess = Callable[[Sequence[AnswerRow], Sequence[AnswerRow]], list[str]]
"""From what is learnt and what is tested: an answer to each of the latter."""


def shortcuts(whole: Survey, seed: int = 0) -> Iterator[Result]:
    """The two baselines that see no picture, over the commonest answer to each type of question."""
    learnt, tested = learnt_and_tested(whole)
    few = min(len(learnt), len(tested))
    if few < FEWEST:
        reason = f"{few} answered questions are too few" if whole.rows else NO_ANSWERS
        yield from (unmeasured(name, reason) for name in ("question_only", "metadata_only"))
        return
    learnt, tested = _sample(learnt, seed), _sample(tested, seed)
    how = f"fitted on {whole.splits[0]}" if whole.later else f"cross-fitted ({FOLDS} folds)"
    if not whole.later:
        learnt = tested
    majority = answered(_commonest, learnt, tested, folds=not whole.later)
    for name, features in (("question_only", question_features), ("metadata_only", _metadata)):
        guesses = answered(_softmax(features), learnt, tested, folds=not whole.later)
        yield _result(name, how, tested, majority, guesses)


def question_features(row: AnswerRow) -> list[str]:
    """The type, the words and pairs of words of a question, and the whole of it."""
    words = row.question.split()
    pairs = (f"{a} {b}" for a, b in pairwise(words))
    return [f"type={row.type}", f"={row.question}", *words, *pairs]


def _metadata(row: AnswerRow) -> list[str]:
    """The type, and with it all that is known of the picture without looking at it."""
    return [f"type={row.type}", *(f"{row.type}:{fact}" for fact in row.metadata)]


def answered(
    guess: Guess, learnt: Sequence[AnswerRow], tested: Sequence[AnswerRow], *, folds: bool
) -> list[str]:
    """A guess for each row that is tested on; with ``folds`` by what was learnt of other groups."""
    if not folds:
        return guess(learnt, tested)
    at = fold_of([row.group for row in tested])
    answers = [""] * len(tested)
    for fold in range(FOLDS):
        places = np.flatnonzero(at == fold).tolist()
        others = [row for row, own in zip(learnt, at, strict=True) if own != fold]
        if places and others:
            some = guess(others, [tested[place] for place in places])
            for place, answer in zip(places, some, strict=True):
                answers[place] = answer
    return answers


def fold_of(groups: Sequence[str]) -> NDArray[np.int64]:
    """Each row's fold, the same for all of a group, by its hash."""
    hashes = (hashlib.sha256(group.encode()).digest() for group in groups)
    return np.array([int.from_bytes(digest[:8]) % FOLDS for digest in hashes], dtype=np.int64)


def _commonest(learnt: Sequence[AnswerRow], tested: Sequence[AnswerRow]) -> list[str]:
    overall = commonest(row.answer for row in learnt)[0]
    best = {name: commonest(r.answer for r in some)[0] for name, some in by_type(learnt).items()}
    return [best.get(row.type, overall) for row in tested]


def _softmax(features: Callable[[AnswerRow], list[str]]) -> Guess:
    """A model a type of question: types share no features, and few share answers."""

    def guess(learnt: Sequence[AnswerRow], tested: Sequence[AnswerRow]) -> list[str]:
        answers = _commonest(learnt, tested)
        known = by_type(learnt)
        places: dict[str, list[int]] = {}
        for at, row in enumerate(tested):
            places.setdefault(row.type, []).append(at)
        for kind in places.keys() & known.keys():
            often = {
                answer for answer, _ in Counter(r.answer for r in known[kind]).most_common(LABELS)
            }
            some = [row for row in known[kind] if row.answer in often]
            model = SparseSoftmax.fit([features(r) for r in some], [row.answer for row in some])
            best = model.predict([features(tested[at]) for at in places[kind]])
            for at, answer in zip(places[kind], best, strict=True):
                answers[at] = answer
        return answers

    return guess


@dataclass(frozen=True, slots=True)
class Gap:
    """Accuracies of two guesses, and what the second has more, with its clustered interval."""

    first: float
    second: float
    low: float
    high: float


def gap(
    tested: Sequence[AnswerRow], first: Sequence[str], second: Sequence[str], seed: int = 0
) -> Gap:
    """Of two guesses at the same rows; the 95 % interval is over whole groups."""
    right = np.array(
        [
            [float(one in row.answers), float(other in row.answers)]
            for row, one, other in zip(tested, first, second, strict=True)
        ]
    )
    differences = right[:, 1] - right[:, 0]
    samples = bootstrap(
        lambda weights: {"gap": weights @ differences / weights.sum(axis=1)},
        clusters([row.group for row in tested]),
        RESAMPLES,
        seed,
    )["gap"]
    one, other = right.mean(axis=0).tolist()
    return Gap(one, other, *interval(samples))


def _result(
    name: str, how: str, tested: Sequence[AnswerRow], first: list[str], second: list[str]
) -> Result:
    whole = gap(tested, first, second)
    rows = []
    for kind in by_type(tested):
        places = [at for at, row in enumerate(tested) if row.type == kind]
        some = [tested[at] for at in places]
        one = gap(some, [first[at] for at in places], [second[at] for at in places])
        bounds = f"{one.low:+.2f} to {one.high:+.2f}"
        rows.append((kind, f"{len(some):,}", f"{one.first:.3f}", f"{one.second:.3f}", bounds))
    seen = {"question_only": "the question's words", "metadata_only": "type and metadata"}[name]
    words = (
        f"A model of {seen} alone, {how}, is right for {per_cent(whole.second)} of "
        f"{len(tested):,} questions, {whole.second - whole.first:+.3f} "
        f"[{whole.low:+.3f}, {whole.high:+.3f}] over the commonest answer to each type."
    )
    columns = ("type", "questions", "commonest answer", "this model", "difference, 95 %")
    facts = {
        "tested": len(tested),
        "commonest": whole.first,
        "accuracy": whole.second,
        "low": whole.low,
        "high": whole.high,
    }
    listed = (table("By type of question", columns, rows),)
    return measured(name, max(0.0, whole.low), words, facts=facts, tables=listed)


def _sample(rows: Sequence[AnswerRow], seed: int) -> list[AnswerRow]:
    if len(rows) <= MOST:
        return list(rows)
    places = np.random.default_rng(seed).choice(len(rows), MOST, replace=False)
    return [rows[at] for at in sorted(places.tolist())]
