"""How far answers are, how fast a worker goes, and what the whole work costs at that pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vesalius.system.files import json_line

FIRST = 32
"""Items after which a pace is told."""


class Pace:
    """Items done and seconds spent, of ``total`` items that all workers have together."""

    def __init__(self, total: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._clock = total, clock
        self._since = clock()
        self._bytes = 0.0
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
        if not before < min(FIRST, left) <= self.done:
            return ""
        size = sum(len(json_line(row)) for row in rows) / len(rows) * self._total / 1e9
        hours = left / self._rate() / 3600
        return (
            f"the first {self.done}: {self._rate():.3g} items/s; {left:,} of {self._total:,} items "
            f"are left, {hours:.2g} hours for one worker, all rows {size:.2g} GB"
        )

    def after(self) -> str:
        """What this worker did, and how long it took."""
        seconds = self._clock() - self._since
        if not self.done:
            return "nothing was left for this worker"
        return f"this worker: {self.done:,} items in {seconds:.1f} s, {self._rate():.3g} items/s"

    def _rate(self) -> float:
        return self.done / max(self._clock() - self._since, 1e-9)


def progress(what: str) -> Progress:
    """A line on stderr that counts the answers so far (the task's field ``done``)."""
    return Progress(
        SpinnerColumn(),
        TextColumn(what + "{task.description}"),
        TextColumn("{task.fields[done]} answers"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
