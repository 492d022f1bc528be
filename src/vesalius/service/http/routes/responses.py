"""OpenAI's responses: the same questions as completions, as items and events."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from vesalius.service.chat.asking import Answered, Step
from vesalius.service.http import bodies
from vesalius.service.http.response_schemas import (
    IncompleteDetails,
    OutputMessage,
    OutputText,
    ResponseError,
    ResponseOut,
    ResponseRequest,
    ResponseUsage,
    Status,
    require_supported,
)
from vesalius.service.http.routes.dependencies import Calling, Serving
from vesalius.service.http.routes.events import event
from vesalius.service.http.routes.exchange import REFUSED, Exchange, Wanted, exchange
from vesalius.service.http.routes.openapi_docs import body, problems

router = APIRouter(prefix="/v1", tags=["openai"])
EXAMPLE = {
    "model": "vesalius",
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Is there a fracture?"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0…"},
            ],
        }
    ],
}
CODES: dict[int, Literal["rate_limit_exceeded", "invalid_prompt"]] = {
    422: "invalid_prompt",
    429: "rate_limit_exceeded",
}
"""OpenAI's words for why a response failed, by our status; all others are the server's."""
EVENTS: dict[str, Any] = {
    "description": "With `stream`: events from `response.created` to `response.completed`.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": "event: response.output_text.delta\n"
            'data: {"type": "response.output_text.delta", "delta": "a nodule", …}\n\n',
        }
    },
}


@router.post(
    "/responses",
    response_model=ResponseOut,
    responses={200: EVENTS, **problems(*REFUSED)},
    openapi_extra=body(ResponseRequest, EXAMPLE, form=False),
)
async def create_response(request: Request, service: Serving, caller: Calling) -> Response:
    """A response, streamed too; pictures as ``data:`` URLs. Nothing of it is stored."""
    wanted = bodies.validated(ResponseRequest, bodies.read_json(await request.body()))
    require_supported(wanted)
    question = Wanted(
        wanted.model,
        list(wanted.messages()),
        wanted.max_output_tokens,
        wanted.temperature,
        shorten=wanted.truncation == "auto",
    )
    one = await exchange(question, "resp_", request, service, caller)
    writing = Writing(one, wanted)
    if not wanted.stream:
        return JSONResponse(writing.whole(await one.whole()).model_dump())
    return await one.stream(writing.events, writing.failed)


class Writing:
    """One response while it is written: what it is at each moment, and the events of it."""

    def __init__(self, one: Exchange, wanted: ResponseRequest) -> None:
        self._exchange, self._number = one, 0
        self._item = f"msg_{one.id.removeprefix('resp_')}"
        self._outset = ResponseOut(
            id=one.id,
            created_at=one.created,
            status="in_progress",
            instructions=wanted.instructions,
            max_output_tokens=one.decoding.max_new_tokens,
            model=one.model,
            temperature=one.decoding.temperature,
            truncation=wanted.truncation,
        )

    def whole(self, answered: Answered) -> ResponseOut:
        """The response with its answer; incomplete where the answer was cut."""
        prediction, used = answered.prediction, answered.prediction.usage
        read, wrote = (0, 0) if used is None else (used.prompt_tokens, used.new_tokens)
        cut = prediction.finish == "length"
        status: Status = "incomplete" if cut else "completed"
        return self._outset.model_copy(
            update={
                "status": status,
                "incomplete_details": IncompleteDetails() if cut else None,
                "output": [self._message(status, OutputText(text=prediction.text))],
                "usage": ResponseUsage(
                    input_tokens=read, output_tokens=wrote, total_tokens=read + wrote
                ),
                "vesalius": self._exchange.details(answered),
            }
        )

    def events(self, step: Step) -> bytes:
        """What a step is to OpenAI's clients: one event, or the several that begin or end all."""
        if isinstance(step, Answered):
            return self._end(self.whole(step))
        if step is None:
            return self._begin()
        return self._event("output_text.delta", **self._place, delta=step, logprobs=[])

    def failed(self, problem: dict[str, Any]) -> bytes:
        """The last event where there is no answer."""
        error = ResponseError(
            code=CODES.get(problem["status"], "server_error"),
            message=problem["detail"],
            type=problem["code"],
        )
        response = self._outset.model_copy(update={"status": "failed", "error": error})
        return self._event("failed", response=response)

    def _begin(self) -> bytes:
        item = self._message("in_progress")
        return (
            self._event("created", response=self._outset)
            + self._event("in_progress", response=self._outset)
            + self._event("output_item.added", output_index=0, item=item)
            + self._event("content_part.added", **self._place, part=OutputText(text=""))
        )

    def _end(self, response: ResponseOut) -> bytes:
        (item,) = response.output
        (part,) = item.content
        return (
            self._event("output_text.done", **self._place, text=part.text, logprobs=[])
            + self._event("content_part.done", **self._place, part=part)
            + self._event("output_item.done", output_index=0, item=item)
            + self._event(response.status, response=response)
        )

    def _message(self, status: Status, *content: OutputText) -> OutputMessage:
        return OutputMessage(id=self._item, status=status, content=list(content))

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item, "output_index": 0, "content_index": 0}

    def _event(self, kind: str, **fields: Any) -> bytes:
        """The next event; its number in the stream, and ``fields`` with models as JSON."""
        name = f"response.{kind}"
        content = {
            key: value.model_dump() if isinstance(value, BaseModel) else value
            for key, value in fields.items()
        }
        data = {"type": name, "sequence_number": self._number} | content
        self._number += 1
        return event(name, data)
