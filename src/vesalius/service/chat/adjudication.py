"""Adjudication: the answers of a review that raters disagree about, each for somebody else to end.

Who adjudicates sees the answer, still without its system, and the ratings without who gave them:
in another order for every answer, so that nobody's strictness can be followed. Whoever rated an
answer is a party to it, and not asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from vesalius.cases.rating import Rating
from vesalius.errors import Refusal
from vesalius.evaluation.raters import adjudication_list
from vesalius.evaluation.review_sheet import SheetItem
from vesalius.service.chat.review import Review


@dataclass(frozen=True, slots=True)
class Dispute:
    """An answer with its ratings in no order of raters, and the final word where it is there."""

    item: SheetItem
    ratings: tuple[Rating, ...]
    final: Rating | None = None


class Disputes:
    """What there is to adjudicate for one adjudicator, by the ratings of a review's answers."""

    def __init__(
        self,
        review: Review,
        ratings: Iterable[Rating],
        finals: Iterable[Rating],
        adjudicator: str,
        rated: Collection[str],
    ) -> None:
        self._items = {(one.review, one.prediction): one for one in review.items.values()}
        self._ratings = [one for one in ratings if (one.review, one.prediction) in self._items]
        ended = [one for one in finals if (one.review, one.prediction) in self._items]
        self.done = {self._item(one).id: one for one in ended if one.rater == adjudicator}
        """The adjudicator's own final words, by item."""
        listed = adjudication_list([*self._ratings, *ended])
        listed.sort(key=lambda row: -row["apart"])
        items = (self._items[row["review"], row["id"]] for row in listed)
        self.open = [one for one in dict.fromkeys(items) if one.id not in rated]
        """Those without a final word, which the adjudicator did not rate, the widest first."""

    def dispute(self, item_id: str) -> Dispute:
        """That one, open or ended by the adjudicator; Refusal ``not_found``."""
        item = next((one for one in self.open if one.id == item_id), None)
        final = self.done.get(item_id)
        if final is not None:
            item = self._item(final)
        if item is None:
            raise Refusal("not_found", "this answer is not yours to adjudicate")
        given = [one for one in self._ratings if self._item(one) == item]
        given.sort(key=lambda one: hashlib.sha256(f"{item.id}{one.rater}".encode()).digest())
        return Dispute(item, tuple(given), final)

    def _item(self, rating: Rating) -> SheetItem:
        return self._items[rating.review, rating.prediction]
