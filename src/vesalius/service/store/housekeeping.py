"""What is deleted, round by round; a round that would delete nearly everything waits.

A clock that jumped forward, or that a machine started with, makes all that is kept look old.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

from vesalius.service.store import Store
from vesalius.service.store.records import Due, Swept

MANY, SHARE = 20, 0.9
"""So many things, and more than this share of what is kept, are nearly everything."""
PATIENCE = 3600.0
"""Seconds for which such a round waits, so that somebody may see what the log says and stop it."""


@dataclass(slots=True)
class Rounds:
    """The sweeps of a store, and since when one of them waits."""

    store: Store
    text_for: timedelta
    waiting_since: float | None = None
    """On the monotonic clock, which nobody sets."""

    def sweep(self) -> Swept | Due:
        """Sweep; or, where nearly everything is due, what is due while that waits."""
        held = next(filter(_nearly_all, self.store.due(text_for=self.text_for)), None)
        if held is not None:
            now = time.monotonic()
            self.waiting_since = now if self.waiting_since is None else self.waiting_since
            if now - self.waiting_since < PATIENCE:
                self.store.interrupt_pending()
                return held
        self.waiting_since = None
        return self.store.sweep(text_for=self.text_for)


def _nearly_all(due: Due) -> bool:
    return due.count >= MANY and due.count > SHARE * due.whole
