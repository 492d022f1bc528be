"""Work that may crash, hang or swell is done in processes of its own, which may be killed.

Decoders and text finders read strangers' bytes in C: a fault there must end one small process and
one request, never the service. This guards against accidents and bombs; code that has taken over
a worker is not held back by it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Pipe
from typing import Any

from vesalius.errors import VesaliusError

STARTING = 60.0
"""Seconds a worker may take to import its function; not counted against a task's time."""
TICK = 0.1
"""Seconds until a task ends that its watcher has stopped."""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Nothing of the parent's program is imported again, only the path is the same.
_START = (
    "import sys; sys.path[:] = {path!r}; from vesalius.system.worker import work; work({work!r})"
)


class WorkerLost(VesaliusError):
    """A worker process died at its task: a crash, or more memory than it is given."""

    code = "worker_lost"


class WorkerStopped(WorkerLost):
    """A task was ended by who waited for it; its worker has been killed."""


class WorkerTimeout(VesaliusError):
    """A task took longer than it may; its worker has been killed."""

    code = "worker_timeout"


class WorkerBusy(WorkerTimeout):
    """No worker became free in the time the task had."""

    code = "worker_busy"


class WorkerFailed(VesaliusError):
    """The function raised what is no VesaliusError; only the kind is told: the words may quote."""

    code = "worker_failed"


@dataclass(slots=True)
class Watch:
    """A task as who waits for it sees it: what it last reported, and ``stop`` to end it."""

    progress: str = ""
    stop: threading.Event = field(default_factory=threading.Event)


class Pool:
    """Worker processes that run one function, each with a memory and a time limit.

    ``target`` is ``"package.module:function"``; its arguments and result are pickled. At most
    ``size`` processes are started, when they are needed, each afresh (no fork, and the parent's
    main module is not imported again). ``memory`` (bytes) limits a worker's address space, code
    and libraries included; ``seconds`` is the longest a task may run on a wall clock, and twice
    that its time on the CPU, which still holds when the parent is gone. A worker is replaced
    after ``recycle`` tasks and whenever it dies. Every method may be called from any thread.
    """

    def __init__(
        self,
        target: str,
        *,
        size: int = 2,
        memory: int | None = None,
        seconds: float = 30.0,
        recycle: int = 100,
        threads: int = 1,
    ) -> None:
        self._order = target, memory, threads
        self._size, self._seconds, self._recycle = size, seconds, recycle
        self._change = threading.Condition()
        self._free: list[WorkerProcess] = []
        self._started = 0
        self._closed = False
        self.ended: Counter[str] = Counter()
        """How tasks ended: done, refused, failed, lost, timeout, busy."""

    def start(self) -> None:
        """Start all workers now and wait until they are ready, instead of when first needed."""
        taken = [self._take(time.monotonic() + STARTING) for _ in range(self._size)]
        for worker in taken:
            worker.wait_ready()
            self._give(worker)

    def run(self, *args: Any, seconds: float | None = None, watch: Watch | None = None) -> Any:
        """What the function returns for ``args``; waits for a free worker and for the result.

        ``seconds`` replaces the pool's limit; waiting for a worker counts. ``watch`` has what the
        function reports (:func:`vesalius.system.worker.report`), and may stop it. A VesaliusError
        of the function arrives as it was raised. Raises WorkerBusy, WorkerTimeout, WorkerLost,
        WorkerStopped and WorkerFailed.
        """
        limit = left = self._seconds if seconds is None else seconds
        began = time.monotonic()
        try:
            worker = self._take(began + limit)
        except WorkerBusy:
            self.ended["busy"] += 1
            raise
        try:
            worker.wait_ready()
            # Starting is the pool's affair: the task has the time that waiting in line left it.
            left = limit - worker.waited(began)
            outcome, value = worker.ask(args, max(left, 0.001), watch)
        except WorkerTimeout as error:
            worker.kill()
            self._give(worker)
            if left < limit / 2:  # the line's fault, not the task's
                self.ended["busy"] += 1
                raise WorkerBusy("no worker was free in time", hint="try again later") from error
            self.ended["timeout"] += 1
            raise
        except BaseException:
            worker.kill()
            self._give(worker)
            self.ended["lost"] += 1
            raise
        self._give(worker)
        self.ended[outcome] += 1
        if outcome == "done":
            return value
        if outcome == "refused":
            raise value
        if outcome == "lost":
            hint = "scale the picture down, or send fewer frames"
            raise WorkerLost("a task needed more memory than a worker is given", hint=hint)
        raise WorkerFailed(f"a task failed inside the worker: {value}")

    def close(self) -> None:
        """End the workers: idle ones now, busy ones with their task. No task is taken any more."""
        with self._change:
            self._closed = True
            idle, self._free = self._free, []
            self._change.notify_all()
        for worker in idle:
            worker.kill()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, until: float) -> WorkerProcess:
        with self._change:
            while True:
                if self._closed:
                    raise WorkerLost("the pool of workers is closed")
                if self._free:
                    worker = self._free.pop()
                    return worker if worker.alive() else self._fresh(worker)
                if self._started < self._size:
                    self._started += 1
                    return self._fresh(None)
                if not self._change.wait(until - time.monotonic()) and not self._free:
                    raise WorkerBusy("no worker is free", hint="try again later")

    def _fresh(self, worn: WorkerProcess | None) -> WorkerProcess:
        if worn is not None:
            worn.kill()
        try:
            return WorkerProcess(*self._order)
        except OSError as error:
            self._started -= 1
            raise WorkerLost("no worker process can be started") from error

    def _give(self, worker: WorkerProcess) -> None:
        """Put a worker back, or in its place a new one, which starts while nobody waits."""
        with self._change:
            if self._closed:
                worker.kill()
            else:
                worn = worker.tasks >= self._recycle or not worker.alive()
                with suppress(WorkerLost):  # counted as not started: the next task tries again
                    self._free.append(self._fresh(worker) if worn else worker)
                self._change.notify()


