"""The worker process from outside: started afresh, spoken to by pipes, ended for certain."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from vesalius.errors import Refusal
from vesalius.service.engine import Job
from vesalius.service.engine.worker import Spec

# Nothing of the parent's program is imported again, only the path is the same.
_START = (
    "import sys; sys.path[:] = {path!r}\n"
    "from vesalius.service.engine.worker import main; main({incoming}, {outgoing})"
)
_ENVIRONMENT = {
    # Threads that spin while they wait take the time of those they wait for, once cores are shared
    # with decoders and other services: on two busy cores 12 tokens took 24 s so, and 0.9 s asleep.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


class WorkerProcess:
    """A worker process. ``hear`` is called, in a thread, with every event, and None at its end."""

    def __init__(self, spec: Spec, hear: Callable[[tuple[Any, ...] | None], None]) -> None:
        incoming, to_worker = os.pipe()
        from_worker, outgoing = os.pipe()
        start = _START.format(path=sys.path, incoming=incoming, outgoing=outgoing)
        self._process = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-c", start],
            pass_fds=(incoming, outgoing),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**_ENVIRONMENT, **os.environ},
        )
        os.close(incoming)
        os.close(outgoing)
        self._jobs = Connection(to_worker, readable=False)
        self._pieces = Connection(from_worker, writable=False)
        self._outbox: SimpleQueue[bytes | int | None] = SimpleQueue()
        self._unsent: dict[int, bytes] = {}  # jobs whose numbers are in the outbox
        self._hear = hear
        for work in (self._write, self._read):
            threading.Thread(target=work, name="engine", daemon=True).start()
        self._outbox.put(pickle.dumps(spec))

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(self, number: int, job: Job) -> None:
        """Send a job without waiting; Refusal if it cannot be pickled."""
        try:
            packed = pickle.dumps(job)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            what = "the question cannot be handed to the model's process"
            raise Refusal("engine_unavailable", what) from error
        self._unsent[number] = packed
        self._outbox.put(number)

    def leave(self, number: int) -> None:
        """Nobody waits for this job any more: it is not sent, or its number is told."""
        if self._unsent.pop(number, None) is None:
            self.tell("leave", number)

    def tell(self, what: str, about: int | str = 0) -> None:
        """``forget`` a picture by its key, or ``ping``."""
        self._outbox.put(pickle.dumps((what, about)))

    def end(self, seconds: float = 5.0) -> None:
        """Close the pipe, and kill the worker if it has not ended ``seconds`` later."""
        self._outbox.put(None)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        self._outbox.put(None)

    @property
    def ended_by(self) -> str:
        """How an ended process ended."""
        code = self._process.wait(5)
        if code == -9:
            return "it was killed, as a system does whose memory runs out"
        return f"it ended with {code}"

    def _write(self) -> None:
        with suppress(OSError):
            while (message := self._outbox.get()) is not None:
                if isinstance(message, bytes):
                    self._jobs.send_bytes(message)
                # Whoever takes a job out decides: one that was left meanwhile is not there.
                elif (packed := self._unsent.pop(message, None)) is not None:
                    self._jobs.send_bytes(pickle.dumps(("ask", message, packed)))
        self._jobs.close()

    def _read(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._hear(self._pieces.recv())
        self._pieces.close()
        self._hear(None)
