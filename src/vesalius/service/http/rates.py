"""How often callers came lately: by this process's monotonic clock, or in a shared storage."""

from __future__ import annotations

import time
from collections import deque
from threading import Lock
from typing import Protocol

from limits import RateLimitItemPerSecond
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter


class Rates(Protocol):
    """Counts of what came within a moving window."""

    def hit(self, bucket: str, most: int, seconds: int) -> float:
        """Count one more of ``most`` in ``seconds``: 0.0, or, uncounted, the seconds to wait."""

    def tidy(self) -> None:
        """Drop the names of those who have not come lately."""


class LocalRates:
    """Those of this process. A clock that is set meanwhile shuts nobody out and lets nobody in."""

    def __init__(self) -> None:
        self._ends: dict[str, deque[float]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        """Names that are held."""
        return len(self._ends)

    def hit(self, bucket: str, most: int, seconds: int) -> float:
        """See :class:`Rates`."""
        now = time.monotonic()
        with self._lock:
            ends = self._ends.setdefault(bucket, deque())
            while ends and ends[0] <= now:
                ends.popleft()
            if len(ends) >= most:
                return ends[-most] - now
            ends.append(now + seconds)
            return 0.0

    def tidy(self) -> None:
        """See :class:`Rates`."""
        now = time.monotonic()
        with self._lock:
            self._ends = {name: ends for name, ends in self._ends.items() if ends[-1] > now}


class SharedRates:
    """Those of several processes, which share a storage and its clock."""

    def __init__(self, url: str) -> None:
        self._limiter = MovingWindowRateLimiter(storage_from_string(url))

    def hit(self, bucket: str, most: int, seconds: int) -> float:
        """See :class:`Rates`."""
        item = RateLimitItemPerSecond(most, seconds)
        if self._limiter.hit(item, bucket):
            return 0.0
        reset: float = self._limiter.get_window_stats(item, bucket).reset_time
        return min(float(seconds), max(1.0, reset - time.time()))

    def tidy(self) -> None:
        """The storage lets go by itself."""


def rates(url: str) -> Rates:
    """``memory://`` for this process alone, or a URL of ``limits``."""
    return LocalRates() if url.startswith("memory:") else SharedRates(url)
