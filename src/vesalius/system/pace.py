"""How far answers are, how fast a worker goes, and what the whole work costs at that pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vesalius.system.console import progress_console
from vesalius.system.files import json_line
from vesalius.system.shards import Pieces, Row, Shards

T = TypeVar("T")
FIRST = 32
"""Items after which a pace is told."""


class Pace:
    """Items done and seconds spent, of ``total`` items that all workers have together."""

    def __init__(
        self,
        total: int,
        *,
        workers: str = "one worker",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._workers, self._clock = total, workers, clock
        self._since = clock()
        self.done = 0

    def start(self) -> None:
        """Begin to measure: what came before, like loading a model, is done once."""
        self._since = self._clock()

    def add(self, items: int, rows: Sequence[Mapping[str, Any]], left: int) -> str:
        """Note items just done; once, after :data:`FIRST`, what all that is left will cost.

        ``rows`` are results like those that all items have; ``left``: items without a result.
        """
        before = self.done
        self.done += items
        if not before < FIRST <= self.done:
            return ""
        size = sum(len(json_line(row)) for row in rows) / len(rows) * self._total / 1e9
        hours = left / self._rate() / 3600
        return (
            f"the first {self.done}: {self._rate():.3g} items/s; {left:,} of {self._total:,} items "
            f"are left, {hours:.2g} hours for {self._workers}, all rows {size:.2g} GB"
        )

    def after(self) -> str:
        """What this worker did, and how long it took."""
        seconds = self._clock() - self._since
        if not self.done:
            return "nothing was left for this worker"
        return f"this worker: {self.done:,} items in {seconds:.1f} s, {self._rate():.3g} items/s"

    def _rate(self) -> float:
        return self.done / max(self._clock() - self._since, 1e-9)


def work_off(
    what: str,
    shards: Shards,
    pieces: Pieces[T],
    do: Callable[[list[T]], Iterator[list[Row]]],
    *,
    total: int,
    ready: Callable[[], object] = bool,
) -> int:
    """Do shards until all have a result, by this process or others; how many items it did.

    ``do`` yields a piece's results as they come, of ``total`` that all pieces have; ``ready`` is
    called before the first of them.
    Progress and costs are told on standard error.
    """
    pace = Pace(total)
    # Closed at once when something is raised: what was claimed is then free for others.
    with progress(what, "done") as bar, closing(shards.free()) as free:
        task = bar.add_task("", done=0)
        for number in free:
            if not pace.done:
                ready()
                pace.start()
            done = len(shards.done())
            bar.update(task, description=f": {done} of {shards.number} shards")
            left = round(total * (1 - done / shards.number))  # a piece may have several results
            rows: list[Row] = []
            for some in do(pieces[number]):
                rows += some
                line = pace.add(len(some), rows, left=max(0, left - len(rows)))
                bar.update(task, done=pace.done)
                if line:
                    bar.console.print(line, highlight=False, soft_wrap=True)
            shards.publish(number, rows)
    bar.console.print(pace.after(), highlight=False, soft_wrap=True)
    return pace.done


def progress(what: str, of: str = "answers") -> Progress:
    """A line on stderr that counts the answers so far (the task's field ``done``)."""
    return Progress(
        SpinnerColumn(),
        TextColumn(what + "{task.description}"),
        TextColumn(f"{{task.fields[done]}} {of}"),
        TimeElapsedColumn(),
        console=progress_console(),
    )
