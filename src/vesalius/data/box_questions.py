"""The option ``box_questions`` of any data set with boxes: they become questions with answers."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

from pydantic import Field

from vesalius.cases.box_questions import KINDS, BoxKind, questions_of_boxes
from vesalius.cases.case import Case, Remark
from vesalius.data.datasets import Dataset
from vesalius.data.reading.streams import Streams
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated

OPTION = "box_questions"
ENOUGH = 20
"""Boxes of a split among which one of a label that is asked about must be."""

NOT_ASKED = Remark("not_asked", f"{OPTION} asks nothing of a case without annotated boxes")
log = logging.getLogger(__name__)


class BoxQuestions(Frozen):
    """Which boxes are asked about, and what."""

    labels: tuple[str, ...] = Field(min_length=1)
    """As the boxes are labelled; a picture without a box of one has none of it."""
    kinds: tuple[BoxKind, ...] = Field(default=KINDS, min_length=1)
    """``presence``, ``count``, ``side``, ``place``, ``size``."""


def with_box_questions(dataset: Dataset, asked: Mapping[str, Any]) -> Streams:
    """``dataset`` with questions that its boxes answer, in the place of its own.

    A case whose boxes are not annotated has none, and says so to the check. Raises RecipeError for
    a wrong option, and DatasetError for a split of :data:`ENOUGH` boxes without any of the labels.
    """
    about = validated(BoxQuestions, asked, where=f"data options.{OPTION}")
    starts = {split: partial(_cases, dataset, about, split) for split in dataset.splits()}
    words, mapping = getattr(dataset, "layout", ""), getattr(dataset, "mapping", None)
    return Streams(getattr(dataset, "name", OPTION), starts, words, mapping)


def _cases(dataset: Dataset, about: BoxQuestions, split: str) -> Iterator[Case]:
    seen, unasked = Counter[str](), 0
    for case in dataset.cases(split):
        boxes = case.boxes or ()
        seen.update(box.label for box in boxes)
        if case.boxes is None or not case.pictures:
            unasked += 1
            yield replace(case, questions=(), remarks=(*case.remarks, NOT_ASKED))
            continue
        size = case.pictures[0].size
        questions = questions_of_boxes(about.labels, boxes, size, about.kinds)
        yield replace(case, questions=tuple(questions))
    if unasked:
        _warn_once(f"{OPTION}: {unasked} cases of {split} have no annotated boxes: not asked about")
    if seen.total() >= ENOUGH and not seen.keys() & set(about.labels):
        what = f"none of {seen.total()} boxes is labelled {' or '.join(about.labels)}"
        labels = ", ".join(label for label, _ in seen.most_common(10))
        raise DatasetError(what, where=f"{OPTION}, split {split}", hint=f"its labels: {labels}")


@cache
def _warn_once(what: str) -> None:
    """A fit opens its set some ten times."""
    log.warning(what)
