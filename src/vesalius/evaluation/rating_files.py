"""Files of ratings: JSON lines as ``vesalius ratings`` prints them and judges write, or CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vesalius.cases.rating import SCALES, Rating
from vesalius.errors import RunError
from vesalius.system.files import read_lines

BETWEEN = ";"
"""Between the errors in a cell of a CSV."""


def read_ratings(*paths: Path) -> list[Rating]:
    """The ratings in ``.jsonl`` and ``.csv`` files, one of a rater and answer.

    A CSV has the same fields as columns, errors with semicolons between them, and empty cells for
    what was not rated. RunError names file and line of what is no rating, and of a second rating of
    one answer by the same rater in the same review; and a file without any.
    """
    ratings: dict[tuple[str, str, str, bool], Rating] = {}
    for path in paths:
        before = len(ratings)
        rows = _csv_rows(path) if path.suffix.lower() == ".csv" else read_lines(path)
        for number, row in rows:
            where = f"{path} line {number}"
            one = Rating.from_row(row, where=where)
            key = one.review, one.rater, one.prediction, one.adjudication
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
    if name == "adjudication":
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return int(text) if name in SCALES else float(text) if name == "seconds" else text
    except ValueError:
        return text
