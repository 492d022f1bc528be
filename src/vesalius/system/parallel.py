"""A function over many items on all cores, in processes that may be lost, order kept.

Processes are started afresh (:class:`vesalius.system.workers.Pool`): neither the threads of a
parent that loaded torch are copied, nor is its main module imported again.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vesalius.errors import VesaliusError
from vesalius.system.console import progress_console
from vesalius.system.workers import Pool, WorkerFailed, WorkerLost, WorkerTimeout

SECONDS = 300.0
"""The longest one batch may take."""
_FOREVER = 2**31
"""Tasks before a worker is replaced: these decode a user's own data, not strangers' uploads."""
_LONG = 256
"""Items from which on a progress bar is worth its line."""


def usable_cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class ParallelMap:
    """``function(item)`` for lists of items; a context manager that ends its processes.

    ``target`` is ``"package.module:function"``. Processes are started with the first list of at
    least ``least`` items, as many as ``cores`` says, by default one a core and none where there is
    but one, each with one thread; shorter lists, and items that cannot be pickled or that only the
    main module can rebuild, are worked on here. ``lost`` makes the result of an item that ended its
    process. A VesaliusError of the function is raised as it is.
    """

    def __init__(
        self,
        target: str,
        lost: Callable[[Any, VesaliusError], Any],
        *,
        batch: int = 8,
        least: int = 64,
        cores: int | None = None,
    ) -> None:
        module, _, name = target.partition(":")
        self._function = getattr(import_module(module), name)
        self._target, self._lost = target, lost
        self._batch, self._least = batch, least
        self._cores = usable_cores() if cores is None else cores
        self._apart = self._cores > 1 or cores is not None
        self._pool: Pool | None = None

    def __enter__(self) -> ParallelMap:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()

    def map(
        self, items: Sequence[Any], advance: Callable[[int], object] = lambda _: None
    ) -> list[Any]:
        """The results in the items' order; ``advance`` hears how many more are done."""
        if not self._started(len(items)):
            return self._here(items, advance)
        batches = [items[at : at + self._batch] for at in range(0, len(items), self._batch)]
        results: list[Any] = []
        with ThreadPoolExecutor(self._cores) as threads:
            for batch in threads.map(self._there, batches):
                results += batch
                advance(len(batch))
        return results

    def _started(self, number: int) -> bool:
        if self._pool is None and self._apart and number >= self._least:
            pool = Pool(
                "vesalius.system.parallel:run_batch",
                size=self._cores,
                seconds=SECONDS,
                recycle=_FOREVER,
            )
            with suppress(WorkerLost):  # where none can be started, the work is done here
                pool.start()
                self._pool = pool
        return self._pool is not None

    def _here(self, items: Sequence[Any], advance: Callable[[int], object]) -> list[Any]:
        results = []
        for item in items:
            results.append(self._function(item))
            advance(1)
        return results

    def _there(self, items: Sequence[Any]) -> list[Any]:
        """A batch in a worker; one that loses its worker is tried again item by item."""
        content = _portable(items)
        if content is None or self._pool is None:
            return [self._function(item) for item in items]
        try:
            results: list[Any] = self._pool.run(self._target, content)
        except WorkerFailed:  # what it raises here has its words
            return [self._function(item) for item in items]
        except (WorkerLost, WorkerTimeout) as error:
            if len(items) > 1:
                return [result for item in items for result in self._there([item])]
            return [self._lost(items[0], error)]
        return results


def run_batch(target: str, content: bytes) -> list[Any]:
    """In a worker: the results of the target for the pickled items."""
    module, _, name = target.partition(":")
    function = getattr(import_module(module), name)
    return [function(item) for item in pickle.loads(content)]  # noqa: S301 - our parent's own


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """A bar with the time left on standard error, if it is a terminal and the work is long.

    ``total`` is None where nobody knows it yet. Gives the function that moves it on by so many.
    """
    console = progress_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    left = (TextColumn("time left"), TimeRemainingColumn())
    with Progress(
        *columns,
        *left,
        console=console,
        transient=True,
        disable=not console.is_terminal or (total is not None and total < _LONG),
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda number: bar.advance(task, number)


def _portable(items: Sequence[Any]) -> bytes | None:
    """The items pickled, or None if no other process could read them."""
    try:
        content = pickle.dumps(items)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    return None if b"__main__" in content else content
