"""Errors that raters marked: how often, and how far they agree on each.

Beside grades an error is a yes or no of each rater who judged the answer. Most errors are rare, and
chance-corrected kappas fall to nothing where a category is: Gwet's AC1 does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import nan

import numpy as np

from vesalius.cases.rating import ERRORS, Rating
from vesalius.evaluation.agreement import Agreement, gwet, with_interval
from vesalius.evaluation.stats import clusters

AC1 = partial(gwet, categories=np.array([0.0, 1.0]))
"""Of marks [answers, raters]: 1 where a rater marked the error, 0 where they did not."""


@dataclass(frozen=True, slots=True)
class ErrorMarks:
    """An error: in how many of the answers anybody marked it, and Gwet's AC1 of the raters."""

    error: str
    marked: int
    answers: int
    agreement: Agreement


def error_marks(ratings: Sequence[Rating], groups: Mapping[str, str]) -> list[ErrorMarks]:
    """The errors that were marked, the commonest first.

    ``groups`` are those of answers by id (patient, else image); without one an answer is its own.
    Raters who marked none anywhere are left out: a judge's rubric may ask for no errors. AC1 is NaN
    with fewer than two raters.
    """
    marking = sorted({one.rater for one in ratings if one.errors})
    judged = [one for one in ratings if one.axes and one.rater in marking]
    answers = list(dict.fromkeys((one.review, one.prediction) for one in judged))
    rows, columns = ({name: at for at, name in enumerate(names)} for names in (answers, marking))
    codes = clusters([groups.get(name, name) for _, name in answers])
    marked = []
    for error in ERRORS:
        marks = np.full((len(answers), len(marking)), nan)
        for one in judged:
            place = rows[one.review, one.prediction], columns[one.rater]
            marks[place] = float(error in one.errors)
        if count := int((marks == 1).any(axis=1).sum()):
            agreed = Agreement(nan, nan, nan, len(answers), len(marking))
            if len(marking) > 1:
                agreed = with_interval(marks, AC1, groups=codes, resamples=1000)
            marked.append(ErrorMarks(error, count, len(answers), agreed))
    return sorted(marked, key=lambda one: -one.marked)
