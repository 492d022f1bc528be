"""Blinded review: answers that experts rate, each rater in an order of their own.

A rater is shown a picture, the question and the answer: no confidence, system, reference or other
rating. Everything else is in the runs, by the names in the sheet.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Literal

from vesalius.cases.view import View
from vesalius.errors import Refusal
from vesalius.evaluation.review_sheet import SheetItem, review_sheet
from vesalius.run import Run
from vesalius.service.telemetry import log


class Review:
    """Test answers put up for review, to at most ``size`` questions, the same for every rater.

    Those of the first run, with those of others and ``references`` shuffled in. Its methods block:
    call them in a thread.
    """

    def __init__(self, runs: Sequence[Run], size: int, *, references: bool = False) -> None:
        self._run, self._reading = runs[0], threading.Lock()
        self.sheet = review_sheet(runs, size, references=references)
        self.items = self.sheet.items
        self.reviews = sorted({one.review for one in self.items.values()})
        """The names under which ratings are stored, one of each system."""
        if self.sheet.left_out:
            log().warning("review", items=len(self.items), without_words=self.sheet.left_out)

    def item(self, item_id: str) -> SheetItem:
        """The answer of that id; Refusal ``not_found``."""
        item = self.items.get(item_id)
        if item is None:
            raise Refusal("not_found", "there is no such answer in this review")
        return item

    def next(self, owner: str, rated: Collection[str]) -> SheetItem | None:
        """The first answer in the rater's own order that they have not rated; None at the end."""
        return next((one for one in self._order(owner) if one.id not in rated), None)

    def previous(self, owner: str, item: SheetItem | None) -> SheetItem | None:
        """The answer before that one in the rater's own order: of none, the last."""
        order = self._order(owner)
        at = len(order) if item is None else order.index(item)
        return order[at - 1] if at else None

    def _order(self, owner: str) -> list[SheetItem]:
        return sorted(self.items.values(), key=lambda item: _mixed(owner, item.id))

    def picture(self, item: SheetItem) -> tuple[bytes, View]:
        """An encoded picture with the view that was asked about; ``not_found``."""
        with self._reading:  # the index of a large data set is made once
            data = None if item.picture is None else self._pictures(item.picture)
        if data is None:
            raise Refusal("not_found", "this answer's picture is not where its data set was")
        return data, View.in_key(item.picture or "")

    def package(self, part: Literal["page", "table"]) -> str:
        """The page, or the empty table, that ``vesalius review`` makes of the same answers."""
        from vesalius.steps.report import pictures_by_key
        from vesalius.steps.review import package_page, package_table

        if part == "table":
            return package_table(self.sheet)
        return package_page(self.sheet, pictures_by_key(self._run))

    @cached_property
    def _pictures(self) -> Callable[[str], bytes | None]:
        from vesalius.steps.report import pictures_of

        return pictures_of(self._run)


def _mixed(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
