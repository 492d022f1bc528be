"""Chat completions as OpenAI has them on the wire, and which of their parameters are understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vesalius.errors import Refusal
from vesalius.service.chat.openai_messages import Message
from vesalius.service.http.answer_schemas import ConfidenceOut, Support
from vesalius.service.http.schemas import DISCLAIMER
from vesalius.service.nulls import NullIsAbsent

MAX_MESSAGES = 64
NEUTRAL: dict[str, Any] = {
    "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "logprobs": False, "stop": [],
    "response_format": {"type": "text"}, "logit_bias": {}, "tools": [], "tool_choice": "none",
    "functions": [], "function_call": "none", "modalities": ["text"], "top_logprobs": 0,
    "verbosity": "medium",
}  # fmt: skip
"""What clients send that want nothing by it."""
HARMLESS = {
    "user", "metadata", "store", "service_tier", "safety_identifier", "parallel_tool_calls",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
}  # fmt: skip
CALLS = ("tool_calls", "function_call", "audio")
"""What an assistant's message may hold beside words that no turn here can."""


class StreamOptions(NullIsAbsent):
    """Whether a stream ends with what was used."""

    include_usage: bool = False


class ChatRequest(NullIsAbsent):
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


class Details(Support):
    """What OpenAI's shape has no field for: how sure the answer is, what it marks and rests on."""

    abstained: bool = Field(description="True: too unsure by the set threshold. Do not rely on it.")
    confidence: ConfidenceOut | None
    disclaimer: str = DISCLAIMER


class Completion(BaseModel):
    """A whole answer in OpenAI's shape, and under ``vesalius`` what has no field there."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    vesalius: Details


def require_supported(chat: ChatRequest) -> None:
    """Refusal for a parameter that would change the answer and is not understood."""
    names = unsupported(chat.model_extra or {}, NEUTRAL, HARMLESS)
    for at, message in enumerate(chat.messages):
        extra = message.model_extra or {}
        names += [f"messages.{at}.{name}" for name in CALLS if extra.get(name)]
    require_none(names)


def unsupported(
    given: Mapping[str, Any], neutral: Mapping[str, Any], harmless: Set[str]
) -> list[str]:
    """The names of what is neither harmless nor at the value that wants nothing."""
    return sorted(n for n in set(given) - harmless if given[n] != neutral.get(n))


def require_none(names: Sequence[str], *, hint: str = "leave it out") -> None:
    """Refusal that names these parameters, if there are any."""
    if names:
        named = ", ".join(names)[:200]
        raise Refusal("unsupported_parameter", f"not supported here: {named}", hint=hint)
