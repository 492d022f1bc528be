"""Views of pictures at the page's own address: the API's, for who has a ticket of a session.

The browser never has the service's key. The page's script hands its viewer a ticket, which stands
for the API as that session asks it, for that person, and which ends with the session.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from weakref import WeakKeyDictionary, WeakValueDictionary

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vesalius.service.http.schemas import ViewRequest
from vesalius.service.web import HEADER, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api

BASE = "picture"
TICKET = "X-Vesalius-Ticket"
SAFE = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
AT_ONCE = 8
"""Views that one session may wait for: what it waits in are threads of everybody's."""
_tickets: WeakKeyDictionary[Api, str] = WeakKeyDictionary()
_holders: WeakValueDictionary[str, Api] = WeakValueDictionary()
_under_way: WeakKeyDictionary[Api, int] = WeakKeyDictionary()


def ticket_for(api: Api) -> str:
    """The ticket of a session's API, the same each time."""
    ticket = _tickets.setdefault(api, secrets.token_urlsafe(32))
    _holders[ticket] = api
    return ticket


def view_in(query: Mapping[str, str], image_id: str) -> ViewRequest:
    """The view that ``frame``, ``centre`` and ``width`` of an address name; ValidationError."""
    window = {name: query[name] for name in ("centre", "width") if name in query}
    view = {"image_id": image_id, "frame": query.get("frame")}
    return ViewRequest.model_validate(view | ({"window": window} if len(window) == 2 else {}))


async def picture(request: Request) -> Response:
    """A view of a picture as PNG; a refusal as its code, a sentence, and seconds to wait."""
    api = _holder(request)
    if api is None:
        return _refusal(403, "forbidden", "This page has been open for too long: load it again.")
    try:
        view = view_in(request.query_params, request.path_params["image_id"])
    except ValidationError:
        return _refusal(422, "invalid_request", "There is no such view.")
    if _under_way.get(api, 0) >= AT_ONCE:
        return _refusal(429, "overloaded", "Too many views are on their way.", 1.0)
    _under_way[api] = _under_way.get(api, 0) + 1
    try:
        # Whoever waits here sees the last picture meanwhile, and asks again by itself.
        png = await run_in_threadpool(
            api.image, view.image_id, frame=view.frame, window=view.window, patience=0.0
        )
    except ApiError as error:
        text, wait = words.error_text(error), error.retry_after
        return _refusal(error.status or 502, error.code, text, wait)
    finally:
        _under_way[api] -= 1
    return Response(png, media_type="image/png", headers=SAFE)


def _holder(request: Request) -> Api | None:
    """The API that a ticket stands for, if the person whom a proxy names is still the same."""
    api = _holders.get(request.headers.get(TICKET, ""))
    header = os.environ.get(HEADER)
    if api is not None and header and request.headers.get(header) != api.user:
        return None
    return api


def _refusal(status: int, code: str, text: str, wait: float | None = None) -> Response:
    problem = {"code": code, "text": text, "retry_after": wait}
    return JSONResponse(problem, status, headers=SAFE)


ROUTES = [Route(f"/{BASE}/{{image_id}}", picture, methods=["GET"])]
