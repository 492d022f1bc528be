"""A line in which owners take turns: many jobs of one keep nobody else's from its turn."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque

from vesalius.errors import Refusal


class FairQueue:
    """Slots for work, given to owners in turn; within an owner, first come, first served.

    An owner with fewer jobs at work goes before one with more; of equals the one whose last job
    ended longest ago. So who comes while another's job is done waits for that one, and no second.
    It belongs to one event loop. ``most`` jobs of an owner may wait; more are refused.
    """

    def __init__(self, slots: int, most: int = 256) -> None:
        self._free, self._most = slots, most
        self._working: Counter[str] = Counter()
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def enter(self, owner: str) -> None:
        """Wait for a slot, which :meth:`leave` gives back; Refusal where too many wait already."""
        if self._free:
            self._free -= 1
            self._working[owner] += 1
            return
        line = self._lines.get(owner, deque())
        if len(line) >= self._most:
            detail = f"{len(line)} pictures of yours are waiting already"
            raise Refusal("worker_busy", detail, hint="send the next when one is done")
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn came as it went
                self.leave(owner)
            raise

    def leave(self, owner: str) -> None:
        """Give the owner's slot back, to whoever is next."""
        self._working[owner] -= 1
        if not self._working[owner]:
            del self._working[owner]
        if owner in self._lines:
            self._lines.move_to_end(owner)  # behind all others, also those who came meanwhile
        while self._lines:
            following = min(self._lines, key=self._working.__getitem__)
            line = self._lines[following]
            turn = line.popleft()
            if not line:
                del self._lines[following]
            if not turn.done():
                self._working[following] += 1
                turn.set_result(None)
                return
        self._free += 1
