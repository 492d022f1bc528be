"""An answer as it comes: server-sent events read in a thread, so that stopping never waits."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Event, Thread
from typing import Any, Self

import httpx2
from pydantic import ValidationError

from vesalius.errors import Refusal
from vesalius.service.http.answer_schemas import AnswerOut
from vesalius.service.web.api_errors import ApiError, error_of, unreachable

SILENCE = 60.0
"""Seconds without even a heartbeat (one comes every 15) after which a stream counts as lost."""


@dataclass(frozen=True, slots=True)
class AnswerIds:
    """The first event: the ids under which the answer can be found again."""

    answer_id: str
    conversation_id: str


StreamEvent = AnswerIds | str | AnswerOut
"""What a stream says: first its ids, then pieces of text, then the whole answer."""


class Answering:
    """One question being answered. Closing it closes the connection, which cancels the answer.

    A thread reads, because a read cannot be interrupted, while whoever asked must be able to stop
    between two words, or before the first. It reads on when nobody listens: the page is run anew
    at every click and when its browser goes, and neither is a wish to stop.
    """

    def __init__(
        self,
        http: httpx2.Client,
        path: str,
        body: dict[str, Any],
        patience: float,
    ) -> None:
        self._http, self._path, self._body = http, path, body
        self._patience = patience
        self.since = time.monotonic()
        self.image_id, self.question = body.get("image_id"), body.get("question")
        self.conversation_id = body.get("conversation_id")
        self._events: list[StreamEvent | Refusal] = []
        self._news, self._ended = Condition(), False
        self._closed = Event()
        self._socket: socket.socket | None = None
        self._thread = Thread(target=self._read, name="answer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def again(self, question: str | None = None) -> Answering:
        """The same asked once more, or another question of the same place."""
        body = self._body if question is None else self._body | {"question": question}
        return Answering(self._http, self._path, body, self._patience)

    def close(self) -> None:
        """Stop at once; harmless after the end."""
        self._closed.set()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def stopped(self) -> bool:
        """Whether it was closed: nothing more is to be heard."""
        return self._closed.is_set()

    @property
    def ids(self) -> AnswerIds | None:
        """Its ids, once they are known."""
        return next((one for one in self._events if isinstance(one, AnswerIds)), None)

    def events(self, tick: float = 0.2) -> Iterator[StreamEvent | None]:
        """All that came and comes, from the beginning; None after each ``tick`` s of silence.

        Raises the API's error.
        """
        at = 0
        while True:
            with self._news:
                if at == len(self._events) and not self._ended:
                    self._news.wait(tick)
                one = self._events[at] if at < len(self._events) else None
                over = one is None and self._ended
            if over:
                return
            if isinstance(one, Refusal):
                raise one
            at += one is not None
            yield one

    def _read(self) -> None:
        try:
            for attempt in (1, 2):
                wait = self._once(last=attempt == 2)
                if wait is None or self._closed.wait(wait):
                    break
        except Refusal as refusal:
            self._put(refusal)
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            self._lost(error)
        finally:
            with self._news:
                self._ended = True
                self._news.notify_all()

    def _put(self, one: StreamEvent | Refusal) -> None:
        with self._news:
            self._events.append(one)
            self._news.notify_all()

    def _once(self, *, last: bool) -> float | None:
        """Read one response to its end; the seconds to wait where it is worth another."""
        times = httpx2.Timeout(SILENCE, connect=5.0)
        extensions = {"trace": self._trace}
        # A connection of its own: shutting down one that the pool lends out could hit another.
        with (
            httpx2.Client(
                base_url=self._http.base_url,
                headers=self._http.headers,
                timeout=times,
                trust_env=False,
            ) as alone,
            alone.stream("POST", self._path, json=self._body, extensions=extensions) as response,
        ):
            if response.status_code == 200:
                self._read_events(response)
                return None
            response.read()
            refusal = error_of(response)
            wait = refusal.retry_after
            if last or response.status_code != 429 or wait is None or wait > self._patience:
                raise refusal
            return wait

    def _read_events(self, response: httpx2.Response) -> None:
        for event in httpx2.EventSource(response):
            if self._closed.is_set():
                return
            item = _meaning(event, response)
            if item is not None:
                self._put(item)
            if isinstance(item, AnswerOut):
                return
        raise httpx2.RemoteProtocolError("the stream ended before the answer did")

    def _trace(self, name: str, info: dict[str, Any]) -> None:
        if name == "connection.connect_tcp.complete":
            self._socket = info["return_value"].get_extra_info("socket")
            if self._closed.is_set():
                self.close()

    def _lost(self, error: Exception) -> None:
        if self._closed.is_set():
            return
        if isinstance(error, httpx2.TimeoutException | httpx2.ConnectError):
            self._put(unreachable(error))
        else:
            self._put(ApiError("connection_lost", "the connection was lost meanwhile"))


def _meaning(event: httpx2.ServerSentEvent, response: httpx2.Response) -> StreamEvent | None:
    """An event as what it says; raises the error of an ``error`` event; unknown ones are None."""
    try:
        data = json.loads(event.data)
        match event.event:
            case "meta":
                return AnswerIds(str(data["answer_id"]), str(data["conversation_id"]))
            case "token":
                return str(data["text"])
            case "done":
                return AnswerOut.model_validate(data)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise httpx2.RemoteProtocolError("an event in another form than expected") from error
    if event.event == "error":
        status = int(data.get("status", 500)) if isinstance(data, dict) else 500
        raise error_of(httpx2.Response(status, content=event.data, headers=response.headers))
    return None
