"""Preference pairs: of two runs' answers to one question, that which a rater graded higher.

Rows have the form that preference training reads (``prompt``, ``chosen``, ``rejected``). Raters are
hashed with a salt that is drawn for each export and not written down: they can be told apart in a
file, and be found by no guess at their names.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.cases.rating import SCALES, SEVERITY, Rating
from vesalius.errors import NotComparable, RunError, UnknownName
from vesalius.evaluation.rated_systems import ratings_of
from vesalius.evaluation.rater_names import rater_hash
from vesalius.run import Run


def preference_pairs(
    runs: Sequence[Run], ratings: Sequence[Rating], axis: str = "accuracy"
) -> list[dict[str, Any]]:
    """A row for every rater, question and pair of runs whose answers they graded differently.

    Which run a rating is of, its review says. UnknownName for an axis that ratings have not;
    RunError for fewer than two runs, and where nothing of one was rated; NotComparable where two
    runs mean other questions by an id.
    """
    if axis not in SCALES:
        raise UnknownName("axis", axis, SCALES)
    if len(runs) < 2:
        raise RunError("preferences are between the answers of two runs or more")
    salt = secrets.token_hex(16)
    graded = [(run.name, _graded(run, ratings, axis)) for run in runs]
    rows = []
    for (one, first), (two, second) in combinations(graded, 2):
        for key in first.keys() & second.keys():
            rater = rater_hash(salt, key[0])
            pairs = (one, *first[key]), (two, *second[key])
            rows += [row | {"rater": rater} for row in _preferred(*pairs, axis)]
    return sorted(rows, key=lambda row: (row["id"], row["rater"]))


Graded = tuple[str, Prediction, int]


def _graded(
    run: Run, ratings: Sequence[Rating], axis: str
) -> dict[tuple[str, str], tuple[Prediction, int]]:
    """A run's answers with a grade, by rater and id."""
    answers = {one.id: one for one in run.predictions()}
    return {
        (one.rater, one.prediction): (answers[one.prediction], one.axes[axis])
        for one in ratings_of(run, ratings, strict=True)
        if axis in one.axes and one.prediction in answers and not one.adjudication
    }


def _preferred(first: Graded, second: Graded, axis: str) -> Iterator[dict[str, Any]]:
    """The row of a pair; none where the grades are equal or the answers are."""
    here, there = first[1], second[1]
    if here.question != there.question:
        what = "the runs have other questions for it"
        raise NotComparable(what, where=f"id {here.id!r}")
    margin = first[2] - second[2] if axis != SEVERITY else second[2] - first[2]
    if margin and here.text != there.text:
        best, worst = (first, second) if margin > 0 else (second, first)
        yield {
            "id": here.id,
            "prompt": here.question,
            "picture": here.picture,
            "chosen": best[1].text,
            "rejected": worst[1].text,
            "chosen_run": best[0],
            "rejected_run": worst[0],
            "axis": axis,
            "margin": abs(margin),
        }
