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
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import Refusal
from vesalius.recipe import Decoding
from vesalius.service.chat.openai_messages import Message, dialogue_of
from vesalius.service.chat.questions import primed
from vesalius.service.container import Service
from vesalius.service.engine import Job
from vesalius.service.http import bodies
from vesalius.service.http.routes.dependencies import Calling, Serving, while_there
from vesalius.service.http.routes.events import event, streamed
from vesalius.service.http.routes.openapi_docs import body, problems
from vesalius.service.threads import in_thread

router = APIRouter(prefix="/v1", tags=["openai"])
MAX_MESSAGES = 64
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


class StreamOptions(BaseModel):
    """Whether a stream ends with what was used."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """What is understood of OpenAI's request; other parameters are refused, not ignored."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(max_length=300)
    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=2**31)
    """No more than the service allows are made, whatever is asked for."""
    max_completion_tokens: int | None = Field(default=None, ge=1, le=2**31)
    """The same, by its newer name."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int | None = Field(default=None, ge=-(2**53), le=2**53)
    n: Literal[1] | None = None


class Usage(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Reply(BaseModel):
    """What the model said."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The one answer, and why it ended."""

    index: Literal[0] = 0
    message: Reply
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class Completion(BaseModel):
    """A whole answer in OpenAI's shape."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


CHUNKS: dict[str, Any] = {
    "description": "With `stream`: chunks as server-sent events, and `[DONE]`.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": 'data: {"object": "chat.completion.chunk", …}\n\ndata: [DONE]\n\n',
        }
    },
}
NEUTRAL: dict[str, Any] = {
    "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "logprobs": False, "stop": [],
    "response_format": {"type": "text"}, "logit_bias": {}, "tools": [], "tool_choice": "none",
}  # fmt: skip
"""What clients send that want nothing by it."""
HARMLESS = {"user", "metadata", "store", "service_tier", "safety_identifier", "parallel_tool_calls"}


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
    _require_supported(chat)
    _require_model(service, chat.model)
    service.questions.require_room()
    name = f"chatcmpl-{secrets.token_hex(16)}"
    reading = dialogue_of(chat.messages, name, service, caller.owner)
    dialogue = await while_there(request, reading)
    decoding = _decoding(chat, service)
    job = Job(name, dialogue, decoding, time.time() + service.settings.deadline)
    pieces = _forgetting(primed(service.engine.stream(job)), dialogue, service)
    await in_thread(service.note, "completion.asked", caller, name)
    if not chat.stream:
        prediction = await while_there(request, _whole(pieces))
        return JSONResponse(_completion(prediction, name, chat).model_dump())
    first = await while_there(request, anext(pieces))
    base = {
        "id": name,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": chat.model,
    }

    def render(piece: str | Prediction | None) -> bytes:
        if isinstance(piece, Prediction):
            ended = event(None, base | {"choices": [_chunk({}, _finish(piece))]})
            if chat.stream_options is None or not chat.stream_options.include_usage:
                return ended
            usage = _usage(piece).model_dump()
            return ended + event(None, base | {"choices": [], "usage": usage})
        delta = {"role": "assistant", "content": ""} if piece is None else {"content": piece}
        return event(None, base | {"choices": [_chunk(delta, None)]})

    return streamed(
        request,
        first,
        pieces,
        render,
        lambda problem: event(None, {"error": _error(problem)}),
        heartbeat=service.settings.heartbeat,
        last=DONE,
    )


async def _forgetting(
    pieces: AsyncGenerator[str | Prediction | None], dialogue: Dialogue, service: Service
) -> AsyncGenerator[str | Prediction | None]:
    """The pieces; at their end the engine gives up what it held of the pictures."""
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
    finally:
        for picture in dialogue.pictures:
            service.engine.forget(picture.key)


async def _whole(pieces: AsyncGenerator[str | Prediction | None]) -> Prediction:
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Prediction):
                return piece
    raise Refusal("engine_unavailable", "the answer did not come to its end")


def _require_supported(chat: ChatRequest) -> None:
    extra = set(chat.model_extra or {}) - HARMLESS
    given = chat.model_extra or {}
    unsupported = sorted(n for n in extra if given[n] is not None and given[n] != NEUTRAL.get(n))
    if unsupported:
        named = ", ".join(unsupported)[:200]
        raise Refusal("unsupported_parameter", f"not supported here: {named}", hint="leave it out")


def _require_model(service: Service, name: str) -> None:
    known = _model(service)["id"]
    if name not in {known, "vesalius"}:
        detail = f"the model here is called {known}"
        raise Refusal("not_found", detail, hint="GET /v1/models lists it")


def _decoding(chat: ChatRequest, service: Service) -> Decoding:
    own = service.questions.decoding
    most = chat.max_completion_tokens or chat.max_tokens or own.max_new_tokens
    update: dict[str, Any] = {"max_new_tokens": min(most, service.settings.max_tokens)}
    if chat.temperature is not None:
        update |= {"temperature": chat.temperature, "beams": 1 if chat.temperature else own.beams}
    if chat.seed is not None:
        update["seed"] = chat.seed
    return own.model_copy(update=update)


def _model(service: Service) -> dict[str, Any]:
    name = str(service.engine.about().get("model") or "vesalius")
    return {"id": name, "object": "model", "created": service.created, "owned_by": "vesalius"}


def _completion(prediction: Prediction, name: str, chat: ChatRequest) -> Completion:
    choice = Choice(message=Reply(content=prediction.text), finish_reason=_finish(prediction))
    return Completion(
        id=name,
        created=int(time.time()),
        model=chat.model,
        choices=[choice],
        usage=_usage(prediction),
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
