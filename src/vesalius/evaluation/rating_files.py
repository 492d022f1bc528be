"""Files of ratings: JSON lines as ``vesalius ratings`` prints them and judges write, or CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from vesalius.cases.rating import SCALES, Rating
from vesalius.errors import RunError
from vesalius.run import Run
from vesalius.system.files import read_lines

BETWEEN = ";"
"""Between the errors in a cell of a CSV."""
_HASHED = re.compile(r".* ([0-9a-f]{16})", re.DOTALL)
"""A review's name that says which answers it was of."""


def review_name(run: Run) -> str:
    """What a review of a run's answers is called: the recipe and a hash of the answers."""
    digest = sha256(run.predictions_file().read_bytes()).hexdigest()
    return f"{run.recipe().name} {digest[:16]}"


def item_id(review: str, prediction: str) -> str:
    """What raters know an answer by: a hash that tells nothing of its case or its run."""
    digest = sha256(f"{review}\n{prediction}".encode()).hexdigest()
    return f"itm_{digest[:40]}"


def ratings_of(run: Run, ratings: Sequence[Rating], *, strict: bool = False) -> list[Rating]:
    """Those of a run's answers, by the name of their review; RunError where none is.

    Those of a package, which know answers as items, get the answers' ids. A rating whose review
    names no answers may be of any run, unless ``strict``: two runs on one data set have the same
    ids.
    """
    own = review_name(run)
    ids = {item_id(own, one.id): one.id for one in run.predictions()}
    named = [
        replace(one, review=own, prediction=ids[one.prediction]) if one.prediction in ids else one
        for one in ratings
    ]
    theirs = [
        one for one in named if one.review == own or not (strict or _HASHED.fullmatch(one.review))
    ]
    if not theirs:
        what = f"none of the {len(ratings)} ratings is of a review of this run's answers"
        raise RunError(what, where=run.path, hint=f"their reviews: {_reviews(ratings)}")
    return theirs


def _reviews(ratings: Sequence[Rating]) -> str:
    return ", ".join(sorted({repr(one.review) for one in ratings}))


def read_ratings(*paths: Path) -> list[Rating]:
    """The ratings in ``.jsonl`` and ``.csv`` files, one of a rater and answer.

    A CSV has the same fields as columns, errors with semicolons between them, and empty cells for
    what was not rated. RunError names file and line of what is no rating, and of a second rating of
    one answer by the same rater in the same review; and a file without any.
    """
    ratings: dict[tuple[str, str, str], Rating] = {}
    for path in paths:
        before = len(ratings)
        rows = _csv_rows(path) if path.suffix.lower() == ".csv" else read_lines(path)
        for number, row in rows:
            where = f"{path} line {number}"
            one = Rating.from_row(row, where=where)
            key = one.review, one.rater, one.prediction
            if key in ratings:
                what = f"a second rating of {one.prediction!r} by the same rater"
                raise RunError(what, where=where, hint="keep one of the two")
            ratings[key] = one
        if len(ratings) == before:
            raise RunError("holds no ratings", where=path)
    return list(ratings.values())


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            for row in rows:
                where = f"{path} line {rows.line_num}"
                if None in row or None in row.values():
                    raise RunError("has another number of cells than the header", where=where)
                yield rows.line_num, {k: _value(k, v) for k, v in row.items() if v.strip()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"cannot be read as CSV: {error}", where=path) from error


def _value(name: str, cell: str) -> Any:
    """A cell as the row's field; a grade or a number that is none stays text, and is refused."""
    text = cell.strip()
    if name == "errors":
        return [part.strip() for part in text.split(BETWEEN) if part.strip()]
    try:
        return int(text) if name in SCALES else float(text) if name == "seconds" else text
    except ValueError:
        return text
