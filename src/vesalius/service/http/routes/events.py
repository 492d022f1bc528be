"""Server-sent events: what happens to a question, and a heartbeat where nothing does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse

from vesalius.errors import Refusal, VesaliusError
from vesalius.service.http import problems
from vesalius.service.telemetry import place_of

Item = TypeVar("Item")
ALIVE = b": alive\n\n"
HEADERS = {"X-Accel-Buffering": "no"}  # nginx must not hold tokens back


def event(name: str | None, data: Any) -> bytes:
    """One event; ``data`` becomes JSON unless it is text already."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, default=str)
    head = "" if name is None else f"event: {name}\n"
    return f"{head}data: {text}\n\n".encode("utf-8", "replace")


def streamed(
    request: Request,
    first: Item,
    items: AsyncGenerator[Item],
    render: Callable[[Item], bytes],
    failed: Callable[[dict[str, Any]], bytes],
    *,
    heartbeat: float,
    last: bytes = b"",
) -> StreamingResponse:
    """A response that renders items as they come; the server cancels it when the caller goes."""

    async def chunks() -> AsyncIterator[bytes]:
        yield render(first)
        pending = asyncio.ensure_future(anext(items, None))
        try:
            while True:
                done, _ = await asyncio.wait({pending}, timeout=heartbeat)
                if not done:
                    yield ALIVE
                    continue
                item = pending.result()
                if item is None:
                    break
                yield render(item)
                pending = asyncio.ensure_future(anext(items, None))
            if last:
                yield last
        except Exception as error:  # noqa: BLE001
            # The status is sent: what goes wrong from here on is told as the last event.
            known = error if isinstance(error, VesaliusError) else Refusal("internal", "a fault")
            request.state.problem = known.code
            if known is not error:
                request.state.fault = place_of(error)
            yield failed(problems.body(known, request.state.request_id))
        finally:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
            await items.aclose()

    return StreamingResponse(chunks(), media_type="text/event-stream", headers=HEADERS)
