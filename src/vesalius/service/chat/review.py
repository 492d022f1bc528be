"""Blinded review: answers of a run that experts rate, each rater in an order of their own.

A rater is shown a picture, the question and the answer: no confidence, model, reference or other
rating. Everything else is in the run, by the prediction's id.
"""

from __future__ import annotations

import hashlib
import heapq
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from vesalius.cases.view import View
from vesalius.errors import Refusal, RunError
from vesalius.evaluation.rating_files import item_id, review_name
from vesalius.run import Run
from vesalius.service.telemetry import log


@dataclass(frozen=True, slots=True)
class Item:
    """An answer to rate; ``id`` tells nothing of the case, ``prediction`` is its id in the run."""

    id: str
    prediction: str
    question: str
    answer: str
    picture: str | None


class Review:
    """Test answers of a run, put up for review: at most ``size``, the same ones for every rater.

    Its methods block: call them in a thread.
    """

    def __init__(self, run: Run, size: int) -> None:
        path = run.predictions_file()
        if not path.exists():
            hint = "vesalius predict writes them"
            raise RunError("holds no answers to review", where=run.path, hint=hint)
        self._run, self._reading = run, threading.Lock()
        self.name = review_name(run)
        """The recipe and a hash of the answers: those of another prediction are another review."""
        self.left_out = 0
        """Answers without words: empty ones, and boxes, which the page of a rater does not draw."""
        # Ids are hashes, so the least of them are a random sample.
        drawn = heapq.nsmallest(size, self._worded(), key=lambda item: item.id)
        self.items = {item.id: item for item in drawn}
        if self.left_out:
            log().warning("review", items=len(drawn), without_words=self.left_out)
        if not drawn and self.left_out:
            what = f"none of its {self.left_out} answers has words to review"
            raise RunError(what, where=run.path)

    def _worded(self) -> Iterator[Item]:
        """The answers in words: a text, or the concepts that are named."""
        for one in self._run.predictions():
            answer = one.answer.text or ", ".join(one.answer.concepts or ())
            if answer:
                yield Item(item_id(self.name, one.id), one.id, one.question, answer, one.picture)
            else:
                self.left_out += 1

    def item(self, item_id: str) -> Item:
        """The answer of that id; Refusal ``not_found``."""
        item = self.items.get(item_id)
        if item is None:
            raise Refusal("not_found", "there is no such answer in this review")
        return item

    def next(self, owner: str, rated: Collection[str]) -> Item | None:
        """The first answer in the rater's own order that they have not rated; None at the end."""
        return next((one for one in self._order(owner) if one.id not in rated), None)

    def previous(self, owner: str, item: Item | None) -> Item | None:
        """The answer before that one in the rater's own order: of none, the last."""
        order = self._order(owner)
        at = len(order) if item is None else order.index(item)
        return order[at - 1] if at else None

    def _order(self, owner: str) -> list[Item]:
        return sorted(self.items.values(), key=lambda item: _mixed(owner, item.id))

    def picture(self, item: Item) -> tuple[bytes, View]:
        """An encoded picture with the view that was asked about; ``not_found``."""
        with self._reading:  # the index of a large data set is made once
            data = None if item.picture is None else self._pictures(item.picture)
        if data is None:
            raise Refusal("not_found", "this answer's picture is not where its data set was")
        return data, View.in_key(item.picture or "")

    @cached_property
    def _pictures(self) -> Callable[[str], bytes | None]:
        from vesalius.steps.report import pictures_of

        return pictures_of(self._run)


def _mixed(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
