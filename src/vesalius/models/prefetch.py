"""Work that is done one step ahead: a thread makes the next thing while this one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(things: Iterable[T]) -> Iterator[T]:
    """The same things in order, the next one made in a thread while this one is used.

    An error comes where its thing would have come. Of a single thing no thread is started for.
    """
    source = iter(things)

    def following() -> T | object:
        return next(source, _END)

    thing = following()
    if thing is _END:
        return
    context = copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="vesalius-ahead") as pool:
        while thing is not _END:
            coming = pool.submit(context.run, following)
            yield thing  # type: ignore[misc]
            thing = coming.result()
