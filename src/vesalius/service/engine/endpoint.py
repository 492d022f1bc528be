"""An OpenAI-compatible server as the engine: vLLM and its like, where one machine is outgrown."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import httpx2

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Confidence, Prediction, Usage
from vesalius.errors import ModelError, Refusal, VesaliusError
from vesalius.recipe import Decoding
from vesalius.service.engine import Job, Piece
from vesalius.service.engine.job_queue import JobQueue, Ticket

METHOD = "length-normalised token probability, as the server tells it"
ENCODED = 32
"""Pictures that are kept as ``data:`` URLs for the next question."""
PATIENCE = 5.0
"""Seconds between two looks at a server that is away, at most."""
FINISHED = {"stop": "stop", "length": "length"}

CONTROL = re.compile(r"<(?=[^\s<>]{1,64}>)|\[(?=/?(?=[A-Za-z])[a-z]*[A-Z0-9_]\w{0,30}\])", re.ASCII)
"""Where a word begins that could be a control token of some model."""


class EndpointEngine:
    """Asks the model ``model`` of the server at ``url`` (with or without ``/v1``), as it streams.

    Pictures go as ``data:`` URLs of PNGs: exactly the pixels that every model here sees. At most
    ``concurrency`` questions are with the server; ``queue`` wait. Every ``poll`` seconds the
    server is asked whether it is there.
    """

    def __init__(
        self,
        url: str,
        model: str | None,
        *,
        key: str | None = None,
        queue: int = 32,
        concurrency: int = 8,
        poll: float = 10.0,
    ) -> None:
        base = url.rstrip("/")
        self._url = base if base.endswith("/v1") else f"{base}/v1"
        self._model, self._key, self._poll = model, key, poll
        self._queue = JobQueue(queue, concurrency)
        self._queue.refusal = _away()
        self._seats = asyncio.Semaphore(concurrency)
        self._encoded: OrderedDict[tuple[Any, ...], str] = OrderedDict()
        self._logprobs = True
        self._served: dict[str, Any] = {}
        self._client: httpx2.AsyncClient | None = None
        self._watching: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def ready(self) -> bool:
        """Whether the server was there when it was last looked for."""
        return self._queue.refusal is None

    def about(self) -> dict[str, Any]:
        """What is known of the server's model, which is its name."""
        return {
            "model": self._model,
            "engine": "endpoint",
            "revision": self._served.get("root"),
            "weights_sha256": None,
            "adapter_sha256": None,
            "recipe": None,
            "preprocessing": "PNG of the decoded picture; the rest is the server's",
            "decoding": Decoding().model_dump(exclude={"batch"}),
            "software": {
                "vesalius": metadata.version("vesalius"),
                "server": self._served.get("owned_by"),
            },
        }

    def load(self) -> dict[str, Any]:
        """As every engine; what the server keeps is not known."""
        none = {"cache_bytes": 0, "cache_hits": 0, "cache_misses": 0, "restarts": 0}
        return self._queue.load() | none

    async def start(self) -> None:
        """Wait for the server; Refusal if it is there and will not serve this model to us."""
        headers = {} if self._key is None else {"Authorization": f"Bearer {self._key}"}
        # Answers take as long as they take: the deadline of each job is its limit.
        timeout = httpx2.Timeout(None, connect=5.0)
        self._client = httpx2.AsyncClient(headers=headers, timeout=timeout)
        wait = 0.1
        while not await self._look():
            await asyncio.sleep(wait)
            wait = min(PATIENCE, 2 * wait)
        self._watching = asyncio.create_task(self._watch())

    async def stop(self, grace: float) -> None:
        """As every engine."""
        self._stopping = True
        await self._queue.drain(grace)
        if self._watching is not None:
            self._watching.cancel()
        for task in list(self._tasks):
            task.cancel()
        ending = [*self._tasks, *([self._watching] if self._watching else [])]
        await asyncio.gather(*ending, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def forget(self, picture: str) -> None:
        """Give up a picture's ``data:`` URLs; what the server keeps is its own."""
        bare = picture.partition("#")[0]
        for key in [k for k in self._encoded if k[0].partition("#")[0] == bare]:
            del self._encoded[key]

    async def stream(self, job: Job) -> AsyncGenerator[Piece]:
        """The server's pieces, then the prediction."""
        ticket = self._queue.admit(job)
        task = asyncio.create_task(self._ask(ticket))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        async with aclosing(self._queue.pieces(ticket, lambda _: task.cancel())) as pieces:
            async for piece in pieces:
                yield piece

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll if self.ready else min(self._poll, PATIENCE))
            with suppress(Refusal):
                await self._look()

    async def _look(self) -> bool:
        """Whether the server is there; Refusal if it will not serve this model to us."""
        assert self._client is not None
        try:
            response = await self._client.get(f"{self._url}/models", timeout=5.0)
            listed = response.json().get("data", []) if response.is_success else []
        except (httpx2.HTTPError, ValueError, AttributeError):
            response, listed = None, []
        if response is not None and response.status_code in {401, 403}:
            self._set(_away())
            raise Refusal("engine_unavailable", "the model's server does not take our key")
        known = {str(one.get("id")): one for one in listed if isinstance(one, dict)}
        self._model = self._model or next(iter(known), None)
        if known and self._model not in known:
            self._set(_away())
            detail = f"the model's server has no {self._model}; it has {', '.join(sorted(known))}"
            raise Refusal("engine_unavailable", detail)
        there = response is not None and response.is_success and self._model is not None
        self._served = known.get(self._model or "", self._served)
        self._set(None if there else _away())
        return there

    def _set(self, refusal: Refusal | None) -> None:
        if not self._stopping:
            self._queue.refusal = refusal

    async def _ask(self, ticket: Ticket) -> None:
        """Hand the ticket what the server says, or what became of it."""
        started = time.perf_counter()
        try:
            async with self._seats:
                self._queue.begin([ticket])
                body = await self._body(ticket.job)
                completion = CompletionStream()
                async for text in self._stream(body, completion):
                    ticket.hand(text)
            ticket.hand(completion.prediction(ticket.job.dialogue, time.perf_counter() - started))
        except VesaliusError as error:
            ticket.hand(error)
        except (httpx2.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            # A server that is gone, or that speaks another language.
            ticket.hand(_away(f"the model's server failed ({type(error).__name__})"))

    async def _stream(
        self, body: dict[str, Any], completion: CompletionStream
    ) -> AsyncIterator[str]:
        """Pieces of text; ``completion`` gathers what else there is."""
        assert self._client is not None
        if not self._logprobs:
            body.pop("logprobs", None)
        url = f"{self._url}/chat/completions"
        async with self._client.stream("POST", url, json=body) as answer:
            if answer.status_code in {400, 422} and "logprobs" in body:
                # Some servers know no probabilities and refuse to be asked.
                plain = {k: v for k, v in body.items() if k not in {"logprobs", "stream_options"}}
            else:
                _require(answer.status_code, answer.headers.get("retry-after"))
                plain = None
                async for line in answer.aiter_lines():
                    if text := completion.read(line):
                        yield text
        if plain is not None:
            async for text in self._stream(plain, completion):
                yield text
            self._logprobs = False
        elif not completion.ended:
            raise _away("the model's server broke off")

    async def _body(self, job: Job) -> dict[str, Any]:
        """The request: messages with their pictures, and how to decode."""
        how = job.decoding
        if how.beams > 1:
            raise ModelError("a server's answers are not searched for by beams")
        body: dict[str, Any] = {
            "model": self._model,
            "messages": await self._messages(job.dialogue),
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": how.max_new_tokens,
            "temperature": how.temperature,
            "seed": how.seed,
            "logprobs": True,
        }
        return body if how.min_p is None else body | {"min_p": how.min_p}

    async def _messages(self, dialogue: Dialogue) -> list[dict[str, Any]]:
        context = "".join(
            f"{name.capitalize()}: {text}\n" for name, text in dialogue.context.items()
        )
        messages: list[dict[str, Any]] = []
        for number, turn in enumerate(dialogue.turns):
            words = (context if number == 0 else "") + " ".join(turn.question.text.split())
            urls = [await self._url_of(picture) for picture in turn.pictures]
            images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
            content = [*images, {"type": "text", "text": without_control_tokens(words)}]
            messages.append({"role": "user", "content": content})
            if turn.reply is not None:
                reply = without_control_tokens(turn.reply.text or "")
                messages.append({"role": "assistant", "content": reply})
        return messages

    async def _url_of(self, picture: Picture) -> str:
        key = (picture.key, picture.view)
        url = self._encoded.pop(key, None)
        if url is None:
            url = await asyncio.to_thread(data_url, picture)
        self._encoded[key] = url
        if len(self._encoded) > ENCODED:
            self._encoded.popitem(last=False)
        return url


@dataclass(slots=True)
class CompletionStream:
    """What a stream of chat completion chunks has said so far."""

    texts: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: str | None = None
    ended: bool = False
    usage: dict[str, Any] = field(default_factory=dict)

    def read(self, line: str) -> str:
        """A line of the stream; the text that it brings."""
        if not line.startswith("data:"):
            return ""
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            self.ended = True
            return ""
        chunk = json.loads(data)
        if "error" in chunk:
            raise _away("the model's server failed while it answered")
        self.usage = chunk.get("usage") or self.usage
        choices = chunk.get("choices") or []
        if not choices:
            return ""
        (choice, *_) = choices
        if choice.get("finish_reason"):
            self.finish, self.ended = choice["finish_reason"], True
        tokens = (choice.get("logprobs") or {}).get("content") or []
        self.logprobs += [float(token["logprob"]) for token in tokens]
        text = str((choice.get("delta") or {}).get("content") or "")
        if text:
            self.texts.append(text)
        return text

    def prediction(self, dialogue: Dialogue, seconds: float) -> Prediction:
        """The whole answer; without token probabilities its confidence is not known."""
        sure = None
        if self.logprobs:
            mean = math.fsum(self.logprobs) / len(self.logprobs)
            sure = Confidence(round(min(1.0, math.exp(mean)), 6), METHOD)
        usage = Usage(
            prompt_tokens=int(self.usage.get("prompt_tokens") or 0),
            new_tokens=int(self.usage.get("completion_tokens") or len(self.logprobs)),
            seconds=round(seconds, 4),
        )
        answer = Answer(text="".join(self.texts).strip())
        finish = FINISHED.get(self.finish or "")
        return Prediction.of(dialogue, answer, confidence=sure, finish=finish, usage=usage)


def data_url(picture: Picture) -> str:
    """A picture's pixels as the ``data:`` URL of a PNG."""
    buffer = io.BytesIO()
    picture.pixels().save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _require(status: int, retry_after: str | None) -> None:
    """Refusal or ModelError for a status that brings no answer; the server's words stay there."""
    if status < 400:
        return
    if status in {400, 413, 422}:
        raise ModelError(f"the model's server cannot answer this (HTTP {status})")
    wait = float(retry_after) if retry_after is not None and retry_after.isdigit() else 5.0
    raise _away(f"the model's server refused (HTTP {status})", wait)


def _away(what: str = "the model's server is not there", wait: float = 5.0) -> Refusal:
    return Refusal("engine_unavailable", what, retry_after=wait)


def without_control_tokens(text: str) -> str:
    """The text with words of the form of a control token broken by a zero-width space.

    A server tokenises its template and the words in it together, so that ``<|im_end|>`` in a
    question would end the user's turn. Which tokens its model has is not known here: words of the
    usual forms (``<...>`` without blanks, ``[INST]``, ``[unused1]``) are broken, and read as
    before.
    """
    return CONTROL.sub(lambda match: f"{match[0]}\u200b", text)
