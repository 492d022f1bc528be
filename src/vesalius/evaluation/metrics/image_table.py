"""Values by image from a table: what somebody else's program measured, or concepts by hand."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

from vesalius.cases.prediction import Prediction
from vesalius.errors import DatasetError

_SHOWN = 3


def image_of(prediction: Prediction) -> str:
    """The image that a prediction is of, as in a submission: its case, else its id."""
    return prediction.case or prediction.id


def image_table(path: Path, columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """A CSV file's cells by image and column: a column ``ID``, and those of ``columns`` it has.

    DatasetError where it cannot be read, has none of the columns or an image twice, by line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, restkey="", restval="")
            names = {name.strip().lower(): name for name in reader.fieldnames or ()}
            present = [column for column in columns if column.lower() in names]
            if "id" not in names or not present:
                what = f"has not the columns ID and one of {', '.join(columns)}"
                raise DatasetError(what, where=path)
            rows: dict[str, dict[str, str]] = {}
            for row in reader:
                name = str(row[names["id"]]).strip()
                if name in rows or not name:
                    what = "an image is there twice" if name else "a row names no image"
                    raise DatasetError(what, where=f"{path} line {reader.line_num}")
                rows[name] = {c: str(row[names[c.lower()]]).strip() for c in present}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"cannot be read as CSV: {error}", where=path) from error
    return rows


def cells(
    path: Path, columns: Sequence[str], predictions: Sequence[Prediction]
) -> dict[str, list[str]]:
    """Each column's cells for the predictions' images, in their order.

    DatasetError counts the images that have no row, and names the first prediction by number.
    """
    table = image_table(path, columns)
    lacking = [i for i, p in enumerate(predictions, start=1) if image_of(p) not in table]
    if lacking:
        numbers = ", ".join(map(str, lacking[:_SHOWN]))
        what = f"has no row for {len(lacking):,} of {len(predictions):,} predictions' images"
        raise DatasetError(what, where=path, hint=f"the first are predictions {numbers}")
    present = next(iter(table.values()), {})
    return {column: [table[image_of(p)][column] for p in predictions] for column in present}


def file_digest(path: Path) -> str:
    """A table's name and a hash of it, for a protocol: other values are another score."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror}", where=path) from error
    return f"{path.name} {hashlib.sha256(content).hexdigest()[:16]}"
