"""The client of an OpenAI-compatible server: what it has, and one answer, tried again when busy."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.cases.view import bare
from vesalius.errors import MissingExtra, ModelError, Unavailable
from vesalius.models.codecs import WORDS, Replies, written
from vesalius.models.remote.completion import Completion
from vesalius.models.remote.messages import data_url, request_body, without_probabilities
from vesalius.recipe import Decoding
from vesalius.system.addresses import is_loopback

try:
    import httpx2
except ModuleNotFoundError as error:
    raise MissingExtra("httpx2", "endpoint") from error

CONNECT_SECONDS = 5.0
LONGEST_WAIT = 120.0
"""Seconds for which a busy server is waited for at once; one that wants more is given up."""
ENCODED = 32
"""Pictures that stay encoded for the next question about them."""
BUSY = (429, 503)
_FAULTS = (
    httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError,
    ValueError, LookupError, TypeError, AttributeError,
)  # fmt: skip
"""A server that is gone, or that speaks another language."""
_VERSION = re.compile(r"/v\d")


@dataclass(frozen=True, slots=True)
class Server:
    """Where an OpenAI-compatible server is, and how it is asked.

    ``url`` with or without ``/v1``. ``timeout``: seconds for one answer (None: no limit);
    ``retries``: how often a busy server (429, 503) is asked again; ``pictures``: whether they are
    sent; ``answers``: what its text is read as.
    """

    url: str
    model: str | None = None
    key: str | None = field(default=None, repr=False)
    concurrency: int = 8
    timeout: float | None = None
    retries: int = 0
    pictures: bool = True
    answers: Replies = WORDS

    @property
    def base(self) -> str:
        """The URL below which its paths are."""
        url = self.url.rstrip("/")
        return url if _VERSION.search(urlsplit(url).path) else f"{url}/v1"

    @property
    def beyond(self) -> bool:
        """Whether what it is sent leaves this machine."""
        return not is_loopback(urlsplit(self.url).hostname or "")


class Client:
    """Speaks to a server. All of it runs on one event loop, at most ``concurrency`` at a time."""

    def __init__(self, server: Server) -> None:
        self.server, self.model = server, server.model
        self.facts: dict[str, Any] = {}
        """What the server says of the model: ``owned_by``, ``root``."""
        self.listed: dict[str, dict[str, Any]] = {}
        """What it says of each of its models."""
        self.answered_as: set[str] = set()
        """Which models its answers say that they are of."""
        self.seats = asyncio.Semaphore(server.concurrency)
        self._codec = server.answers.codec()
        self._probabilities = True
        self._encoded: OrderedDict[tuple[Any, ...], str] = OrderedDict()
        headers = {} if server.key is None else {"Authorization": f"Bearer {server.key}"}
        self._http = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(server.timeout, connect=CONNECT_SECONDS),
            # To this machine nothing goes by way of a proxy, which may be elsewhere.
            trust_env=server.beyond,
            follow_redirects=False,
        )

    async def look(self) -> None:
        """See that the server is there and has the model; without a name, take its first one.

        Unavailable if it is away or speaks another language; ModelError if it will not serve us.
        """
        where = self.server.base
        try:
            response = await self._http.get(f"{where}/models", timeout=CONNECT_SECONDS)
            listed = response.json()["data"] if response.is_success else []
            known = {str(one["id"]): dict(one) for one in listed}
        except _FAULTS as error:
            what = f"the model's server {_silence(error)} ({type(error).__name__})"
            raise Unavailable(what, where=where, hint="is it up, and the URL right?") from error
        if response.status_code in {401, 403}:
            raise ModelError("the model's server does not take our key", where=where)
        if not response.is_success:
            what = f"the model's server lists no models (HTTP {response.status_code})"
            raise Unavailable(what, where=where, hint="the URL is that of .../v1")
        if not known:
            raise Unavailable("the model's server has no model", where=where)
        model = self.model or next(iter(known))
        if model not in known:
            has = ", ".join(sorted(known))
            raise ModelError(f"the model's server has no {model}; it has {has}", where=where)
        self.model, self.facts, self.listed = model, known[model], known

    async def answer(
        self, dialogue: Dialogue, decoding: Decoding, write: Callable[[str], object]
    ) -> Prediction:
        """The server's prediction; ``write`` takes its text as it comes.

        Unavailable where the server fails, ModelError where it cannot answer this, ImageError
        where a picture cannot be read. What the server says of a failure is not passed on.
        """
        body = await asyncio.to_thread(
            request_body, written(dialogue, self._codec), decoding, self.model, self._url_of
        )
        for attempt in range(self.server.retries + 1):
            try:
                return await self._timed(dialogue, body, write)
            except _Busy as busy:
                wait = 2.0**attempt if busy.wait is None else busy.wait
                if attempt == self.server.retries or wait > LONGEST_WAIT:
                    what = f"the model's server refused (HTTP {busy.status})"
                    after = 5.0 if busy.wait is None else busy.wait
                    hint = "fewer at a time: concurrency" if self.server.retries else None
                    where = self.server.base
                    raise Unavailable(what, retry_after=after, where=where, hint=hint) from None
                await asyncio.sleep(min(wait, LONGEST_WAIT))
        raise AssertionError("the last attempt returns or raises")

    def forget(self, picture: str) -> None:
        """Give up what is encoded of a picture, by its key, in every view of it."""
        of = bare(picture)
        for key in list(self._encoded):  # a copy: other threads encode meanwhile
            if bare(key[0]) == of:
                self._encoded.pop(key, None)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _timed(
        self, dialogue: Dialogue, body: dict[str, Any], write: Callable[[str], object]
    ) -> Prediction:
        started, where = time.perf_counter(), self.server.base
        try:
            async with asyncio.timeout(self.server.timeout):
                completion = await self._complete(body, write)
        except TimeoutError:
            what = f"the model's server took more than {self.server.timeout:g} seconds"
            raise Unavailable(what, where=where, hint="timeout, or a smaller concurrency") from None
        except Unavailable as error:
            raise Unavailable(error.what, retry_after=error.retry_after, where=where) from error
        except _FAULTS as error:
            what = f"the model's server failed ({type(error).__name__})"
            raise Unavailable(what, where=where) from error
        seconds = time.perf_counter() - started
        # Reading boxes takes the picture's size, and so decodes it.
        return await asyncio.to_thread(completion.prediction, dialogue, self._codec, seconds)

    async def _complete(self, body: dict[str, Any], write: Callable[[str], object]) -> Completion:
        if not self._probabilities:
            body = without_probabilities(body)
        completion = Completion()
        url = f"{self.server.base}/chat/completions"
        async with self._http.stream("POST", url, json=body) as response:
            # Some servers know no probabilities and refuse to be asked.
            plainly = response.status_code in {400, 422} and "logprobs" in body
            if not plainly:
                _require(response)
                async for line in response.aiter_lines():
                    if text := completion.read(line):
                        write(text)
        if plainly:
            completion = await self._complete(without_probabilities(body), write)
            self._probabilities = False
        completion.require_whole()
        if completion.model is not None:
            self.answered_as.add(completion.model)
        return completion

    def _url_of(self, picture: Picture) -> str:
        """A picture's ``data:`` URL; empty where the server is to see none."""
        if not self.server.pictures:
            return ""
        key = (picture.key, picture.view)
        url = self._encoded.pop(key, None) or data_url(picture)
        self._encoded[key] = url
        if len(self._encoded) > ENCODED:
            self._encoded.popitem(last=False)
        return url


class _Busy(Exception):
    """The server asks to come again, in ``wait`` seconds if it says when."""

    def __init__(self, status: int, wait: float | None) -> None:
        self.status, self.wait = status, wait


def _silence(error: Exception) -> str:
    """What a server does that lists no models."""
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.InvalidURL):
        return "is not there"
    if isinstance(error, httpx2.TimeoutException):
        return f"gave no answer in {CONNECT_SECONDS:g} seconds"
    return "answered, but not with a list of models"


def _require(response: httpx2.Response) -> None:
    """Raise what a status means that brings no answer; the server's words stay there."""
    status = response.status_code
    if response.is_success:
        return
    if status in BUSY:
        raise _Busy(status, _seconds(response.headers.get("retry-after")))
    if status in {400, 413, 422}:
        raise ModelError(f"the model's server cannot answer this (HTTP {status})")
    raise Unavailable(f"the model's server refused (HTTP {status})")


def _seconds(retry_after: str | None) -> float | None:
    """The seconds of a ``Retry-After``, told as a number or as a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())
