"""The OpenAI shape: chat completions and models, so that its clients work unchanged.

Nothing of it is kept: pictures come with each request, and go with it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import Refusal
from vesalius.service.chat.asking import Answered, Step
from vesalius.service.chat.openai_messages import dialogue_of
from vesalius.service.container import Service
from vesalius.service.http import bodies, responses
from vesalius.service.http.answer_schemas import AssessmentOut
from vesalius.service.http.openai_schemas import (
    ChatRequest,
    Choice,
    Completion,
    Details,
    Reply,
    Usage,
    require_supported,
)
from vesalius.service.http.routes.dependencies import Calling, Serving, while_there
from vesalius.service.http.routes.events import event, streamed
from vesalius.service.http.routes.openapi_docs import body, problems
from vesalius.service.threads import in_thread

router = APIRouter(prefix="/v1", tags=["openai"])
DONE = b"data: [DONE]\n\n"
EXAMPLE = {
    "model": "vesalius",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Is there a fracture?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0…"}},
            ],
        }
    ],
}

REFUSED = (
    "invalid_json",
    "invalid_request",
    "unsupported_parameter",
    "unsupported_media_type",
    "remote_image",
    "image_corrupt",
    "image_too_many_pixels",
    "body_too_large",
    "question_too_long",
    "question_empty",
    "model",
    "not_found",
    "overloaded",
    "not_ready",
    "engine_unavailable",
    "deadline",
)


CHUNKS: dict[str, Any] = {
    "description": "With `stream`: chunks as server-sent events, and `[DONE]`.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": 'data: {"object": "chat.completion.chunk", …}\n\ndata: [DONE]\n\n',
        }
    },
}


@router.get("/models", responses=problems())
async def list_models(service: Serving, caller: Calling) -> dict[str, Any]:
    """The one model that answers here."""
    del caller
    return {"object": "list", "data": [_model(service)]}


@router.get("/models/{name:path}", responses=problems("not_found"))
async def get_model(service: Serving, caller: Calling, name: str) -> dict[str, Any]:
    """The model of that name."""
    del caller
    _require_model(service, name)
    return _model(service)


@router.post(
    "/chat/completions",
    response_model=Completion,
    responses={200: CHUNKS, **problems(*REFUSED)},
    openapi_extra=body(ChatRequest, EXAMPLE, form=False),
)
async def chat_completions(request: Request, service: Serving, caller: Calling) -> Response:
    """Chat completions, streamed too; pictures as ``data:`` URLs."""
    chat = bodies.validated(ChatRequest, bodies.read_json(await request.body()))
    require_supported(chat)
    _require_model(service, chat.model)
    asker = service.asker
    asker.require_room()
    name = f"chatcmpl-{secrets.token_hex(16)}"
    dialogue = await while_there(request, dialogue_of(chat.messages, name, service, caller.owner))
    most = chat.max_completion_tokens or chat.max_tokens
    decoding = asker.decoding(most, temperature=chat.temperature, seed=chat.seed)
    steps = _forgetting(asker.ask(dialogue, decoding), dialogue, service)
    await in_thread(service.note, "completion.asked", caller, name)
    if not chat.stream:
        answered = await while_there(request, _whole(steps))
        return JSONResponse(_completion(answered, name, chat, service).model_dump())
    first = await while_there(request, anext(steps))
    base = {
        "id": name,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": chat.model,
    }

    def render(step: Step) -> bytes:
        if isinstance(step, Answered):
            prediction = step.prediction
            details = {"vesalius": _details(step, service).model_dump()}
            ended = base | {"choices": [_chunk({}, _finish(prediction))]} | details
            if chat.stream_options is None or not chat.stream_options.include_usage:
                return event(None, ended)
            usage = {"choices": [], "usage": _usage(prediction).model_dump()}
            return event(None, ended) + event(None, base | usage)
        delta = {"role": "assistant", "content": ""} if step is None else {"content": step}
        return event(None, base | {"choices": [_chunk(delta, None)]})

    return streamed(
        request,
        first,
        steps,
        render,
        lambda problem: event(None, {"error": _error(problem)}),
        heartbeat=service.settings.heartbeat,
        last=DONE,
    )


async def _forgetting(
    steps: AsyncGenerator[Step], dialogue: Dialogue, service: Service
) -> AsyncGenerator[Step]:
    """The steps; at their end the engine gives up what it held of the pictures."""
    try:
        async with aclosing(steps):
            async for step in steps:
                yield step
    finally:
        for picture in dialogue.pictures:
            service.engine.forget(picture.key)


async def _whole(steps: AsyncGenerator[Step]) -> Answered:
    async with aclosing(steps):
        async for step in steps:
            if isinstance(step, Answered):
                return step
    raise Refusal("engine_unavailable", "the answer did not come to its end")


def _require_model(service: Service, name: str) -> None:
    known = _model(service)["id"]
    if name not in {known, "vesalius"}:
        detail = f"the model here is called {known}"
        raise Refusal("not_found", detail, hint="GET /v1/models lists it")


def _model(service: Service) -> dict[str, Any]:
    name = str(service.engine.about().get("model") or "vesalius")
    return {"id": name, "object": "model", "created": service.created, "owned_by": "vesalius"}


def _completion(answered: Answered, name: str, chat: ChatRequest, service: Service) -> Completion:
    prediction = answered.prediction
    choice = Choice(message=Reply(content=prediction.text), finish_reason=_finish(prediction))
    return Completion(
        id=name,
        created=int(time.time()),
        model=chat.model,
        choices=[choice],
        usage=_usage(prediction),
        vesalius=_details(answered, service),
    )


def _details(answered: Answered, service: Service) -> Details:
    prediction, assessment = answered.prediction, answered.assessment
    row = prediction.to_row()
    support = responses.support(
        row["answer"], row.get("scores"), row.get("evidence"), service.thumbnails
    )
    return Details(
        **support,
        abstained=prediction.abstained,
        confidence=row.get("confidence"),
        assessment=None if assessment is None else AssessmentOut(**assessment.to_row()),
        empty=responses.says_nothing(prediction.text, row["answer"]),
    )


def _chunk(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}


def _finish(prediction: Prediction) -> Literal["stop", "length"]:
    return "length" if prediction.finish == "length" else "stop"


def _usage(prediction: Prediction) -> Usage:
    used = prediction.usage
    read, wrote = (0, 0) if used is None else (used.prompt_tokens, used.new_tokens)
    return Usage(prompt_tokens=read, completion_tokens=wrote, total_tokens=read + wrote)


def _error(problem: dict[str, Any]) -> dict[str, Any]:
    kind = "invalid_request_error" if problem["status"] < 500 else "server_error"
    return {"message": problem["detail"], "type": kind, "code": problem["code"], "param": None}
