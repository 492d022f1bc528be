"""Leading a review: answers to adjudicate, the offline package out, and filled tables in."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response

from vesalius.cases.rating import AXES
from vesalius.errors import Refusal, RunError
from vesalius.evaluation.filled_tables import FilledTable, read_table
from vesalius.service.chat.adjudication import Dispute
from vesalius.service.chat.review import Review
from vesalius.service.container import Service
from vesalius.service.http import bodies
from vesalius.service.http.access import Caller
from vesalius.service.http.review_schemas import (
    AdjudicationOut,
    DisputedItem,
    Grades,
    RatingRequest,
    TableOut,
)
from vesalius.service.http.routes.dependencies import Calling, Serving
from vesalius.service.http.routes.openapi_docs import body, content_response, problems
from vesalius.service.http.routes.review import disputes, rating_of, review_of
from vesalius.service.http.schemas import Identifier
from vesalius.service.threads import in_thread

router = APIRouter(prefix="/review", tags=["review"])
EXAMPLE = dict.fromkeys(AXES, 4) | {"item_id": "itm_7d…", "errors": ["side"]}
TABLE = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "review,id,rater,accuracy,...\r\npackage 5f2b…,itm_7d…,ana,4,...\r\n",
            }
        },
    }
}


async def leading(service: Serving, caller: Calling) -> Caller:
    """The caller, who leads the review; Refusal ``forbidden`` for anybody else."""
    review_of(service)
    if not caller.leads:
        hint = "VESALIUS_REVIEW_LEADS names those who lead a review"
        raise Refusal("forbidden", "this is for who leads the review", hint=hint)
    return caller


Leading = Annotated[Caller, Depends(leading)]


@router.get("/adjudication", responses=problems("not_found", "invalid_request"))
async def disputed(
    service: Serving, caller: Leading, item_id: Identifier | None = None
) -> AdjudicationOut:
    """The next answer whose grades lie two or more apart on an axis, with its ratings.

    Not those that the caller rated. ``item_id``: that one again, with the caller's final word.
    """
    return await in_thread(_state, service, caller, review_of(service), item_id)


@router.post(
    "/adjudication",
    status_code=201,
    response_model=AdjudicationOut,
    responses=problems(
        "not_found", "invalid_request", "invalid_json", "unsupported_body", "already_rated"
    ),
    openapi_extra=body(RatingRequest, EXAMPLE, form=False),
)
async def adjudicate(request: Request, service: Serving, caller: Leading) -> AdjudicationOut:
    """The final word on an answer, beside its ratings; again replaces the caller's own."""
    rating = await bodies.parse(request, RatingRequest)
    review = review_of(service)

    def decide() -> None:
        item = disputes(service, caller, review).dispute(rating.item_id).item
        service.store.adjudicate(item.id, rating_of(rating, item, caller))

    await in_thread(decide)
    await in_thread(service.note, "answer.adjudicated", caller, rating.item_id)
    return await in_thread(_state, service, caller, review, None)


@router.get(
    "/package",
    response_class=Response,
    responses=content_response("The page or the table", "text/html", "text/csv")
    | problems("not_found", "invalid_request"),
)
async def package(
    service: Serving, caller: Leading, part: Literal["page", "table"] = "page"
) -> Response:
    """What `vesalius review` makes of the same answers: a page that needs no network, or a table.

    The page holds the pictures: it is to be sent as they would be.
    """
    try:
        content = await asyncio.to_thread(review_of(service).package, part)
    except RunError as error:
        raise Refusal("not_found", "a picture is not where its data set was") from error
    await in_thread(service.note, "review.packaged", caller, review_of(service).sheet.name)
    name, kind = ("review.html", "text/html") if part == "page" else ("ratings.csv", "text/csv")
    named = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=kind, headers=named)


@router.post(
    "/table",
    status_code=201,
    responses=problems("not_found", "invalid_request", "unsupported_body", "already_rated"),
    openapi_extra=TABLE,
)
async def take_in(request: Request, service: Serving, caller: Leading) -> TableOut:
    """A package's filled table (UTF-8 CSV): all of its ratings, or none and what is wrong.

    Raters are kept as hashes of what they called themselves; each one's table is taken in once.
    """
    if bodies.content_type(request) != "text/csv":
        raise Refusal("unsupported_body", "a table is sent as text/csv")
    review = review_of(service)
    filled = await in_thread(_filled, await request.body(), review)
    taken = await in_thread(_store, service, review, filled)
    await in_thread(service.note, "review.table", caller, review.sheet.name)
    return taken


def _filled(data: bytes, review: Review) -> FilledTable:
    try:
        return read_table(data.decode("utf-8-sig"), review.sheet)
    except UnicodeDecodeError as error:
        raise Refusal("invalid_request", "the table is no UTF-8 text") from error
    except RunError as error:
        what = f"{error.where}: {error.what}"
        raise Refusal("invalid_request", what, hint=error.hint) from error


def _store(service: Service, review: Review, filled: FilledTable) -> TableOut:
    """Under the answers' own names, with raters as hashes."""
    named = {}
    for (item_id, pseudonym), rating in filled.ratings.items():
        item, rater = review.item(item_id), service.store.owner(f"package\n{pseudonym}")
        named[item_id, rater] = replace(
            rating, review=item.review, prediction=item.prediction, rater=rater
        )
    service.store.add_ratings(named)
    raters = len({rater for _, rater in named})
    return TableOut(raters=raters, ratings=len(named), empty=filled.empty)


def _state(
    service: Service, caller: Caller, review: Review, item_id: str | None
) -> AdjudicationOut:
    theirs = disputes(service, caller, review)
    item_id = item_id or next((one.id for one in theirs.open), None)
    item = None if item_id is None else _item(theirs.dispute(item_id))
    return AdjudicationOut(open=len(theirs.open), done=len(theirs.done), item=item)


def _item(dispute: Dispute) -> DisputedItem:
    return DisputedItem(
        item_id=dispute.item.id,
        question=dispute.item.question,
        answer=dispute.item.answer,
        rating=dispute.final and Grades.of(dispute.final),
        ratings=[Grades.of(one) for one in dispute.ratings],
    )