class WorkerProcess:
    """One process that runs one function, and the pipe to it; a :class:`Pool` has many."""

    def __init__(self, target: str, memory: int | None, threads: int) -> None:
        self._pipe, theirs = Pipe()
        self.tasks, self._ready, self._gone = 0, False, False
        self._starting = 0.0
        order = (theirs.fileno(), target, memory, threads)
        environment = os.environ | dict.fromkeys(_ONE_THREAD, str(threads))
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                [sys.executable, "-c", _START.format(path=sys.path, work=order)],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Decoders complain on stderr, and quote what they read.
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._pipe.close()
            raise
        finally:
            theirs.close()

    def alive(self) -> bool:
        """Whether it can be given a task."""
        return not self._gone and self._process.poll() is None

    def waited(self, began: float) -> float:
        """Seconds since ``began`` without those that this worker took to start."""
        return time.monotonic() - began - self._starting

    def wait_ready(self) -> None:
        """Wait until it has imported its function; WorkerLost where it cannot."""
        if self._ready:
            self._starting = 0.0
            return
        began = time.monotonic()
        outcome, what = self.answer(STARTING)
        if outcome != "ready":
            raise WorkerLost(f"a worker cannot import its function: {what}")
        self._ready, self._starting = True, time.monotonic() - began

    def ask(self, args: tuple[Any, ...], seconds: float, watch: Watch | None) -> tuple[str, Any]:
        """How the function ended for these arguments, and its result; see :meth:`answer`."""
        until = time.monotonic() + seconds
        self.send(args, seconds)
        while True:
            left = until - time.monotonic()
            if watch is None or self._spoke(left, watch):
                answer = self.answer(left)
                if answer[0] != "progress":
                    return answer
                if watch is not None:
                    watch.progress = answer[1]

    def send(self, args: tuple[Any, ...], seconds: float) -> None:
        """Start the function, which has so many seconds; WorkerLost where the process is dead."""
        self.tasks += 1
        try:
            self._pipe.send((seconds, args))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._lost() from error

    def _spoke(self, seconds: float, watch: Watch) -> bool:
        """Whether there is something to read, or hardly time left for it; WorkerStopped."""
        if watch.stop.is_set():
            raise WorkerStopped("a task was stopped")
        return seconds <= TICK or self._pipe.poll(TICK)

    def answer(self, seconds: float) -> tuple[str, Any]:
        """How it ended (done, refused, failed, lost) and its result or error.

        WorkerTimeout where it has not within so many seconds; WorkerLost where the process died.
        """
        try:
            if not self._pipe.poll(max(seconds, 0.0)):
                raise WorkerTimeout(f"a task was stopped after {seconds:.3g} seconds")
            answer: tuple[str, Any] = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if answer[0] == "lost":
            self.kill()  # out of memory: what is left of the heap is not trusted
        return answer

    def _lost(self) -> WorkerLost:
        try:
            number = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            number = 0
        name = signal.Signals(-number).name if number < 0 else f"exit status {number}"
        return WorkerLost(f"a worker process died at its task ({name})")

    def kill(self) -> None:
        """End it now."""
        if not self._gone:
            self._gone = True
            self._process.kill()
            self._process.wait()
            self._pipe.close()
