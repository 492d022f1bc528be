"""Review: answers of one run or several as a page for experts without access to the service.

The same blinding: a picture, the question and an answer, in an order of each rater's own; nothing
of models, confidence, references or others' ratings. Answers of several runs are shuffled together.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path

from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.cases.rating import AXES, AXIS_QUESTIONS, ERRORS, GRADES
from vesalius.errors import RunError
from vesalius.evaluation.page_template import template
from vesalius.evaluation.prediction_sets import refuse_duplicates
from vesalius.evaluation.rating_files import item_id, review_name
from vesalius.models.remote.messages import data_url
from vesalius.run import Run
from vesalius.steps.report import pictures_by_key
from vesalius.system.files import write_atomic
from vesalius.system.version import __version__

PAGE, TABLE = "review.html", "ratings.csv"
COLUMNS = ("review", "id", "rater", *AXES, "errors", "comment", "cannot_judge")


@dataclass(frozen=True, slots=True)
class Item:
    """An answer to rate, as raters see it; ``picture`` is a data: URL, None where there is none."""

    id: str
    question: str
    answer: str
    picture: str | None


def review_package(runs: Sequence[Run], size: int, out: Path) -> int:
    """Write ``review.html`` and an empty ``ratings.csv`` into ``out``; the number of answers.

    At most ``size`` questions, a random sample that is the same each time and for each run: of
    several runs those that all answered. RunError where there are no answers in words, no question
    is shared, or the folder holds a package of other answers.
    """
    answers = [_in_words(run) for run in runs]
    shared = set.intersection(*(set(one) for one in answers))
    if not shared:
        raise RunError("no question has an answer in words of every run", where=runs[0].path)
    chosen = nsmallest(size, shared, key=lambda name: sha256(name.encode()).hexdigest())
    pictures: dict[str, Picture] = pictures_by_key(runs[0])
    items = {
        one.id: one
        for run, rows in zip(runs, answers, strict=True)
        for one in _items(review_name(run), [rows[name] for name in chosen], pictures)
    }
    name = f"package {sha256(chr(10).join(sorted(items)).encode()).hexdigest()[:16]}"
    ordered = [items[key] for key in sorted(items)]
    page = template("review.html").render(
        version=__version__,
        review=name,
        items=ordered,
        axes=AXIS_QUESTIONS,
        grades=GRADES,
        errors=ERRORS,
    )
    if (out / PAGE).exists() and name not in (out / PAGE).read_text(encoding="utf-8"):
        what = "holds a package of other answers"
        raise RunError(what, where=out, hint="choose another --out")
    write_atomic(out / PAGE, page)
    write_atomic(out / TABLE, _table(name, ordered))
    return len(ordered)


def _in_words(run: Run) -> dict[str, Prediction]:
    """A run's answers that raters can read, by id."""
    if not run.predictions_file().exists():
        hint = f"vesalius predict --run {run.path}"
        raise RunError("has no answers to review", where=run.path, hint=hint)
    rows = list(run.predictions())
    refuse_duplicates(rows)
    return {one.id: one for one in rows if _words(one)}


def _words(prediction: Prediction) -> str:
    return prediction.text or ", ".join(prediction.answer.concepts or ())


def _items(
    review: str, rows: Sequence[Prediction], pictures: Mapping[str, Picture]
) -> Iterator[Item]:
    for one in rows:
        picture = None if one.picture is None else pictures.get(one.picture)
        if picture is None and one.picture is not None:
            what = f"the picture of {one.id!r} is not where its data set was"
            raise RunError(what, hint="experts cannot rate an answer without it")
        url = None if picture is None else data_url(picture)
        yield Item(item_id(review, one.id), one.question, _words(one), url)


def _table(review: str, items: Sequence[Item]) -> str:
    """The table to fill in, for those who would rather have one."""
    file = io.StringIO()
    rows = csv.DictWriter(file, COLUMNS)
    rows.writeheader()
    rows.writerows({"review": review, "id": item.id} for item in items)
    return file.getvalue()
