"""By which names the page may be called.

A page of anybody's can make a browser resolve a name of its own to this machine (DNS rebinding) and
then read, under that name, what the browser's user would see here.
"""

from __future__ import annotations

import os

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from vesalius.service.web import HOSTS
from vesalius.system.addresses import LOCAL, host_name, is_loopback


def allowed(bound: str | None) -> tuple[str, ...]:
    """The names in ``$VESALIUS_WEB_HOSTS``; else, bound to loopback, its own; else any: ().

    ``bound`` is the address that the page listens on.
    """
    named = tuple(n.strip().lower() for n in os.environ.get(HOSTS, "").split(",") if n.strip())
    if named:
        return named
    return (*LOCAL, bound) if bound is not None and is_loopback(bound) else ()


class KnownHosts:
    """ASGI middleware: requests and sockets under any other name are answered 403."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request whose ``Host`` is known."""
        asked = scope["type"] in {"http", "websocket"}
        if not asked or not self.hosts or _name(scope) in self.hosts:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: 403
        else:
            refusal = PlainTextResponse("This page is not called by that name.\n", 403)
            await refusal(scope, receive, send)


def _name(scope: Scope) -> str:
    return host_name(Headers(scope=scope).get("host", ""))
