"""The OpenAI shape: chat completions and models, so that its clients work unchanged."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from vesalius.cases.prediction import Prediction
from vesalius.service.chat.asking import Answered, Step
from vesalius.service.container import Service
from vesalius.service.http import bodies, problems
from vesalius.service.http.openai_schemas import (
    ChatRequest,
    Choice,
    Completion,
    Reply,
    Usage,
    require_supported,
)
from vesalius.service.http.routes import openapi_docs
from vesalius.service.http.routes.dependencies import Calling, Serving
from vesalius.service.http.routes.events import event
from vesalius.service.http.routes.exchange import (
    REFUSED,
    Exchange,
    Wanted,
    exchange,
    model_name,
    require_model,
)

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

CHUNKS: dict[str, Any] = {
    "description": "With `stream`: chunks as server-sent events, and `[DONE]`.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": 'data: {"object": "chat.completion.chunk", …}\n\ndata: [DONE]\n\n',
        }
    },
}


@router.get("/models", responses=openapi_docs.problems())
async def list_models(service: Serving, caller: Calling) -> dict[str, Any]:
    """The one model that answers here."""
    del caller
    return {"object": "list", "data": [_model(service)]}


@router.get("/models/{name:path}", responses=openapi_docs.problems("not_found"))
async def get_model(service: Serving, caller: Calling, name: str) -> dict[str, Any]:
    """The model of that name."""
    del caller
    require_model(service, name)
    return _model(service)


@router.post(
    "/chat/completions",
    response_model=Completion,
    responses={200: CHUNKS, **openapi_docs.problems(*REFUSED)},
    openapi_extra=openapi_docs.body(ChatRequest, EXAMPLE, form=False),
)
async def chat_completions(request: Request, service: Serving, caller: Calling) -> Response:
    """Chat completions, streamed too; pictures as ``data:`` URLs."""
    chat = bodies.validated(ChatRequest, bodies.read_json(await request.body()))
    require_supported(chat)
    most = chat.max_completion_tokens or chat.max_tokens
    wanted = Wanted(chat.model, chat.messages, most, chat.temperature, chat.seed)
    one = await exchange(wanted, "chatcmpl-", request, service, caller)
    if not chat.stream:
        return JSONResponse(_completion(await one.whole(), one).model_dump())
    counted = chat.stream_options is not None and chat.stream_options.include_usage
    render = partial(_chunks, one, counted)
    return await one.stream(render, _failed, last=DONE)


def _model(service: Service) -> dict[str, Any]:
    name = model_name(service)
    return {"id": name, "object": "model", "created": service.created, "owned_by": "vesalius"}


def _completion(answered: Answered, one: Exchange) -> Completion:
    prediction = answered.prediction
    choice = Choice(message=Reply(content=prediction.text), finish_reason=_finish(prediction))
    return Completion(
        id=one.id,
        created=one.created,
        model=one.model,
        choices=[choice],
        usage=_usage(prediction),
        vesalius=one.details(answered),
    )


def _chunks(one: Exchange, counted: bool, step: Step) -> bytes:
    """A step as chunks: the last has the details, and behind it come the tokens if asked for."""
    base = {
        "id": one.id,
        "object": "chat.completion.chunk",
        "created": one.created,
        "model": one.model,
    }
    if not isinstance(step, Answered):
        delta = {"role": "assistant", "content": ""} if step is None else {"content": step}
        return event(None, base | {"choices": [_choice(delta, None)]})
    ended = base | {"choices": [_choice({}, _finish(step.prediction))]}
    chunks = event(None, ended | {"vesalius": one.details(step).model_dump()})
    if counted:
        usage = {"choices": [], "usage": _usage(step.prediction).model_dump()}
        chunks += event(None, base | usage)
    return chunks


def _choice(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}


def _finish(prediction: Prediction) -> Literal["stop", "length"]:
    return "length" if prediction.finish == "length" else "stop"


def _usage(prediction: Prediction) -> Usage:
    used = prediction.usage
    read, wrote = (0, 0) if used is None else (used.prompt_tokens, used.new_tokens)
    return Usage(prompt_tokens=read, completion_tokens=wrote, total_tokens=read + wrote)


def _failed(problem: dict[str, Any]) -> bytes:
    return event(None, {"error": problems.openai_error(problem)})
