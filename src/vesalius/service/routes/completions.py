"""The OpenAI shape: chat completions and models, so that its clients work unchanged.

Nothing of it is kept: pictures come with each request, and go with it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.errors import Refusal
from vesalius.recipe import Decoding
from vesalius.service import bodies
from vesalius.service.access import Caller
from vesalius.service.answering import primed
from vesalius.service.engine import Job
from vesalius.service.routes.calling import Calling, Serving, in_thread, while_there
from vesalius.service.routes.describe import body, problems
from vesalius.service.routes.events import event, streamed
from vesalius.service.running import Service

router = APIRouter(prefix="/v1", tags=["openai"])
DATA_URL = re.compile(r"data:(?:[\w.+-]+/[\w.+-]+)?;base64,", re.ASCII)
MAX_PICTURES = 8
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


class ImageUrl(BaseModel):
    """Where a picture is: a ``data:`` URL."""

    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class TextPart(BaseModel):
    """Words of a message."""

    type: Literal["text"]
    text: str


class ImagePart(BaseModel):
    """A picture of a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


class Message(BaseModel):
    """A message; system messages are told as instructions before the first question."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]


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
    max_tokens: int | None = Field(default=None, ge=1, le=4096)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=4096)
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int | None = Field(default=None, ge=-(2**53), le=2**53)
    n: Literal[1] | None = None


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
    response_model=None,
    responses=problems(
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
    ),
    openapi_extra=body(ChatRequest, EXAMPLE, form=False),
)
async def chat_completions(request: Request, service: Serving, caller: Calling) -> Response:
    """Chat completions, streamed too; pictures as ``data:`` URLs."""
    asked = bodies.validated(ChatRequest, bodies.read_json(await request.body()))
    _require_supported(asked)
    _require_model(service, asked.model)
    service.questions.require_room()
    name = f"chatcmpl-{secrets.token_hex(16)}"
    dialogue = await _dialogue(asked, name, service, caller)
    decoding = _decoding(asked, service)
    job = Job(name, dialogue, decoding, time.time() + service.settings.deadline)
    pieces = primed(service.engine.stream(job))
    await in_thread(service.note, "completion.asked", caller, name)
    if not asked.stream:
        prediction = await while_there(request, _whole(pieces))
        return JSONResponse(_completion(prediction, name, asked))
    first = await while_there(request, anext(pieces))
    created = int(time.time())

    def render(piece: str | Prediction | None) -> bytes:
        base = _head(name, asked, "chat.completion.chunk", created)
        if isinstance(piece, Prediction):
            ended = event(None, base | {"choices": [_chunk({}, _finish(piece))]})
            wanted = asked.stream_options is not None and asked.stream_options.include_usage
            told = event(None, base | {"choices": [], "usage": _usage(piece)}) if wanted else b""
            return ended + told
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


async def _whole(pieces: AsyncGenerator[str | Prediction | None]) -> Prediction:
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Prediction):
                return piece
    raise Refusal("engine_unavailable", "the answer did not come to its end")


async def _dialogue(asked: ChatRequest, name: str, service: Service, caller: Caller) -> Dialogue:
    """The messages as turns: user, assistant, user ... the last one open."""
    context: list[str] = []
    turns: list[Turn] = []
    shown = 0
    for message in asked.messages:
        text = _text(message)
        if message.role in {"system", "developer"}:
            context.append(text)
        elif message.role == "user":
            if turns and turns[-1].reply is None:
                raise _out_of_turn()
            urls = _urls(message)
            shown += len(urls)
            if shown > MAX_PICTURES:
                raise Refusal("invalid_request", f"at most {MAX_PICTURES} pictures")
            pictures = tuple([await _picture(url, service, caller) for url in urls])
            turns.append(Turn(Question(service.questions.checked(text)), pictures))
        else:
            if not turns or turns[-1].reply is not None:
                raise _out_of_turn()
            last = turns[-1]
            turns[-1] = Turn(last.question, last.pictures, Answer(text=text))
    if not turns or turns[-1].reply is not None:
        raise _out_of_turn()
    told = {"instructions": " ".join(context)} if any(context) else {}
    return Dialogue(name, tuple(turns), group=name, case=name, context=told)


def _out_of_turn() -> Refusal:
    said = "messages must alternate: user, assistant, ..., the last one the user's"
    return Refusal("invalid_request", said)


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content if isinstance(part, TextPart))


def _urls(message: Message) -> list[str]:
    if isinstance(message.content, str):
        return []
    return [part.image_url.url for part in message.content if isinstance(part, ImagePart)]


async def _picture(url: str, service: Service, caller: Caller) -> Picture:
    """A picture of the request, through the same intake as an upload; held in memory only."""
    head = DATA_URL.match(url)
    if head is not None:
        try:
            data = await asyncio.to_thread(base64.b64decode, url[head.end() :], validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refusal("invalid_request", "a data: URL is not valid base64") from error
    else:
        data = await _fetched(url, service)
    kept, _ = await service.intake.take(data, service.intake.policy(data))
    content = hashlib.sha256(kept.data).hexdigest()
    salted = hashlib.sha256(f"{caller.owner}:{content}".encode()).hexdigest()
    return Picture(f"sha256:{salted}", partial(_same, kept.data))


async def _fetched(url: str, service: Service) -> bytes:
    """A picture from an allowed host; no redirects, no more than a body may have."""
    host = urlsplit(url).hostname or ""
    if host not in service.settings.image_hosts or urlsplit(url).scheme not in {"http", "https"}:
        raise Refusal(
            "remote_image",
            "pictures are not fetched from there",
            hint="send them as data: URLs",
        )
    import httpx2

    most, data = service.settings.max_body, bytearray()
    try:
        async with (
            httpx2.AsyncClient(timeout=10, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != 200:
                raise Refusal("remote_image", f"its host answered {answer.status_code}")
            async for chunk in answer.aiter_bytes():
                data += chunk
                if len(data) > most:
                    raise Refusal("image_too_large", f"more than {most:,} bytes")
    except httpx2.HTTPError as error:
        raise Refusal("remote_image", "the picture's host does not answer") from error
    return bytes(data)


def _same(data: bytes) -> bytes:
    return data


def _require_supported(asked: ChatRequest) -> None:
    extra = set(asked.model_extra or {}) - HARMLESS
    unsupported = sorted(name for name in extra if (asked.model_extra or {})[name] is not None)
    if unsupported:
        named = ", ".join(unsupported)[:200]
        raise Refusal("unsupported_parameter", f"not supported here: {named}", hint="leave it out")


def _require_model(service: Service, name: str) -> None:
    known = _model(service)["id"]
    if name not in {known, "vesalius"}:
        said = f"the model here is called {known}"
        raise Refusal("not_found", said, hint="GET /v1/models lists it")


def _decoding(asked: ChatRequest, service: Service) -> Decoding:
    own = service.questions.decoding
    most = asked.max_completion_tokens or asked.max_tokens or own.max_new_tokens
    said: dict[str, Any] = {"max_new_tokens": min(most, service.settings.max_tokens)}
    if asked.temperature is not None:
        said |= {"temperature": asked.temperature, "beams": 1 if asked.temperature else own.beams}
    if asked.seed is not None:
        said["seed"] = asked.seed
    return own.model_copy(update=said)


def _model(service: Service) -> dict[str, Any]:
    name = str(service.engine.about().get("model") or "vesalius")
    return {"id": name, "object": "model", "created": service.created, "owned_by": "vesalius"}


def _head(name: str, asked: ChatRequest, kind: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": kind, "created": created, "model": asked.model}


def _completion(found: Prediction, name: str, asked: ChatRequest) -> dict[str, Any]:
    message = {"role": "assistant", "content": found.text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": _finish(found), "logprobs": None}
    head = _head(name, asked, "chat.completion", int(time.time()))
    return head | {"choices": [choice], "usage": _usage(found)}


def _chunk(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}


def _finish(found: Prediction) -> str:
    return "length" if found.finish == "length" else "stop"


def _usage(found: Prediction) -> dict[str, int]:
    used = found.usage
    read, wrote = (0, 0) if used is None else (used.prompt_tokens, used.new_tokens)
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def _error(problem: dict[str, Any]) -> dict[str, Any]:
    kind = "invalid_request_error" if problem["status"] < 500 else "server_error"
    return {"message": problem["detail"], "type": kind, "code": problem["code"], "param": None}
