"""What operators and monitors ask: alive, ready, metrics, version, model card."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse, PlainTextResponse

from vesalius.errors import Refusal
from vesalius.service.chat.cards import card, version_of
from vesalius.service.http.routes.dependencies import Calling, Serving
from vesalius.service.http.routes.openapi_docs import content_response, problems
from vesalius.service.http.schemas import CardOut
from vesalius.service.threads import in_thread

READY_SECONDS = 3
router = APIRouter(tags=["operations"])


@router.get("/healthz", responses=problems(called=False))
async def healthz() -> dict[str, str]:
    """Alive: the process answers."""
    return {"status": "alive"}


@router.get(
    "/readyz", responses=problems("not_ready", "shutting_down", "storage_unavailable", called=False)
)
async def readyz(service: Serving) -> dict[str, str]:
    """Ready: the model has done its first inference, and the storage answers."""
    if service.stopping:
        raise Refusal("shutting_down", "the service is stopping")
    if not service.ready:
        # Anybody may ask this: why it failed may name a place on this machine.
        failed = "the model cannot be loaded; it is tried again, and the log says why"
        raise Refusal("not_ready", failed if service.failed else "the model is being loaded")
    try:
        async with asyncio.timeout(READY_SECONDS):
            await in_thread(service.store.ping)
    except TimeoutError:
        raise Refusal("storage_unavailable", "the storage does not answer") from None
    return {"status": "ready"}


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses=problems(called=False),
)
async def metrics(service: Serving) -> Response:
    """Prometheus' text format."""
    text = service.metrics.exposition(service.engine.load(), service.ready and not service.stopping)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/version", responses=problems(called=False))
async def version(service: Serving) -> dict[str, Any]:
    """What is running: versions, hashes of weights and recipe, and what is allowed."""
    return version_of(service)


@router.get(
    "/model-card",
    response_model=None,
    responses=content_response("The card", "text/markdown", model=CardOut) | problems(),
)
async def model_card(request: Request, service: Serving, caller: Calling) -> Response:
    """How the model was made, what it was measured to do, and its limits.

    JSON with the card in ``markdown``; the bare text for ``Accept: text/markdown``.
    """
    del caller
    markdown = await in_thread(card, service)
    if "text/markdown" in request.headers.get("accept", ""):
        return Response(markdown, media_type="text/markdown; charset=utf-8")
    content = CardOut(markdown=markdown, provenance=service.engine.about())
    return JSONResponse(content.model_dump(mode="json"))
