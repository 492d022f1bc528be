"""Questions: asked, captioned, answered whole or as a stream; feedback on answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from vesalius.errors import Refusal
from vesalius.service.chat.history import QuestionRequest
from vesalius.service.chat.questions import Accepted, Event
from vesalius.service.chat.suggestions import suggestions
from vesalius.service.container import Service
from vesalius.service.http import bodies, responses
from vesalius.service.http.access import Caller
from vesalius.service.http.answer_schemas import AnswerOut
from vesalius.service.http.routes.dependencies import Calling, Serving, while_there
from vesalius.service.http.routes.events import event, streamed
from vesalius.service.http.routes.openapi_docs import STREAM, body, problems
from vesalius.service.http.schemas import (
    AskRequest,
    CaptionRequest,
    FeedbackRequest,
    Suggestion,
    Window,
)
from vesalius.service.store.records import Turn
from vesalius.service.threads import in_thread

router = APIRouter(tags=["questions"])
EXAMPLE = {"image_id": "img_3f…", "question": "Is there a pleural effusion?"}
REFUSED = (
    "invalid_json",
    "unsupported_body",
    "invalid_request",
    "question_too_long",
    "question_empty",
    "image_frame",
    "image_window",
    "two_patients",
    "pictures_unsupported",
    "model",
    "not_found",
    "image_expired",
    "conversation_busy",
    "too_many_turns",
    "body_too_large",
    "overloaded",
    "engine_unavailable",
    "not_ready",
    "shutting_down",
    "deadline",
    "storage_full",
)


@router.post(
    "/ask_question",
    response_model=AnswerOut,
    responses={200: STREAM, **problems(*REFUSED)},
    openapi_extra=body(AskRequest, EXAMPLE),
)
async def ask_question(request: Request, service: Serving, caller: Calling) -> Response:
    """Ask about a picture; with ``conversation_id`` the question follows those before it.

    The body is JSON or a form with the same fields (``window`` there is ``centre,width``).
    """
    payload = await bodies.parse(request, AskRequest)
    return await _answered(request, service, caller, payload, payload.question)


@router.post(
    "/caption",
    response_model=AnswerOut,
    responses={200: STREAM, **problems(*REFUSED)},
    openapi_extra=body(CaptionRequest, {"image_id": "img_3f…"}),
)
async def caption(request: Request, service: Serving, caller: Calling) -> Response:
    """Describe a picture, with the words that the run was fitted on."""
    payload = await bodies.parse(request, CaptionRequest)
    return await _answered(request, service, caller, payload, service.instruction)


@router.get("/suggestions", response_model=list[Suggestion], responses=problems())
async def suggested(service: Serving, caller: Calling) -> list[Suggestion]:
    """Questions to begin with, one of each category that the run was asked; none without a run."""
    del caller
    if service.suggestions is None:
        service.suggestions = await in_thread(suggestions, service.run)
    return [Suggestion(category=name, question=text) for name, text in service.suggestions]


@router.post(
    "/feedback",
    status_code=201,
    responses=problems("not_found", "invalid_request", "invalid_json", "unsupported_body"),
    openapi_extra=body(FeedbackRequest, {"answer_id": "ans_9c…", "verdict": "up"}),
)
async def feedback(request: Request, service: Serving, caller: Calling) -> dict[str, str]:
    """A thumb for an answer, with a reason; saying it again replaces it."""
    payload = await bodies.parse(request, FeedbackRequest)
    await in_thread(
        service.store.add_feedback,
        caller.owner,
        payload.answer_id,
        payload.verdict,
        reason=payload.reason,
        comment=payload.comment,
    )
    await in_thread(service.note, "feedback", caller, payload.answer_id)
    return {"answer_id": payload.answer_id, "verdict": payload.verdict}


async def _answered(
    request: Request,
    service: Service,
    caller: Caller,
    payload: AskRequest | CaptionRequest,
    question: str,
) -> Response:
    query = QuestionRequest(
        caller.owner,
        payload.image_id,
        question,
        conversation_id=payload.conversation_id,
        view=payload.view,
        image_ids=payload.several,
        replaces=payload.replaces if isinstance(payload, AskRequest) else None,
        max_tokens=payload.max_tokens,
    )
    events = service.questions.events(query)
    if not payload.stream:
        whole = await while_there(request, _whole(events, service))
        return JSONResponse(whole.model_dump(mode="json"))
    first = await while_there(request, anext(events))
    assert isinstance(first, Accepted)

    def render(item: Event) -> bytes:
        if isinstance(item, Accepted):
            return event("meta", _meta(item, query, service))
        if isinstance(item, str):
            return event("token", {"text": item})
        return event("done", responses.answer(item, service.thumbnails).model_dump(mode="json"))

    return streamed(
        request,
        first,
        events,
        render,
        lambda problem: event("error", problem),
        heartbeat=service.settings.heartbeat,
    )


async def _whole(events: AsyncGenerator[Event], service: Service) -> AnswerOut:
    async with aclosing(events):
        async for item in events:
            if isinstance(item, Turn):
                return responses.answer(item, service.thumbnails)
    raise Refusal("engine_unavailable", "the answer did not come to its end")


def _meta(accepted: Accepted, query: QuestionRequest, service: Service) -> dict[str, Any]:
    window = Window.of(query.view)
    return {
        "answer_id": accepted.answer_id,
        "conversation_id": accepted.conversation_id,
        "image_id": query.image_id,
        "image_ids": list(query.all_ids),
        "question": query.question,
        "frame": query.view.frame,
        "window": None if window is None else window.model_dump(),
        "model": service.engine.about().get("model"),
    }
