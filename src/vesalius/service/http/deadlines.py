"""HTTP/1.1 with a deadline for a request's head, which uvicorn's protocol has not.

Knows nothing of what is asked. Bodies have a deadline of their own (see ``gate``).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from vesalius.errors import Refusal
from vesalius.service.http import problems
from vesalius.service.http.heads import StrictHeads


class Deadline(H11Protocol):
    """Closes connections whose request head does not arrive in time, or that are too many."""

    header_deadline: ClassVar[float] = 30.0
    most: ClassVar[int] = 1000
    waiting: asyncio.TimerHandle | None = None
    stalled: asyncio.TimerHandle | None = None
    early = False

    def connection_made(self, transport: Any) -> None:
        """A peer: its first head is waited for from now on."""
        super().connection_made(transport)
        self.conn._receive_buffer = StrictHeads()
        if len(self.connections) > self.most:
            transport.abort()
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Bytes: the deadline ends with a whole head, and begins with the first byte of a next."""
        super().data_received(data)
        if self.early:
            if self.conn.their_state is h11.SEND_BODY:
                return  # what still comes does not prolong it
            self.early = False
            self._stop_waiting()
        # h11 leaves IDLE when a whole head was read.
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self.waiting is None:
            self._wait()

    def on_response_complete(self) -> None:
        """A head that has begun to come behind the last request is waited for like a first one."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            # Answered before its body has come (401, 404): the rest has as long as a head has.
            self._stop_waiting()
            self.early = True
            self.waiting = self.loop.call_later(self.header_deadline, self.transport.abort)
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._unset_keepalive_if_required()
            self._wait()

    def pause_writing(self) -> None:
        """The peer does not read: it has as long to go on as a head has to come."""
        super().pause_writing()
        self._stop_stalled()
        self.stalled = self.loop.call_later(self.header_deadline, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        self._stop_stalled()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close; a peer that does not take what is still to be sent is not waited for."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(self.header_deadline, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._stop_stalled()
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered as any other problem."""
        self._problem(Refusal("bad_request", "this is not a valid HTTP/1.1 request"))

    def _wait(self) -> None:
        self.waiting = self.loop.call_later(self.header_deadline, self._expire)

    def _stop_waiting(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None

    def _stop_stalled(self) -> None:
        if self.stalled is not None:
            self.stalled.cancel()
            self.stalled = None

    def _expire(self) -> None:
        detail = f"the request's head did not arrive within {self.header_deadline:g} s"
        self._problem(Refusal("timeout", detail))

    def _problem(self, error: Refusal) -> None:
        if self.transport.is_closing():
            return
        content = problems.body(error, "none")
        data = json.dumps(content).encode()
        head = [
            ("Content-Type", problems.MEDIA_TYPE),
            ("Content-Length", str(len(data))),
            ("Connection", "close"),
        ]
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            answer = h11.Response(status_code=content["status"], headers=head)
            for event in (answer, h11.Data(data=data), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def protocol(header_deadline: float, most: int) -> type[Deadline]:
    """The protocol class with ``header_deadline`` seconds and at most so many peers."""
    return type("Limited", (Deadline,), {"header_deadline": header_deadline, "most": most})
