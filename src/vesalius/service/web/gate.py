"""The page's outermost layer: the names it is called by, the pages that may reach it, its frames.

A page of anybody's can make a browser resolve a name of its own to this machine (DNS rebinding) and
then read, under that name, what the browser's user would see here. It can also open a socket to a
name of ours, or put the page into a frame under something else to be clicked on.
"""

from __future__ import annotations

import os

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vesalius.service.web import HOSTS
from vesalius.system.addresses import LOCAL, host_name, is_loopback, same_origin

UNFRAMED = {"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY"}


def allowed(bound: str | None) -> tuple[str, ...]:
    """The names in ``$VESALIUS_WEB_HOSTS``; else, bound to loopback, its own; else any: ().

    ``bound`` is the address that the page listens on.
    """
    named = tuple(n.strip().lower() for n in os.environ.get(HOSTS, "").split(",") if n.strip())
    if named:
        return named
    return (*LOCAL, bound) if bound is not None and is_loopback(bound) else ()


class PageGate:
    """ASGI middleware: another name or another origin is answered 403, and nothing may be framed.

    An origin is another where anything differs from ``Host``: a page on another port of this
    machine is a stranger. What is no browser sends no ``Origin``.
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request whose ``Host`` is known and whose ``Origin``, if any, is this page's."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(UNFRAMED)
            await send(message)

        if scope["type"] not in {"http", "websocket"} or (refusal := self._refusal(scope)) is None:
            await self.app(scope, receive, sending)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: 403
        else:
            await PlainTextResponse(refusal, 403)(scope, receive, sending)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        if self.hosts and host_name(headers.get("host", "")) not in self.hosts:
            return "This page is not called by that name.\n"
        if "origin" in headers and not same_origin(headers):
            return "Pages of that origin may not call this page.\n"
        return None
