"""Responses as OpenAI has them on the wire: what is understood of a request, and an answer.

Nothing is stored, so what refers to something stored is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from vesalius.service.chat.openai_messages import ImagePart, ImageUrl, Message, TextPart
from vesalius.service.http.openai_schemas import (
    HARMLESS,
    MAX_MESSAGES,
    Details,
    require_none,
    unsupported,
)
from vesalius.service.nulls import NullIsAbsent

STORED = ("previous_response_id", "conversation", "store", "background")
"""Parameters that want something stored."""
NEUTRAL: dict[str, Any] = {
    "top_p": 1, "tools": [], "include": [], "reasoning": {}, "top_logprobs": 0,
    "text": {"format": {"type": "text"}},
} | dict.fromkeys(STORED, False)  # fmt: skip
"""What clients send that want nothing by it."""
IGNORED = (HARMLESS | {"max_tool_calls", "stream_options", "tool_choice"}) - {"store"}
"""Tools are refused, so there are none to choose from."""


class TextInput(BaseModel):
    """Words: the user's, or the model's own of an earlier answer."""

    type: Literal["input_text", "output_text"]
    text: str

    def part(self) -> TextPart:
        """As a part of a message."""
        return TextPart(type="text", text=self.text)


class ImageInput(NullIsAbsent):
    """A picture: a ``data:`` URL. Its detail is the model's own, whatever is asked for."""

    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high", "original"] = "auto"
    file_id: None = None

    def part(self) -> ImagePart:
        """As a part of a message."""
        return ImagePart(type="image_url", image_url=ImageUrl(url=self.image_url))


def _words(content: Any) -> Any:
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else content


def _spoken(items: Any) -> Any:
    return [{"role": "user", "content": items}] if isinstance(items, str) else items


class Item(NullIsAbsent):
    """A message of the input; answers of before come back as they went out."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        list[Annotated[TextInput | ImageInput, Field(discriminator="type")]],
        BeforeValidator(_words, json_schema_input_type=str | list[TextInput | ImageInput]),
        Field(max_length=64),
    ]
    """Text, or a list of parts."""

    def message(self) -> Message:
        """As completions have it."""
        return Message(role=self.role, content=[part.part() for part in self.content])


class ResponseRequest(NullIsAbsent):
    """What is understood of OpenAI's request; other parameters are refused, not ignored."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(max_length=300)
    input: Annotated[
        list[Item],
        BeforeValidator(_spoken, json_schema_input_type=str | list[Item]),
        Field(min_length=1, max_length=MAX_MESSAGES),
    ]
    """What the user asks, or the whole conversation so far."""
    instructions: str | None = None
    """Said before the first question, as a system message is."""
    stream: bool = False
    max_output_tokens: int | None = Field(default=None, ge=1, le=2**31)
    """No more than the service allows are made, whatever is asked for."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    truncation: Literal["auto", "disabled"] = "disabled"
    """With ``auto`` a conversation that is too long for the model loses its oldest turns."""

    def messages(self) -> Iterator[Message]:
        """The conversation as completions have it."""
        if self.instructions:
            words = TextPart(type="text", text=self.instructions)
            yield Message(role="developer", content=[words])
        yield from (item.message() for item in self.input)


class OutputText(BaseModel):
    """The words of an answer."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[dict[str, Any]] = []
    logprobs: list[dict[str, Any]] = []


Status = Literal["in_progress", "completed", "incomplete", "failed"]


class OutputMessage(BaseModel):
    """An answer as an item of the output."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    status: Status
    content: list[OutputText]


class InputTokens(BaseModel):
    """Nothing is charged here, so nothing is cheaper for having been cached."""

    cached_tokens: Literal[0] = 0
    cache_write_tokens: Literal[0] = 0


class OutputTokens(BaseModel):
    """All tokens are the answer's."""

    reasoning_tokens: Literal[0] = 0


class ResponseUsage(BaseModel):
    """Tokens read and written."""

    input_tokens: int
    input_tokens_details: InputTokens = InputTokens()
    output_tokens: int
    output_tokens_details: OutputTokens = OutputTokens()
    total_tokens: int


class ResponseError(BaseModel):
    """Why there is no answer: OpenAI's word for it, and under ``type`` the code of ours."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str
    type: str


class IncompleteDetails(BaseModel):
    """Why an answer is cut."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ResponseOut(BaseModel):
    """A response in OpenAI's shape, and under ``vesalius`` what has no field there."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Status
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None = None
    max_output_tokens: int
    model: str
    output: list[OutputMessage] = []
    parallel_tool_calls: Literal[False] = False
    previous_response_id: None = None
    store: Literal[False] = False
    temperature: float
    text: dict[str, Any] = {"format": {"type": "text"}}
    tool_choice: Literal["none"] = "none"
    tools: list[dict[str, Any]] = []
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None = None
    vesalius: Details | None = None


def require_supported(wanted: ResponseRequest) -> None:
    """Refusal for a parameter that would change the answer and is not understood."""
    names = unsupported(wanted.model_extra or {}, NEUTRAL, IGNORED)
    stored = not set(names).isdisjoint(STORED)
    hint = "nothing is stored here: send the whole conversation as input"
    require_none(names, hint=hint if stored else "leave it out")
