"""Ratings: what experts think of the answers under review, one a rater and answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy import select

from vesalius.cases.rating import Rating
from vesalius.service.store.state import State
from vesalius.service.store.tables import RatingRow


class Ratings(State):
    """Ratings of raters; nobody sees another's before the review is over."""

    def rate(self, item: str, rating: Rating) -> None:
        """Keep a rating of a review's item; a later one of the same rater replaces it."""
        row = RatingRow(
            rater=rating.rater,
            review=rating.review,
            item=item,
            prediction=rating.prediction,
            axes=dict(rating.axes),
            errors=list(rating.errors),
            comment=rating.comment,
            seconds=rating.seconds,
            created_at=self._now(),
        )
        with self._db.write() as session:
            session.merge(row)

    def rated(self, rater: str, reviews: Collection[str]) -> set[str]:
        """The items of reviews that a rater has rated."""
        theirs = RatingRow.rater == rater, RatingRow.review.in_(reviews)
        with self._db.read() as session:
            return set(session.scalars(select(RatingRow.item).where(*theirs)))

    def rating(self, rater: str, item: str) -> Rating | None:
        """What a rater thought of an item; None before they rated it."""
        with self._db.read() as session:
            row = session.get(RatingRow, (rater, item))
            return None if row is None else _rating(row)

    def ratings(self) -> Iterator[Rating]:
        """Every rating of every review, streamed, raters as hashes."""
        order = RatingRow.review, RatingRow.prediction, RatingRow.rater
        with self._db.read() as session:
            for row in session.scalars(
                select(RatingRow).order_by(*order).execution_options(yield_per=500)
            ):
                yield _rating(row)
                session.expunge(row)


def _rating(row: RatingRow) -> Rating:
    return Rating(
        row.review,
        row.prediction,
        row.rater,
        dict(row.axes),
        tuple(row.errors),
        row.comment,
        row.created_at,
        row.seconds,
    )
