"""A model that computes nothing here, in the service's own process: a server's, or a replay."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.errors import Refusal, Unavailable
from vesalius.models import Remote
from vesalius.recipe import Decoding
from vesalius.service.engine import Job, Piece
from vesalius.service.engine.failures import refusal
from vesalius.service.engine.job_queue import JobQueue, Ticket
from vesalius.service.engine.model_host import ModelHost

PATIENCE = 5.0
"""Seconds between two looks at a server that is away, at most."""


class InProcessEngine:
    """Hosts a model in threads that wait for it, ``parallel`` of them.

    Each answers up to ``batch`` jobs together, gathered for ``wait`` seconds; ``queue`` may wait.
    A model on a server is looked for every ``poll`` seconds, and refused while it is away.
    """

    def __init__(
        self,
        host: ModelHost,
        *,
        batch: int = 8,
        parallel: int = 1,
        wait: float = 0.010,
        queue: int = 32,
        poll: float = 10.0,
    ) -> None:
        self._host, self._batch, self._wait, self._poll = host, batch, wait, poll
        self._remote = host.model if isinstance(host.model, Remote) else None
        self._parallel = parallel
        self._queue = JobQueue(queue, batch * parallel)
        self._arrived: asyncio.Queue[Ticket] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(parallel + 1, thread_name_prefix="engine")
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def ready(self) -> bool:
        """Whether it answers: started, and its server there when it was last looked for."""
        return self._queue.refusal is None

    def about(self) -> dict[str, Any]:
        """What the host says of its model, with what a server says of it."""
        about = self._host.about
        if self._remote is None:
            return about
        facts = self._remote.about()
        software = {**about["software"], "server": facts["server"]}
        known = {"revision": facts["revision"], "weights_sha256": None, "software": software}
        model = {"model": about["model"] or facts["model"], "served_model": facts["model"]}
        return about | known | model

    def load(self) -> dict[str, Any]:
        """As every engine; what a server keeps is not known."""
        none = {"cache_bytes": 0, "cache_hits": 0, "cache_misses": 0, "restarts": 0}
        return self._queue.load() | none

    async def start(self) -> None:
        """Wait for the server, if there is one; ModelError if it will not serve this model."""
        wait = 0.1
        while not await self._look():
            await asyncio.sleep(wait)
            wait = min(PATIENCE, 2 * wait)
        self._tasks = [asyncio.create_task(self._serve()) for _ in range(self._parallel)]
        if self._remote is not None:
            self._tasks.append(asyncio.create_task(self._watch()))

    async def stop(self, grace: float) -> None:
        """As every engine."""
        self._stopping = True
        await self._queue.drain(grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        close: Callable[[], None] | None = getattr(self._host.model, "close", None)
        if close is not None:
            await asyncio.to_thread(close)

    def forget(self, picture: str) -> None:
        """Give up what is kept of a picture here; what a server keeps is its own."""
        self._host.forget(picture)

    async def stream(self, job: Job) -> AsyncGenerator[Piece]:
        """The answer as it comes, then the prediction."""
        ticket = self._queue.admit(job)
        self._arrived.put_nowait(ticket)
        # Nobody need be told of an early end: the thread looks at the ticket.
        async with aclosing(self._queue.pieces(ticket, lambda _: None)) as pieces:
            async for piece in pieces:
                yield piece

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll if self.ready else min(self._poll, PATIENCE))
            with suppress(Exception):  # it stays refused, and is looked for again
                await self._look()

    async def _look(self) -> bool:
        """Whether the model's server is there; raises what it will not serve us for."""
        refused: BaseException | None = None
        if self._remote is not None:
            loop = asyncio.get_running_loop()
            try:
                await loop.run_in_executor(self._threads, self._remote.look)
            except Exception as error:  # noqa: BLE001  # told below, or raised
                refused = error
        if not self._stopping:
            self._queue.refusal = None if refused is None else _away()
        if refused is not None and not isinstance(refused, Unavailable):
            raise refused
        return refused is None

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for batch in self._alike(await self._gathered()):
                self._queue.begin(batch)
                await loop.run_in_executor(self._threads, self._answer, batch, loop)

    async def _gathered(self) -> list[Ticket]:
        """The first that waits, and those that come soon enough; none that was left meanwhile."""
        batch = [await self._arrived.get()]
        if self._batch > 1:
            await asyncio.sleep(self._wait)
        while len(batch) < self._batch and not self._arrived.empty():
            batch.append(self._arrived.get_nowait())
        return [ticket for ticket in batch if not ticket.left]

    def _alike(self, tickets: Sequence[Ticket]) -> list[list[Ticket]]:
        """The tickets in batches of one decoding."""
        batches: defaultdict[Decoding, list[Ticket]] = defaultdict(list)
        for ticket in tickets:
            batches[ticket.job.decoding].append(ticket)
        return list(batches.values())

    def _answer(self, batch: Sequence[Ticket], loop: asyncio.AbstractEventLoop) -> None:
        """Answer a batch, in a thread; one that cannot be answered takes no other with it."""
        started: set[Ticket] = set()
        rest = dict.fromkeys(batch)
        try:
            dialogues = [ticket.job.dialogue for ticket in batch]
            pieces = self._host.pieces(
                dialogues, batch[0].job.decoding, lambda place: batch[place].left
            )
            for place, piece in pieces:
                started.add(batch[place])
                if isinstance(piece, Prediction):
                    del rest[batch[place]]
                _hand(loop, batch[place], piece)
        except Exception as error:  # noqa: BLE001  # whatever it is, the engine goes on
            for ticket in rest:
                if len(batch) == 1 or ticket in started:
                    _hand(loop, ticket, refusal(error))
                elif not ticket.left:
                    self._answer([ticket], loop)


def _hand(loop: asyncio.AbstractEventLoop, ticket: Ticket, piece: Any) -> None:
    with suppress(RuntimeError):  # the loop has ended before the answer
        loop.call_soon_threadsafe(ticket.hand, piece)


def _away() -> Refusal:
    return Refusal("engine_unavailable", "the model's server is not there", retry_after=5.0)
