"""A line in which owners take turns: many jobs of one keep nobody else's from its turn."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from vesalius.errors import Refusal


class FairQueue:
    """Slots for work, given to owners in turn; within an owner, first come, first served.

    It belongs to one event loop. ``most`` jobs of an owner may wait; more are refused.
    """

    def __init__(self, slots: int, most: int = 256) -> None:
        self._free, self._most = slots, most
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def enter(self, owner: str) -> None:
        """Wait for a slot, which :meth:`leave` gives back; Refusal where too many wait already."""
        if self._free:
            self._free -= 1
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
                self.leave()
            raise

    def leave(self) -> None:
        """Give a slot back: the owner who has waited longest for a turn has the next one."""
        while self._lines:
            owner, line = self._lines.popitem(last=False)
            turn = line.popleft()
            if line:
                self._lines[owner] = line  # behind all the others
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
