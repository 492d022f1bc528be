"""Reviews over the wire: what an expert is asked, and what they thought."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from vesalius.cases.rating import AXES, ERROR_TAGS, FAULTS, ErrorTag, Fault, Rating
from vesalius.service.http.schemas import Identifier, RequestBody

Grade = Annotated[int, Field(ge=1, le=5, strict=True)]


class Grades(RequestBody):
    """What an expert thinks of an answer, from 1 (poor) to 5 (excellent); or no grade at all."""

    accuracy: Grade | None = None
    relevance: Grade | None = None
    completeness: Grade | None = None
    clarity: Grade | None = None
    helpfulness: Grade | None = None
    cannot_judge: bool = False
    errors: list[ErrorTag | Fault] = Field(
        default_factory=list, max_length=len(ERROR_TAGS + FAULTS)
    )
    comment: str | None = Field(default=None, max_length=2000)

    @classmethod
    def of(cls, rating: Rating) -> Self:
        """A rating's grades, errors and comment, without whose they are."""
        given = {"cannot_judge": not rating.axes, "errors": rating.errors}
        return cls.model_validate(dict(rating.axes) | given | {"comment": rating.comment})

    def axes(self) -> dict[str, int]:
        """The grades that are given."""
        given = {axis: getattr(self, axis) for axis in AXES}
        return {axis: grade for axis, grade in given.items() if grade is not None}


class RatingRequest(Grades):
    """An expert's rating of an answer under review: every grade, or that they cannot judge it."""

    item_id: Identifier
    seconds: float | None = Field(
        default=None, ge=0, le=86_400, description="For which they looked at it."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = self.axes()
        if self.cannot_judge and given:
            raise ValueError(f"cannot_judge, and yet {', '.join(given)}")
        if not self.cannot_judge and (missing := [axis for axis in AXES if axis not in given]):
            raise ValueError(f"{', '.join(missing)}: not rated (or cannot_judge: true)")
        return self


class ReviewItem(BaseModel):
    """An answer to rate; its picture is at ``/review/{item_id}/picture``."""

    item_id: str
    question: str
    answer: str
    rating: Grades | None = Field(default=None, description="The caller's own, given before.")


class ReviewOut(BaseModel):
    """How far the caller is in the review, and what is next."""

    total: int
    rated: int
    item: ReviewItem | None
    previous: str | None = Field(
        default=None, description="The item before it in the caller's order."
    )
    disputed: int | None = Field(
        default=None,
        description="Of who leads the review: how many answers there are to adjudicate.",
    )


class DisputedItem(ReviewItem):
    """An answer that raters disagree about; ``rating`` is the caller's final word on it."""

    ratings: list[Grades] = Field(
        description="What raters thought of it, without who: in another order for every answer."
    )


class AdjudicationOut(BaseModel):
    """How far the caller is in adjudicating, and what is next."""

    open: int
    done: int
    item: DisputedItem | None


class TableOut(BaseModel):
    """What was taken in of a filled table."""

    raters: int
    ratings: int
    empty: int = Field(description="Rows that were left empty.")
