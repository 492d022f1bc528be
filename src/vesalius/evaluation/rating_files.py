"""Files of ratings: JSON lines as ``vesalius ratings`` prints them and judges write, or CSV."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from vesalius.cases.rating import SCALES, Rating
from vesalius.errors import RunError
from vesalius.system.files import read_lines

BETWEEN = ";"
"""Between the errors in a cell of a CSV."""


def read_ratings(*paths: Path) -> list[Rating]:
    """The ratings in ``.jsonl`` and ``.csv`` files, one of a rater and answer.

    A CSV has the same fields as columns, errors with semicolons between them, and empty cells for
    what was not rated; a row with no more than an answer and a rater is left out. RunError names
    file and line of what is no rating, and of a second rating of one answer by the same rater in
    the same review; and a file without any.
    """
    ratings: dict[tuple[str, str, str, bool], Rating] = {}
    for path in paths:
        before = len(ratings)
        rows = _csv_file(path) if path.suffix.lower() == ".csv" else read_lines(path)
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


def csv_rows(
    file: TextIO, where: object, columns: Collection[str] | None = None
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a table with their lines, as :meth:`Rating.from_row` takes them, empty cells out.

    With ``columns`` it has those and no others. RunError names what is wrong.
    """
    try:
        rows = csv.DictReader(file, strict=True)
        if columns is not None:
            _require_columns(rows.fieldnames or (), columns, where)
        for row in rows:
            if None in row or None in row.values():
                line = f"{where} line {rows.line_num}"
                raise RunError("has another number of cells than the header", where=line)
            yield rows.line_num, {k: _value(k, v) for k, v in row.items() if v.strip()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"cannot be read as CSV: {error}", where=where) from error


def _csv_file(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Its rows; not those of a package's table that were left empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in csv_rows(file, path):
                if not row.keys() <= {"review", "id", "rater"}:
                    yield number, row
    except OSError as error:
        raise RunError(f"cannot be read as CSV: {error}", where=path) from error


def _require_columns(names: Sequence[str], columns: Collection[str], where: object) -> None:
    missing = [name for name in columns if name not in names]
    unknown = [name for name in names if name not in columns]
    if missing or unknown or len(set(names)) < len(names):
        parts = ([f"no {name}" for name in missing], [f"an unknown {name!r}" for name in unknown])
        what = f"has other columns: {', '.join(parts[0] + parts[1]) or 'one of them twice'}"
        raise RunError(what, where=where, hint=f"they are {', '.join(columns)}")


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
