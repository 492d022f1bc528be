"""Ratings: what experts think of the answers under review, one a rater and answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import select

from vesalius.service.store.records import Rating
from vesalius.service.store.state import State
from vesalius.service.store.tables import RatingRow


class Ratings(State):
    """Ratings of raters; nobody sees another's before the review is over."""

    def rate(
        self,
        rater: str,
        review: str,
        item: str,
        *,
        prediction: str,
        axes: Mapping[str, int],
        errors: Sequence[str] = (),
        comment: str | None = None,
    ) -> None:
        """Keep a rating; a later one of the same rater replaces it."""
        row = RatingRow(
            rater=rater,
            review=review,
            item=item,
            prediction=prediction,
            axes=dict(axes),
            errors=list(errors),
            comment=comment,
            created_at=self._now(),
        )
        with self._db.write() as session:
            session.merge(row)

    def rated(self, rater: str, review: str) -> set[str]:
        """The items of a review that a rater has rated."""
        theirs = RatingRow.rater == rater, RatingRow.review == review
        with self._db.read() as session:
            return set(session.scalars(select(RatingRow.item).where(*theirs)))

    def ratings(self) -> Iterator[Rating]:
        """Every rating of every review, streamed, raters as hashes."""
        order = RatingRow.review, RatingRow.prediction, RatingRow.rater
        with self._db.read() as session:
            for row in session.scalars(
                select(RatingRow).order_by(*order).execution_options(yield_per=500)
            ):
                yield Rating(
                    row.review,
                    row.prediction,
                    row.rater,
                    dict(row.axes),
                    tuple(row.errors),
                    row.comment,
                    row.created_at,
                )
                session.expunge(row)
