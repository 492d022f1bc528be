"""Review: an answer at a time, rated on five axes by experts who see nothing else of it."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from vesalius.cases.rating import AXES, Rating
from vesalius.errors import Refusal
from vesalius.evaluation.review_sheet import SheetItem
from vesalius.service.chat.adjudication import Disputes
from vesalius.service.chat.review import Review
from vesalius.service.container import Service
from vesalius.service.http import bodies
from vesalius.service.http.access import Caller
from vesalius.service.http.review_schemas import Grades, RatingRequest, ReviewItem, ReviewOut
from vesalius.service.http.routes.dependencies import Calling, Serving
from vesalius.service.http.routes.openapi_docs import body, content_response, problems
from vesalius.service.http.schemas import Identifier
from vesalius.service.threads import in_thread

router = APIRouter(prefix="/review", tags=["review"])
EXAMPLE = dict.fromkeys(AXES, 4) | {"item_id": "itm_7d…", "errors": ["omission"]}


@router.get("", responses=problems("not_found", "invalid_request"))
async def review(service: Serving, caller: Calling, item_id: Identifier | None = None) -> ReviewOut:
    """The next answer to rate, in an order of the caller's own; none when all are rated.

    ``item_id``: that one again, with the caller's own rating of it.
    """
    under = review_of(service)
    return await _state(service, caller, under, under.item(item_id) if item_id else None)


@router.post(
    "",
    status_code=201,
    response_model=ReviewOut,
    responses=problems(
        "not_found", "invalid_request", "invalid_json", "unsupported_body", "already_rated"
    ),
    openapi_extra=body(RatingRequest, EXAMPLE, form=False),
)
async def rate(request: Request, service: Serving, caller: Calling) -> ReviewOut:
    """A rating from 1 (poor) to 5 (excellent) on each axis, or none; again replaces the first."""
    rating = await bodies.parse(request, RatingRequest)
    review = review_of(service)
    item = review.item(rating.item_id)

    await in_thread(service.store.rate, item.id, rating_of(rating, item, caller))
    await in_thread(service.note, "answer.rated", caller, item.id)
    return await _state(service, caller, review)


@router.get(
    "/{item_id}/picture",
    response_class=Response,
    responses=content_response("The picture", "image/png") | problems("not_found"),
)
async def picture(service: Serving, caller: Calling, item_id: Identifier) -> Response:
    """The picture that the answer is about, as the model saw it."""
    review = review_of(service)
    data, view = await asyncio.to_thread(review.picture, review.item(item_id))
    return Response(await service.intake.png(data, view, caller.owner), media_type="image/png")


def review_of(service: Service) -> Review:
    """What is up for review; Refusal ``not_found`` where nothing is."""
    if service.review is None:
        hint = "vesalius serve --run RUN --review 50 puts up 50 of a run's answers"
        raise Refusal("not_found", "nothing is up for review here", hint=hint)
    return service.review


def rating_of(request: RatingRequest, item: SheetItem, caller: Caller) -> Rating:
    """What the caller thinks of an item."""
    return Rating(
        item.review,
        item.prediction,
        caller.owner,
        axes=request.axes(),
        errors=tuple(request.errors),
        comment=request.comment,
        seconds=request.seconds,
    )


def disputes(service: Service, caller: Caller, review: Review) -> Disputes:
    """What the caller may adjudicate. Blocks."""
    store, reviews = service.store, review.reviews
    rated = store.rated(caller.owner, reviews)
    ratings, finals = store.ratings(reviews), store.adjudications(reviews)
    return Disputes(review, ratings, finals, caller.owner, rated)


async def _state(
    service: Service, caller: Caller, review: Review, item: SheetItem | None = None
) -> ReviewOut:
    rated = await in_thread(service.store.rated, caller.owner, review.reviews)
    item = item or review.next(caller.owner, rated)
    previous = review.previous(caller.owner, item)
    disputed = await in_thread(disputes, service, caller, review) if caller.leads else None
    return ReviewOut(
        total=len(review.items),
        rated=len(rated & review.items.keys()),
        item=item and await in_thread(_item, service, caller, item),
        previous=previous and previous.id,
        disputed=disputed and len(disputed.open),
    )


def _item(service: Service, caller: Caller, item: SheetItem) -> ReviewItem:
    """An answer, with what the caller thought of it before."""
    rating = service.store.rating(caller.owner, item.id)
    own = rating and Grades.of(rating)
    return ReviewItem(item_id=item.id, question=item.question, answer=item.answer, rating=own)
