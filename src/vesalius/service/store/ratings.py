"""Ratings: what experts think of the answers under review, and the final word on some of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

from sqlalchemy import select

from vesalius.cases.rating import Rating
from vesalius.errors import Refusal
from vesalius.service.store.state import State
from vesalius.service.store.tables import AdjudicationRow, RatingRow

Row = TypeVar("Row", RatingRow, AdjudicationRow)


class Ratings(State):
    """Ratings of raters, of whom none sees another's, and adjudications beside them."""

    def rate(self, item: str, rating: Rating) -> None:
        """Keep a rating of a review's item; a later one of the same rater replaces it.

        Refusal where the rater has adjudicated it, and so has seen the others' ratings.
        """
        with self._db.write() as session:
            final = session.get(AdjudicationRow, item)
            if final is not None and final.rater == rating.rater:
                raise Refusal("already_rated", "you have adjudicated this answer")
            session.merge(RatingRow(item=item, **self._columns(rating)))

    def add_ratings(self, ratings: Mapping[tuple[str, str], Rating]) -> None:
        """Keep ratings by item and rater, all or none; Refusal where one has been rated already."""
        with self._db.write() as session:
            for (item, rater), rating in ratings.items():
                if session.get(RatingRow, {"item": item, "rater": rater}) is not None:
                    what = "a rater of the table has rated these answers here before"
                    hint = "nothing was taken in; each rater's table is taken in once"
                    raise Refusal("already_rated", what, hint=hint)
                session.add(RatingRow(item=item, **self._columns(rating)))

    def adjudicate(self, item: str, rating: Rating) -> None:
        """Keep the final word on an item; Refusal where it is somebody else's already."""
        with self._db.write() as session:
            row = session.get(AdjudicationRow, item)
            if row is not None and row.rater != rating.rater:
                raise Refusal("already_rated", "somebody else has adjudicated this answer")
            session.merge(AdjudicationRow(item=item, **self._columns(rating)))

    def rated(self, rater: str, reviews: Collection[str]) -> set[str]:
        """The items of reviews that a rater has rated, or adjudicated."""
        with self._db.read() as session:
            return {
                item
                for table in (RatingRow, AdjudicationRow)
                for item in session.scalars(
                    select(table.item).where(table.rater == rater, table.review.in_(reviews))
                )
            }

    def rating(self, rater: str, item: str) -> Rating | None:
        """What a rater thought of an item; None before they rated it."""
        with self._db.read() as session:
            row = session.get(RatingRow, {"item": item, "rater": rater})
            return None if row is None else _rating(row)

    def ratings(self, reviews: Collection[str] | None = None) -> Iterator[Rating]:
        """Every rating of the reviews, of all by default, streamed, raters as hashes."""
        return self._streamed(RatingRow, reviews)

    def adjudications(self, reviews: Collection[str] | None = None) -> Iterator[Rating]:
        """Every final word alike."""
        return self._streamed(AdjudicationRow, reviews)

    def _streamed(self, table: type[Row], reviews: Collection[str] | None) -> Iterator[Rating]:
        rows = select(table).order_by(table.review, table.prediction, table.rater)
        if reviews is not None:
            rows = rows.where(table.review.in_(reviews))
        with self._db.read() as session:
            for row in session.scalars(rows.execution_options(yield_per=500)):
                yield _rating(row)
                session.expunge(row)

    def _columns(self, rating: Rating) -> dict[str, Any]:
        return {
            "rater": rating.rater,
            "review": rating.review,
            "prediction": rating.prediction,
            "axes": dict(rating.axes),
            "errors": list(rating.errors),
            "comment": rating.comment,
            "seconds": rating.seconds,
            "created_at": self._now(),
        }


def _rating(row: RatingRow | AdjudicationRow) -> Rating:
    return Rating(
        row.review,
        row.prediction,
        row.rater,
        dict(row.axes),
        tuple(row.errors),
        row.comment,
        row.created_at,
        row.seconds,
        isinstance(row, AdjudicationRow),
    )
