"""One exchange with a client of OpenAI's: all that its APIs share, whatever their shape.

Who asks in completions and who asks in responses comes the same way: the same intake, limits and
engine, and the same details that neither shape has a field for. Nothing of it is kept.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import Refusal
from vesalius.recipe import Decoding
from vesalius.service.chat.asking import Answered, Step
from vesalius.service.chat.openai_messages import Message, dialogue_of
from vesalius.service.container import Service
from vesalius.service.http import responses
from vesalius.service.http.access import Caller
from vesalius.service.http.answer_schemas import AssessmentOut
from vesalius.service.http.openai_schemas import Details
from vesalius.service.http.routes.dependencies import while_there
from vesalius.service.http.routes.events import streamed
from vesalius.service.threads import in_thread

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
"""Problems that either API may tell."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for, in either shape; ``shorten``: oldest turns may go."""

    model: str
    messages: Sequence[Message]
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    shorten: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question that is being answered: its id, the model's name as asked, seconds since 1970."""

    id: str
    model: str
    decoding: Decoding
    request: Request
    service: Service
    steps: AsyncGenerator[Step]
    created: int = field(default_factory=lambda: int(time.time()))

    async def whole(self) -> Answered:
        """The answer, unless the caller goes before it is there."""
        return await while_there(self.request, _whole(self.steps))

    async def stream(
        self,
        render: Callable[[Step], bytes],
        failed: Callable[[dict[str, Any]], bytes],
        *,
        last: bytes = b"",
    ) -> StreamingResponse:
        """The answer as server-sent events; the engine's refusals come as a status before them."""
        first = await while_there(self.request, anext(self.steps))
        beat = self.service.settings.heartbeat
        return streamed(self.request, first, self.steps, render, failed, heartbeat=beat, last=last)

    def details(self, answered: Answered) -> Details:
        """What the answer marks and rests on, and how sure it is."""
        prediction, assessment = answered.prediction, answered.assessment
        row = prediction.to_row()
        support = responses.support(
            row["answer"], row.get("scores"), row.get("evidence"), self.service.thumbnails
        )
        return Details(
            **support,
            abstained=prediction.abstained,
            confidence=row.get("confidence"),
            assessment=None if assessment is None else AssessmentOut(**assessment.to_row()),
            empty=responses.says_nothing(prediction.text, row["answer"]),
        )


async def exchange(
    wanted: Wanted, prefix: str, request: Request, service: Service, caller: Caller
) -> Exchange:
    """Put the question to the engine; Refusal for a model of another name, or without room."""
    require_model(service, wanted.model)
    asker = service.asker
    asker.require_room()
    name = f"{prefix}{secrets.token_hex(16)}"
    taken = dialogue_of(wanted.messages, name, service, caller.owner)
    dialogue = await while_there(request, taken)
    decoding = asker.decoding(wanted.max_tokens, temperature=wanted.temperature, seed=wanted.seed)
    asking = asker.ask(dialogue, decoding, shorten=wanted.shorten)
    await in_thread(service.note, "completion.asked", caller, name)
    steps = _forgetting(asking, dialogue, service)
    return Exchange(name, wanted.model, decoding, request, service, steps)


def require_model(service: Service, name: str) -> None:
    """Refusal unless the one model here has that name; ``vesalius`` is always one of its names."""
    known = model_name(service)
    if name not in {known, "vesalius"}:
        detail = f"the model here is called {known}"
        raise Refusal("not_found", detail, hint="GET /v1/models lists it")


def model_name(service: Service) -> str:
    """What the one model that answers here is called."""
    return str(service.engine.about().get("model") or "vesalius")


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
