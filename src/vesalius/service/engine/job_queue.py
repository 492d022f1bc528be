"""The bounded line before an engine: who waits, who is served, and what each one is handed."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import count
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.errors import Refusal, VesaliusError
from vesalius.service.engine import Job, Piece


class Ticket:
    """A job's place in the line, and the pieces that come back for it."""

    def __init__(self, job: Job, number: int) -> None:
        self.job, self.number = job, number
        self.running = self.left = False
        self.arrived = time.monotonic()
        self._pieces: asyncio.Queue[Piece | VesaliusError] = asyncio.Queue()

    def hand(self, piece: Piece | VesaliusError) -> None:
        """A piece, or what the job ends with."""
        self._pieces.put_nowait(piece)

    async def next(self) -> Piece:
        """The next piece; raises what the job ended with, Refusal past its deadline."""
        try:
            async with asyncio.timeout(self.job.deadline - time.monotonic()):
                piece = await self._pieces.get()
        except TimeoutError:
            raise too_late() from None
        if isinstance(piece, VesaliusError):
            raise piece
        return piece


class JobQueue:
    """At most ``size`` jobs wait; those begun are counted apart, in batches of up to ``batch``."""

    def __init__(self, size: int, batch: int) -> None:
        self._size, self._batch = size, batch
        self._tickets: dict[int, Ticket] = {}
        self._numbers = count()
        self._seconds = 1.0  # of a job from begin to end, a moving mean
        self.batches: Counter[int] = Counter()
        self.refusal: Refusal | None = Refusal("engine_unavailable", "the engine has not started")
        """What every new job is told; None while the engine serves."""

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        return sum(not ticket.running for ticket in self._tickets.values())

    def admit(self, job: Job) -> Ticket:
        """A place in the line; Refusal where there is none."""
        if self.refusal is not None:
            raise again(self.refusal)
        if job.deadline <= time.monotonic():
            raise too_late()
        if (waiting := self.waiting) >= self._size:
            detail = f"{waiting} questions are waiting already"
            raise Refusal("overloaded", detail, retry_after=self.wait, hint="ask again later")
        ticket = Ticket(job, next(self._numbers))
        self._tickets[ticket.number] = ticket
        return ticket

    @property
    def wait(self) -> int:
        """Seconds, at least 1, that those who wait will take."""
        return max(1, math.ceil(self._seconds * self.waiting / self._batch))

    def get(self, number: int) -> Ticket | None:
        """The ticket of that number, if somebody still waits for it."""
        return self._tickets.get(number)

    def begin(self, tickets: Sequence[Ticket]) -> None:
        """These are being served, together."""
        for ticket in tickets:
            ticket.running, ticket.arrived = True, time.monotonic()
        if tickets:
            self.batches[len(tickets)] += 1

    async def pieces(
        self, ticket: Ticket, leave: Callable[[Ticket], object]
    ) -> AsyncGenerator[Piece]:
        """What the ticket is handed, up to its prediction; ``leave`` is told of an early end."""
        done = False
        try:
            while not done:
                piece = await ticket.next()
                done = isinstance(piece, Prediction)
                if done:
                    self.remove(ticket)
                yield piece
        finally:
            self.remove(ticket)
            if not done:
                ticket.left = True
                leave(ticket)

    def refuse_all(self, refusal: Refusal) -> None:
        """End every job with this."""
        for ticket in list(self._tickets.values()):
            ticket.hand(again(refusal))

    async def drain(self, grace: float) -> None:
        """Take nobody any more; wait for the line to empty, then refuse who is left."""
        self.refusal = Refusal("shutting_down", "the service is stopping", retry_after=5)
        end = time.monotonic() + grace
        while self._tickets and time.monotonic() < end:
            await asyncio.sleep(0.02)
        self.refuse_all(self.refusal)

    def load(self) -> dict[str, Any]:
        """Who waits, who is served, and in batches of which size, as ``Engine.load`` says."""
        queued = self.waiting
        sizes = dict(sorted(self.batches.items()))
        running = len(self) - queued
        return {"queued": queued, "running": running, "wait": self.wait, "batch_sizes": sizes}

    def remove(self, ticket: Ticket) -> None:
        """Take a ticket out of the line."""
        if self._tickets.pop(ticket.number, None) is not None and ticket.running:
            took = time.monotonic() - ticket.arrived
            self._seconds += 0.1 * (took - self._seconds)


def too_late() -> Refusal:
    """What a job is told past its deadline."""
    return Refusal("deadline", "no answer within the time allowed", hint="ask for a shorter one")


def again(refusal: Refusal) -> Refusal:
    """The same refusal, to be raised anew: an exception keeps the trace of where it was raised."""
    return Refusal(refusal.code, refusal.what, retry_after=refusal.retry_after, hint=refusal.hint)
