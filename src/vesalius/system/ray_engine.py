"""Work in shards by processes that Ray starts, on this machine or on a cluster.

Ray starts and restarts workers and knows no more: they claim shards and put results into the place
as any worker does, so a job goes on by shard, whoever dies. Ray itself lives in a child process: it
ends the process that it is in when its own fails, and prints what it likes.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, TypeVar

from vesalius.errors import MissingExtra, RunError, VesaliusError
from vesalius.system.pace import Pace, progress
from vesalius.system.ray_driver import Order
from vesalius.system.shards import Shards
from vesalius.system.workers import WorkerLost, WorkerProcess, WorkerTimeout

ADDRESS = "RAY_ADDRESS"
ENVIRONMENT = ("VESALIUS_", "OMP_NUM_THREADS", "HF_HUB_", "HF_HOME")
"""What workers have of our environment, wherever they run."""
FOREVER = 2.0**31
LOOK = 1.0
"""Seconds from one look at the shards to the next."""
GRACE = 10.0
"""Seconds that Ray has to end when all shards are done."""
AGAIN = "what is done stays; the same command goes on"


class Job(Protocol):
    """Work in shards, of which every process that makes the same job does a part."""

    what: str
    """What is done, for people."""

    @property
    def shards(self) -> Shards:
        """What the processes share."""

    def left(self) -> int:
        """How many shards must still be done."""

    def work(self) -> int:
        """Do shards until each has a result; how many items this process did."""


J = TypeVar("J", bound=Job)


def run_on_ray(make: Callable[[], J], workers: int | None = None) -> J:
    """Do what is left of a job by ``workers`` processes; the job, each shard with a result.

    ``make`` is pickled and makes the same job in each of them. Without ``$RAY_ADDRESS`` a Ray of
    this machine alone is started, bound to loopback, and ended with the job. By default a worker a
    GPU, or a core where there is none. MissingExtra without Ray. RunError where Ray cannot be
    reached or dies, or its workers do; a VesaliusError of a worker as it was raised.
    """
    if find_spec("ray") is None:
        raise MissingExtra("ray", "ray")
    address = os.environ.get(ADDRESS, "")
    if "://" in address:
        hint = "start this on a machine of the cluster, with RAY_ADDRESS=auto"
        raise RunError("is a Ray client's address", where=ADDRESS, hint=hint)
    job = make()
    if job.left():
        with _process() as process, _folder() as folder:
            process.wait_ready()
            order = Order(pickle.dumps(make), job.shards, workers, address, folder, _environment())
            process.send((order,), FOREVER)
            _watch(job, process)
    return job


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith(ENVIRONMENT)}


@contextmanager
def _process() -> Iterator[WorkerProcess]:
    process = WorkerProcess("vesalius.system.ray_driver:drive", None, 1)
    try:
        yield process
    finally:
        process.kill()  # Ray's own reaper ends what it has started


@contextmanager
def _folder() -> Iterator[str]:
    """Where Ray's sockets and logs are meanwhile; nobody else looks into it, and nothing stays."""
    # A socket's path has at most 107 bytes: no folder of the user's choice.
    short = "/tmp" if os.name == "posix" else None  # noqa: S108 - mkdtemp makes one of our own
    folder = tempfile.mkdtemp(prefix="ves-", dir=short)
    try:
        yield folder
    finally:
        end = time.monotonic() + GRACE
        while Path(folder).exists() and time.monotonic() < end:
            shutil.rmtree(folder, ignore_errors=True)  # what Ray had started may write its last
            time.sleep(0.1)


def _watch(job: Job, process: WorkerProcess) -> None:
    """Tell how far the shards are until all are done; raise what Ray or a worker has raised."""
    overview = _Overview(job.shards)
    with progress(job.what, "done") as bar:
        task = bar.add_task("", done=0)
        end = 0.0
        while True:
            ended = _answer(process)
            line = overview.look()
            bar.update(task, description=overview.shards_done, done=overview.items)
            if line:
                bar.console.print(line, highlight=False, soft_wrap=True)
            if ended:
                break
            if overview.whole:  # Ray ends by itself, or is ended
                end = end or time.monotonic() + GRACE
                if time.monotonic() > end:
                    break
        bar.console.print(overview.after(), highlight=False, soft_wrap=True)


def _answer(process: WorkerProcess) -> bool:
    """Whether Ray has ended well within :data:`LOOK`; what ended it otherwise is raised."""
    try:
        outcome, value = process.answer(LOOK)
    except WorkerTimeout:
        return False
    except WorkerLost as error:
        raise RunError("Ray died", where="--engine ray", hint=AGAIN) from error
    if outcome == "refused" and isinstance(value, VesaliusError):
        raise value
    if outcome != "done":
        hint = f"--worker for --engine ray shows more; {AGAIN}"
        raise RunError(f"a worker failed: {value}", where="--engine ray", hint=hint)
    return True


class _Overview:
    """How far shards are that others do, by looking at their place."""

    def __init__(self, shards: Shards) -> None:
        self._shards, self._began = shards, time.monotonic()
        self._before = self._done = shards.done()
        self._pace = Pace(shards.items, workers="these workers")

    @property
    def whole(self) -> bool:
        return len(self._done) == self._shards.number

    @property
    def shards_done(self) -> str:
        return f": {len(self._done)} of {self._shards.number} shards"

    @property
    def items(self) -> int:
        """Done since the first look."""
        return self._shards.items_in(self._done - self._before)

    def look(self) -> str:
        """Look again; once, what all that is left will cost."""
        done = self._shards.done()
        new, first = done - self._done, self._done == self._before
        self._done = done
        if not new:
            return ""
        if first:  # Ray has started and models are loaded: from here on, time is work
            self._pace.start()
            return ""
        left = self._shards.items - self._shards.items_in(done)
        return self._pace.add(self._shards.items_in(new), self._shards.rows(min(new)), left)

    def after(self) -> str:
        """What was done, and how long it took."""
        seconds = time.monotonic() - self._began
        rate = f"{self.items / seconds:.3g} items/s"
        return (
            f"these workers: {self.items:,} items in {seconds:.1f} s, {rate}, Ray's start included"
        )
