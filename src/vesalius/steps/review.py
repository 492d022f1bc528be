"""Review: answers of one run or several as a page for experts without access to the service.

The same sheet and the same blinding as on the service's page: a picture, the question and an
answer, in an order of each rater's own; nothing of models, confidence, references or others'
ratings. Answers of several runs, and references as one more, are shuffled together.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vesalius.cases.picture import Picture
from vesalius.cases.rating import AXIS_QUESTIONS, ERRORS, GRADES
from vesalius.errors import RunError
from vesalius.evaluation.filled_tables import COLUMNS
from vesalius.evaluation.page_template import template
from vesalius.evaluation.review_sheet import ReviewSheet, SheetItem, review_sheet
from vesalius.models.remote.messages import data_url
from vesalius.run import Run
from vesalius.steps.report import pictures_by_key
from vesalius.system.files import write_atomic
from vesalius.system.version import __version__

PAGE, TABLE = "review.html", "ratings.csv"


@dataclass(frozen=True, slots=True)
class PackageItem:
    """An item with its picture as a data: URL; None where there is none."""

    id: str
    question: str
    answer: str
    picture: str | None


def review_package(runs: Sequence[Run], size: int, out: Path, *, references: bool = False) -> int:
    """Write ``review.html`` and an empty ``ratings.csv`` into ``out``; the number of answers.

    What :func:`~vesalius.evaluation.review_sheet.review_sheet` refuses is refused; RunError, too,
    where a picture is gone, or the folder holds a package of other answers.
    """
    sheet = review_sheet(runs, size, references=references)
    page = package_page(sheet, pictures_by_key(runs[0]))
    if (out / PAGE).exists() and sheet.name not in (out / PAGE).read_text(encoding="utf-8"):
        what = "holds a package of other answers"
        raise RunError(what, where=out, hint="choose another --out")
    write_atomic(out / PAGE, page)
    write_atomic(out / TABLE, package_table(sheet))
    return len(sheet.items)


def package_page(sheet: ReviewSheet, pictures: Mapping[str, Picture]) -> str:
    """The page, with everything in it; RunError where a picture is gone."""
    page: str = template("review.html").render(
        version=__version__,
        review=sheet.name,
        items=[_with_picture(one, pictures) for one in sheet.items.values()],
        axes=AXIS_QUESTIONS,
        grades=GRADES,
        errors=ERRORS,
    )
    return page


def package_table(sheet: ReviewSheet) -> str:
    """The table to fill in, for those who would rather have one."""
    file = io.StringIO()
    rows = csv.DictWriter(file, COLUMNS)
    rows.writeheader()
    rows.writerows({"review": sheet.name, "id": name} for name in sheet.items)
    return file.getvalue()


def _with_picture(item: SheetItem, pictures: Mapping[str, Picture]) -> PackageItem:
    picture = None if item.picture is None else pictures.get(item.picture)
    if picture is None and item.picture is not None:
        what = f"the picture of {item.prediction!r} is not where its data set was"
        raise RunError(what, hint="experts cannot rate an answer without it")
    url = None if picture is None else data_url(picture)
    return PackageItem(item.id, item.question, item.answer, url)
