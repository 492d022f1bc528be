"""Storage beside the event loop, in few threads: many busy ones would keep the loop from its turn.

Python runs one thread at a time. With eight that write answers, the loop and whoever it refuses
would wait for all of them; and SQLite has one writer anyway.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from vesalius.errors import Refusal

THREADS = 4
DEADLINE = 30.0
"""Seconds for which anybody waits for the storage."""
SWITCH_SECONDS = 0.001
"""How long a busy thread may keep the others waiting (Python's own: 0.005)."""

P = ParamSpec("P")
T = TypeVar("T")

_storage = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``work``'s result, done in one of the storage threads."""
    called = partial(contextvars.copy_context().run, partial(work, *args, **kwargs))
    try:
        async with asyncio.timeout(DEADLINE):
            return await asyncio.get_running_loop().run_in_executor(_storage, called)
    except TimeoutError:
        raise Refusal("storage_unavailable", "the storage does not answer in time") from None


def favour_the_loop() -> None:
    """Let the event loop have its turn sooner, in a process that does nothing but serve.

    Called once all is imported: the garbage collector need not walk over that again and again,
    which stops everything for a tenth of a second.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
