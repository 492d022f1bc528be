"""What every endpoint has at hand: the service, who calls, and blocking work in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request
from starlette.requests import ClientDisconnect

from vesalius.errors import Refusal
from vesalius.service.container import Service
from vesalius.service.http.access import Caller
from vesalius.service.threads import in_thread

T = TypeVar("T")


async def service_of(request: Request) -> Service:
    """The service behind the app (async: FastAPI would take a thread for it otherwise)."""
    service: Service = request.app.state.service
    return service


async def caller_of(request: Request) -> Caller:
    """Who calls; Refusal where that is not known, or too often."""
    service: Service = request.app.state.service
    access = service.access
    # A thread only where something is waited for: a hop costs more than the check.
    try:
        if access.at_hand(request):
            return access.caller(request)
        return await in_thread(access.caller, request)
    except Refusal as error:
        if error.code in {"invalid_key", "forbidden"}:
            await in_thread(service.note_refused, error.code)
        raise


EVERYTHING = Query(alias="all", description="Must be true.")
"""What a deletion of everything must say: a path that lacks its id deletes nothing."""
Serving = Annotated[Service, Depends(service_of)]
Calling = Annotated[Caller, Depends(caller_of)]


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """``work``'s result, or its cancellation as soon as the caller has gone."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
