"""A streamed chat completion, chunk by chunk, and the prediction that it becomes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction, Usage
from vesalius.errors import Unavailable
from vesalius.models.codecs import AnswerCodec

METHOD = "length-normalised token probability, as the server tells it"
_FINISHES = {"stop": "stop", "length": "length"}


@dataclass(slots=True)
class Completion:
    """What the chunks of one completion have brought so far."""

    texts: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: str | None = None
    choices: int = 0
    ended: bool = False
    usage: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    """Which model the server says answered."""

    def read(self, line: str) -> str:
        """Take a line of the stream; the text that it brings.

        Unavailable where the line tells of a failure; ValueError, KeyError, TypeError or
        AttributeError where it is no chunk of a completion.
        """
        if not line.startswith("data:"):
            return ""
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            self.ended = True
            return ""
        chunk = json.loads(data)
        if "error" in chunk:
            raise Unavailable("the model's server failed while it answered")
        self.usage = chunk.get("usage") or self.usage
        self.model = chunk.get("model") or self.model
        choices = chunk.get("choices") or []
        return self._take(choices[0]) if choices else ""

    def _take(self, choice: dict[str, Any]) -> str:
        self.choices += 1
        if choice.get("finish_reason"):
            self.finish, self.ended = choice["finish_reason"], True
        tokens = (choice.get("logprobs") or {}).get("content") or []
        self.logprobs += [float(token["logprob"]) for token in tokens]
        text = str((choice.get("delta") or {}).get("content") or "")
        if text:
            self.texts.append(text)
        return text

    def require_whole(self) -> None:
        """Unavailable unless the completion came to its end."""
        if not self.ended:
            raise Unavailable("the model's server broke off")
        if not self.choices:
            raise Unavailable("the model's server sent no choices")

    def prediction(self, dialogue: Dialogue, codec: AnswerCodec, seconds: float) -> Prediction:
        """The whole answer as ``codec`` reads it, an abstention where it cannot.

        Without token probabilities, or with one that is no number, its confidence is not known.
        """
        confidence = None
        if self.logprobs and all(map(math.isfinite, self.logprobs)):
            mean = math.fsum(self.logprobs) / len(self.logprobs)
            confidence = Confidence(round(min(1.0, math.exp(mean)), 6), METHOD)
        usage = Usage(
            prompt_tokens=int(self.usage.get("prompt_tokens") or 0),
            new_tokens=int(self.usage.get("completion_tokens") or len(self.logprobs)),
            seconds=round(seconds, 4),
        )
        decoded = codec.decode("".join(self.texts).strip(), dialogue.picture)
        return Prediction.of(
            dialogue,
            decoded.answer,
            confidence=confidence,
            abstained=not codec.holds(decoded.answer),
            notes=decoded.unread or None,
            finish=_FINISHES.get(self.finish or ""),
            usage=usage,
        )
