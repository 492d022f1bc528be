"""OpenAI's messages as a dialogue: turns with pictures, which come as ``data:`` URLs.

Nothing of them is kept. Only hosts in ``VESALIUS_IMAGE_HOSTS`` are asked for a picture.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, groupby
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.errors import Refusal
from vesalius.service.chat.history import MAX_PICTURES
from vesalius.service.container import Service
from vesalius.service.nulls import NullIsAbsent

DATA_URL = re.compile(
    r"data: *(?:[\w.+-]+/[\w.+-]+)?(?: *; *[\w.+-]+=[\w.+-]+)* *; *base64 *,",
    re.ASCII | re.IGNORECASE,
)
FETCHING = 20.0
"""Seconds to fetch a picture."""


class ImageUrl(NullIsAbsent):
    """Where a picture is: a ``data:`` URL. Its detail is the model's own, whatever is asked for."""

    url: str
    detail: Literal["auto", "low", "high", "original"] = "auto"


class TextPart(BaseModel):
    """Words of a message."""

    type: Literal["text"]
    text: str


class ImagePart(BaseModel):
    """A picture of a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


def _parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class Message(NullIsAbsent):
    """A message; system messages are told as instructions before the first question."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        list[Annotated[TextPart | ImagePart, Field(discriminator="type")]],
        BeforeValidator(_parts, json_schema_input_type=str | list[TextPart | ImagePart] | None),
        Field(max_length=64),
    ] = Field(default_factory=list)
    """Text, or a list of parts."""


async def dialogue_of(
    messages: Sequence[Message], name: str, service: Service, owner: str
) -> Dialogue:
    """The messages as turns, the last one open; Refusal otherwise.

    Messages of one speaker in a row are one message, with a line for each.
    """
    if sum(len(_urls(message)) for message in messages) > MAX_PICTURES:
        raise Refusal("invalid_request", f"at most {MAX_PICTURES} pictures")
    if any(_urls(message) for message in messages if message.role != "user"):
        raise Refusal("invalid_request", "pictures come with the user's messages")
    instructions = [_text(m) for m in messages if m.role in {"system", "developer"}]
    spoken = [m for m in messages if m.role in {"user", "assistant"}]
    if not spoken or {spoken[0].role, spoken[-1].role} != {"user"}:
        raise Refusal("invalid_request", "the first and the last message must be the user's")
    turns: list[Turn] = []
    for role, group in groupby(spoken, key=lambda message: message.role):
        row = list(group)
        text = "\n".join(map(_text, row))
        if role == "user":
            urls = chain.from_iterable(map(_urls, row))
            pictures = tuple([await _picture(url, service, owner) for url in urls])
            turns.append(Turn(Question(service.asker.checked(text)), pictures))
        else:
            turns[-1] = replace(turns[-1], reply=Answer(text=text))
    context = {"instructions": " ".join(instructions)} if any(instructions) else {}
    return Dialogue(name, tuple(turns), group=name, case=name, context=context)


def _text(message: Message) -> str:
    return "\n".join(part.text for part in message.content if isinstance(part, TextPart))


def _urls(message: Message) -> list[str]:
    return [part.image_url.url for part in message.content if isinstance(part, ImagePart)]


async def _picture(url: str, service: Service, owner: str) -> Picture:
    """A picture of the request, through the same intake as an upload; held in memory only."""
    head = DATA_URL.match(url)
    if head is not None:
        data = await asyncio.to_thread(_decoded, url[head.end() :])
    elif url[:5].lower() == "data:":
        raise Refusal("invalid_request", "a data: URL must be of the form data:...;base64,...")
    else:
        data = await _fetched(url, service)
    picture, _ = await service.intake.take(data, service.intake.policy(data), owner)
    content = hashlib.sha256(picture.data).hexdigest()
    salted = hashlib.sha256(f"{owner}:{content}".encode()).hexdigest()
    return Picture(f"sha256:{salted}", partial(_same, picture.data))


def _decoded(text: str) -> bytes:
    """Base64 as shells and browsers write it: in lines, without padding, percent-encoded.

    Source: RFC 2397; WHATWG Infra, forgiving-base64 decode.
    """
    data = unquote_to_bytes(text).translate(None, b" \t\n\f\r")
    if len(data) % 4 == 0:
        data = data.removesuffix(b"=").removesuffix(b"=")
    try:
        return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal("invalid_request", "a data: URL is not valid base64") from error


async def _fetched(url: str, service: Service) -> bytes:
    """A picture from an allowed host; no redirects, no more than a body may have.

    Whatever goes wrong there is told in one way: nobody learns through us which ports are open.
    """
    if _place(url) not in {_place(f"//{one}") for one in service.settings.image_hosts}:
        raise Refusal(
            "remote_image",
            "pictures are not fetched from there",
            hint="send them as data: URLs",
        )
    import httpx2

    most, data = service.settings.max_body, bytearray()
    try:
        async with (
            asyncio.timeout(FETCHING),
            httpx2.AsyncClient(timeout=10, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", url) as answer,
        ):
            answer.raise_for_status()
            async for chunk in answer.aiter_bytes():
                data += chunk
                if len(data) > most:
                    raise Refusal("image_too_large", f"more than {most:,} bytes")
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        raise Refusal("remote_image", "its host does not give this picture") from error
    return bytes(data)


def _place(url: str) -> tuple[str, int] | None:
    """The host and port of a URL, by default those of https or, if it says so, of http."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443, "": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.hostname, port) if parts.hostname else None


def _same(data: bytes) -> bytes:
    return data
