"""A package's table that a rater filled in: whole and right, or refused by line.

Read strictly, because it is taken in among others' ratings: a row is every grade, or that the
answer cannot be judged, or empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

from vesalius.cases.rating import AXES, Rating
from vesalius.errors import RunError
from vesalius.evaluation.rating_files import csv_rows
from vesalius.evaluation.review_sheet import ReviewSheet

COLUMNS = ("review", "id", "rater", *AXES, "errors", "comment", "cannot_judge")
MOST_NAME, MOST_COMMENT = 64, 2000
"""Characters of a rater's pseudonym and of a comment."""


@dataclass(frozen=True, slots=True)
class FilledTable:
    """Ratings by item and pseudonym, and how many rows were left empty."""

    ratings: Mapping[tuple[str, str], Rating]
    empty: int


def read_table(text: str, sheet: ReviewSheet, *, where: object = "the table") -> FilledTable:
    """The ratings in a filled table of a sheet's package; RunError names the first wrong line."""
    ratings: dict[tuple[str, str], Rating] = {}
    empty = 0
    for number, row in csv_rows(StringIO(text, newline=""), where, columns=COLUMNS):
        line = f"{where}, line {number}"
        item = sheet.items.get(row.get("id", ""))
        if row.get("review") != sheet.name:
            what = "is of another review than the one that is up here"
            raise RunError(what, where=line, hint=f"the package of this one: {sheet.name}")
        if item is None:
            raise RunError("there is no such answer in this review", where=line)
        if row.keys() <= {"review", "id", "rater"}:
            empty += 1
            continue
        rating = _rating(row, line)
        if (item.id, rating.rater) in ratings:
            what = "a second rating of the same answer by the same rater"
            raise RunError(what, where=line, hint="keep one of the two")
        ratings[item.id, rating.rater] = rating
    if not ratings:
        raise RunError("holds no ratings", where=where)
    return FilledTable(ratings, empty)


def _rating(row: Mapping[str, Any], line: str) -> Rating:
    rating = Rating.from_row(row, where=line)
    none = row.get("cannot_judge")
    missing = [axis for axis in AXES if axis not in rating.axes]
    if none not in {None, "true", "false"}:
        raise RunError("cannot_judge is true, or empty", where=line)
    if none == "true" and rating.axes:
        raise RunError("cannot be judged, and yet there are grades", where=line)
    if none != "true" and missing:
        what = f"{', '.join(missing)}: not rated"
        raise RunError(what, where=line, hint="or say true in cannot_judge")
    if len(rating.rater) > MOST_NAME or len(rating.comment or "") > MOST_COMMENT:
        what = f"a rater's name has at most {MOST_NAME} characters, a comment {MOST_COMMENT}"
        raise RunError(what, where=line)
    return rating
