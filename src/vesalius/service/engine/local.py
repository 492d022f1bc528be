"""A model in a process of its own: the event loop never waits for it, and it may crash."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vesalius.errors import ModelError, Refusal, VesaliusError
from vesalius.service.engine import Job, Piece
from vesalius.service.engine.failures import deserialise_error
from vesalius.service.engine.job_queue import JobQueue, Ticket
from vesalius.service.engine.worker import Spec
from vesalius.service.engine.worker_process import WorkerProcess

LONGEST = 30.0
"""Seconds between two attempts to start a worker that keeps dying, at most."""
STEADY = 60.0
"""Seconds that a worker must have served for its death not to count with those before."""
HUNG = 60.0
"""Seconds without any word from a worker that was asked for one, after which it is killed.

So it is one that is still at a batch as long after its last deadline."""
LOOKS = 10
"""How often that time is looked at: of a service that was itself stopped only one look is lost."""


class LocalEngine:
    """Hosts what ``source`` names: a run's folder, a model's folder, or a hub id (``id@revision``).

    Up to ``batch`` jobs that wait are answered together, gathered for ``wait`` seconds; ``queue``
    may wait. ``cache_bytes`` bounds what is kept of conversations (0: nothing). ``threads``: of
    the model's process, by default torch's own choice. ``hung``: seconds of silence after which
    that process is killed and started again; loading is not watched.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        batch: int = 8,
        wait: float = 0.010,
        queue: int = 32,
        cache_bytes: int = 2**29,
        threads: int | None = None,
        hung: float = HUNG,
    ) -> None:
        self._spec = Spec(str(source), batch, wait, cache_bytes, threads)
        self._queue = JobQueue(queue, batch)
        self._worker: WorkerProcess | None = None
        self._started: asyncio.Future[None] | None = None
        self._about: dict[str, Any] = {}
        self._cache: dict[str, int] = {}
        self._restarts = self._deaths = 0
        self._since: float | None = None
        self._once_ready = False
        self._stopping = False
        self._restarting: asyncio.Task[None] | None = None
        self._hung, self._silent = hung, 0
        self._watching: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the worker has loaded and answered a first question, and lives."""
        return self._queue.refusal is None

    @property
    def pid(self) -> int | None:
        """The worker's process number."""
        return None if self._worker is None else self._worker.pid

    def about(self) -> dict[str, Any]:
        """What the worker said of its model; empty before it is ready."""
        return self._about

    def load(self) -> dict[str, Any]:
        """As ``Engine.load`` says; ``cache_tokens`` were not computed again."""
        names = ("cache_bytes", "cache_hits", "cache_misses", "cache_tokens")
        cache = {name: self._cache.get(name, 0) for name in names}
        return self._queue.load() | cache | {"restarts": self._restarts}

    async def start(self) -> None:
        """Load and warm up; what the worker could not do is raised."""
        self._begin()
        assert self._started is not None
        await self._started

    async def stop(self, grace: float) -> None:
        """As every engine; the worker has ended when this returns."""
        self._stopping = True
        if self._started is not None and not self._started.done():
            grace = 0
        await self._queue.drain(grace)
        for task in (self._watching, self._restarting):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if self._worker is not None:
            await asyncio.to_thread(self._worker.end)

    def forget(self, picture: str) -> None:
        """Give up what the worker keeps of a picture, after the batch that it is at."""
        if self._worker is not None:
            self._worker.tell("forget", picture)

    async def stream(self, job: Job) -> AsyncGenerator[Piece]:
        """The answer as it is written, then the prediction."""
        ticket = self._queue.admit(job)
        # A dialogue's context may be a read-only view, which does not pickle.
        dialogue = replace(job.dialogue, context=dict(job.dialogue.context))
        worker = self._worker
        assert worker is not None
        try:
            worker.ask(ticket.number, replace(job, dialogue=dialogue))
        except Refusal:
            self._queue.remove(ticket)
            raise
        async with aclosing(self._queue.pieces(ticket, partial(self._leave, worker))) as pieces:
            async for piece in pieces:
                yield piece

    def _leave(self, worker: WorkerProcess, ticket: Ticket) -> None:
        worker.leave(ticket.number)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._started = loop.create_future()

        def hear(event: tuple[Any, ...] | None) -> None:
            with suppress(RuntimeError):  # the loop has ended before the worker
                loop.call_soon_threadsafe(self._receive, worker, event)

        worker = self._worker = WorkerProcess(self._spec, hear)

    def _receive(self, worker: WorkerProcess, event: tuple[Any, ...] | None) -> None:
        if worker is not self._worker:
            return
        if event is None:
            self._lost(worker)
            return
        what, *payload = event
        if what == "pong" and payload[0]:
            return  # only its ear is alive: what it works at should have ended by now
        self._silent = 0
        if what == "piece":
            self._hand(payload[0], payload[1])
        elif what == "fault":
            self._hand(payload[0], deserialise_error(*payload[1:]))
        elif what == "begun":
            self._queue.begin([t for t in map(self._queue.get, payload[0]) if t is not None])
        elif what == "load":
            self._cache = payload[0]
        elif what == "ready":
            self._served(worker, payload[0])
        elif what == "failed":
            self._end(deserialise_error(*payload))

    def _hand(self, number: int, piece: Piece | VesaliusError) -> None:
        ticket = self._queue.get(number)
        if ticket is not None:
            ticket.hand(piece)

    def _served(self, worker: WorkerProcess, about: dict[str, Any]) -> None:
        self._about, self._since, self._once_ready = about, time.monotonic(), True
        if not self._stopping:
            self._queue.refusal = None
            self._watching = asyncio.create_task(self._watch(worker))
        self._end(None)

    async def _watch(self, worker: WorkerProcess) -> None:
        """Ask for signs of life; a worker that gives none is killed, and so lost."""
        self._silent = 0
        while self._silent < LOOKS:
            if self._silent == 0:  # the ping before was answered: never more than one in the pipe
                worker.tell("ping")
            self._silent += 1
            await asyncio.sleep(self._hung / LOOKS)
        if not self._stopping:
            self._refuse()  # at once: what hangs in a driver may take long to die
        await asyncio.to_thread(worker.kill)

    def _end(self, error: VesaliusError | None) -> None:
        """The start has succeeded, or failed."""
        assert self._started is not None
        if not self._started.done():
            if error is None:
                self._started.set_result(None)
            else:
                self._started.set_exception(error)

    def _lost(self, worker: WorkerProcess) -> None:
        """The worker has died: its jobs end, and it is started again, later each time."""
        if self._watching is not None:
            self._watching.cancel()
        if self._stopping:
            self._end(Refusal("shutting_down", "the service is stopping"))
            return
        if not self._once_ready:
            if self._started is not None and not self._started.done():
                self._end(ModelError(f"the model's process died while loading: {worker.ended_by}"))
            return
        steady = self._since is not None and time.monotonic() - self._since > STEADY
        self._since = None
        self._deaths = 1 if steady else self._deaths + 1
        wait = min(LONGEST, 0.5 * 2 ** (self._deaths - 1))
        self._refuse()
        self._cache = {}
        self._restarting = asyncio.create_task(self._again(worker, wait))

    def _refuse(self) -> None:
        """Every job ends, and none is taken until a worker serves again."""
        self._queue.refusal = Refusal(
            "engine_unavailable", "the model's process died and is being restarted", retry_after=5
        )
        self._queue.refuse_all(self._queue.refusal)

    async def _again(self, lost: WorkerProcess, wait: float) -> None:
        await asyncio.to_thread(lost.kill)  # what closed its pipe may still hold memory
        await asyncio.sleep(wait)
        self._restarts += 1
        self._begin()
        assert self._started is not None
        # Nobody waits for this start: a failure is one more death, seen when the pipe ends.
        self._started.add_done_callback(lambda started: started.exception())
