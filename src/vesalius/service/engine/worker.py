"""The worker process: one model, batches gathered as they come, nothing printed.

It ends when its pipe does, so it never outlives the service, however that ends.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError, VesaliusError
from vesalius.models import Piece
from vesalius.models.feature_cache import sharing
from vesalius.service.engine import Job
from vesalius.service.engine.failures import serialise_error
from vesalius.service.engine.model_host import ModelHost, load_host, remember, warm

PATIENCE = 0.05
"""The share of a batch's own time for which the next is gathered, where several people ask."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a worker hosts, and how it batches."""

    source: str
    batch: int
    wait: float
    cache_bytes: int
    threads: int | None


@dataclass(slots=True)
class Waiting:
    """A job as it arrived; ``sent``: how much of its answer was sent, ``seen`` in this try."""

    number: int
    job: Job
    arrived: float
    sent: int = 0
    seen: int = 0
    done: bool = False


def main(incoming: int, outgoing: int) -> None:
    """Serve until the pipe ends; the first message is the spec."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)  # whoever started us ends us, by the pipe
    logging.getLogger("bitsandbytes").setLevel(
        logging.ERROR
    )  # it tells of kernels it can do without
    sys.excepthook = _silent
    threading.excepthook = lambda args: _silent(args.exc_type, args.exc_value, None)
    worker = Worker(Connection(incoming, writable=False), Connection(outgoing, readable=False))
    with sharing(None):  # what callers ask about leaves no features on the disk
        _work(worker)


def _work(worker: Worker) -> None:
    try:
        worker.open()
    except VesaliusError as error:
        worker.send("failed", *serialise_error(error))
    except Exception as error:  # noqa: BLE001  # whatever a library raises while it loads
        worker.send(
            "failed",
            *serialise_error(ModelError(f"cannot be loaded: {type(error).__name__}: {error}")),
        )
    else:
        worker.serve()


class Worker:
    """Gathers jobs into batches, answers them, and sends the pieces."""

    def __init__(self, incoming: Connection, outgoing: Connection) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._spec: Spec = incoming.recv()
        self._jobs: deque[Waiting] = deque()
        self._current: set[int] = set()
        self._until = float("inf")  # the last deadline of what is being answered
        self._wait = self._spec.wait
        self._left: set[int] = set()
        self._forgotten: deque[str] = deque()
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._hosted: ModelHost | None = None
        threading.Thread(target=self._listen, name="listening", daemon=True).start()

    def open(self) -> None:
        """Load and warm up."""
        if self._spec.threads is not None:
            import torch

            torch.set_num_threads(self._spec.threads)
        host = self._hosted = load_host(self._spec.source)
        remember(host.model, self._spec.cache_bytes)
        warm(host)
        self.send("ready", host.about)

    def serve(self) -> None:
        """Answer for ever."""
        while True:
            batch = self._gathered()
            while self._forgotten:
                self._host.forget(self._forgotten.popleft())
            if batch:
                self.send("begun", [one.number for one in batch])
                started = time.monotonic()
                self._answer(batch)
                with self._changed:
                    several = len(batch) > 1 or bool(self._jobs)
                    self._wait = gathering(
                        self._spec.wait, time.monotonic() - started, several=several
                    )
                    self._left -= self._current
                    self._current = set()
                self.send("load", self._load())

    def send(self, *event: Any) -> None:
        """An event to the service; without a service there is nothing left to do."""
        try:
            with self._sending:
                self._outgoing.send(event)
        except OSError:
            os._exit(0)

    def _overdue(self) -> float:
        """Seconds for which a batch has been worked at that nobody waits for any more."""
        with self._changed:
            return max(0.0, time.monotonic() - self._until) if self._current else 0.0

    def _listen(self) -> None:
        try:
            while True:
                self._take(*self._incoming.recv())
        except (EOFError, OSError):
            os._exit(0)

    def _take(self, what: str, about: Any, packed: bytes = b"") -> None:
        """A job, a number that nobody waits for any more, a picture to forget, or a ping."""
        if what == "ping":  # answered here, so that a long batch is no silence
            self.send("pong", self._overdue())
            return
        job: Job | None = None
        if what == "ask":
            try:
                job = pickle.loads(packed)  # noqa: S301  # from the service, by a pipe of its own
            except Exception as error:  # noqa: BLE001  # a picture of a kind that is not known here
                self.send("fault", about, *serialise_error(error))
                return
        with self._changed:
            if job is not None:
                self._jobs.append(Waiting(about, job, time.monotonic()))
            elif what == "forget":
                self._forgotten.append(about)
            elif about in self._current:
                self._left.add(about)
            else:  # it may hold a large picture, and the batch before it may be long
                self._jobs = deque(one for one in self._jobs if one.number != about)
            self._changed.notify()

    def _gathered(self) -> list[Waiting]:
        """The first that waits, and those that may be answered with it and come soon enough."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._forgotten)
            if not self._jobs:
                return []
            end = self._jobs[0].arrived + self._wait
            while len(self._jobs) < self._spec.batch and (rest := end - time.monotonic()) > 0:
                self._changed.wait(rest)
                if not self._jobs:  # all of them were left meanwhile
                    return []
            first = self._jobs[0]
            batch: list[Waiting] = []
            others: list[Waiting] = []
            while self._jobs:
                one = self._jobs.popleft()
                if one.job.deadline < time.monotonic():
                    continue
                if len(batch) < self._spec.batch and one.job.decoding == first.job.decoding:
                    batch.append(one)
                else:
                    others.append(one)
            self._jobs.extend(others)
            self._current = {one.number for one in batch}
            self._until = max((one.job.deadline for one in batch), default=self._until)
            return batch

    def _answer(self, batch: Sequence[Waiting]) -> None:
        try:
            for place, piece in self._pieces(batch):
                self._tell(batch[place], piece)
        except Exception as error:  # noqa: BLE001  # whatever it is, the worker goes on
            if not isinstance(error, VesaliusError):
                self._host.forget_conversations()  # memory may be what was lacking
            if len(batch) == 1:
                self.send("fault", batch[0].number, *serialise_error(error))
                return
            # One that cannot be answered must not take the others with it.
            for one in batch:
                if not one.done and not self._is_cancelled(one):
                    self._answer([one])

    def _pieces(self, batch: Sequence[Waiting]) -> Iterator[Piece]:
        decoding = batch[0].job.decoding.model_copy(update={"batch": len(batch)})
        dialogues = [one.job.dialogue for one in batch]
        for one in batch:
            one.seen = 0
        return self._host.pieces(
            dialogues, decoding, lambda place: self._is_cancelled(batch[place])
        )

    def _tell(self, one: Waiting, piece: str | Prediction) -> None:
        """Send what is new; an answer that is begun again repeats what was sent before."""
        if isinstance(piece, str):
            fresh = piece[max(0, one.sent - one.seen) :]
            one.seen += len(piece)
            one.sent = max(one.sent, one.seen)
            if fresh:
                self.send("piece", one.number, fresh)
            return
        one.done = True
        self.send("piece", one.number, piece)

    def _is_cancelled(self, one: Waiting) -> bool:
        return one.number in self._left or one.job.deadline < time.monotonic()

    @property
    def _host(self) -> ModelHost:
        assert self._hosted is not None
        return self._hosted

    def _load(self) -> dict[str, int]:
        caches = self._host.prefix_caches
        if not caches:
            return {}
        return {
            "cache_bytes": sum(cache.size for cache in caches),
            "cache_hits": sum(cache.hits for cache in caches),
            "cache_misses": sum(cache.misses for cache in caches),
            "cache_tokens": sum(cache.taken for cache in caches),
        }


def gathering(least: float, seconds: float, *, several: bool) -> float:
    """Seconds to gather a batch in, after one that took ``seconds`` and left ``several`` people.

    Those who were answered together ask again together, some milliseconds apart: the few who are
    first would have the others wait for a whole batch.
    """
    return max(least, PATIENCE * seconds) if several else least


def _silent(kind: Any, *_: Any) -> None:
    """The words of an error may be a patient's; its kind is not."""
    sys.stderr.write(f"the model's process failed: {kind.__name__}\n")
