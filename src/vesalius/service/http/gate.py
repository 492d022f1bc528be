"""The outermost layer: request ids, names and origins, bounded bodies, one log line a request.

Knows no route. Whatever is raised below ends here as problem+json, never as a bare 500.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vesalius.errors import Refusal, VesaliusError
from vesalius.service.http import problems
from vesalius.service.settings import Settings
from vesalius.service.telemetry import Metrics, Traces, log, place_of
from vesalius.system.addresses import LOCAL, host_name, same_origin

MAX_HEAD = 16 * 1024
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
EXPOSED = ("Retry-After", "X-Request-ID")
"""Headers that pages of an allowed origin may read."""
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}


class Gate:
    """ASGI middleware around everything.

    ``shed`` holds a check for paths that cost the most: it refuses before anything else is done,
    so that refusing many costs little.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        metrics: Metrics,
        *,
        traces: Traces | None = None,
        shed: Mapping[str, Callable[[], None]] = MappingProxyType({}),
    ) -> None:
        self._held = 0
        self.app, self.settings, self.metrics = app, settings, metrics
        self.traces, self.shed = traces, shed
        # A page elsewhere must not reach a keyless service through somebody's browser, under
        # whatever name it got that browser to resolve to this machine.
        self.hosts = settings.hosts or (LOCAL if settings.loopback else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(12)}"
        scope.setdefault("state", {})["request_id"] = request_id
        started, seen = time.perf_counter(), _Seen()
        # HEAD is GET without its body (RFC 9110, 9.3.2), and the server sends none: routes need
        # not know of it.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SAFE.items():
                    headers.setdefault(name, value)
                if (origin := Headers(scope=scope).get("origin")) in self.settings.origins:
                    # Refusals of this layer, too, or the page could not read them.
                    headers.setdefault("Access-Control-Allow-Origin", str(origin))
                    headers.setdefault("Access-Control-Expose-Headers", ", ".join(EXPOSED))
                    headers.add_vary_header("Origin")
            await send(message)

        try:
            self._admit(scope)
            if (path := scope["path"]) in self.shed and scope["method"] == "POST":
                scope["state"]["route"] = path
                self.shed[path]()
            await self.app(inner, self._bounded(receive, seen), sending)
        except ClientDisconnect:
            seen.code = "cancelled"
        except Exception as error:  # noqa: BLE001
            # The last resort: handlers below have answered all that is known.
            await self._answer(error, scope, seen, receive, sending)
        finally:
            self._held -= seen.held
            scope["route"] = inner.get("route")
            self._tell(scope, seen, time.perf_counter() - started, request_id)

    def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        head = len(scope["raw_path"]) + len(scope["query_string"])
        if head + sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEAD:
            raise Refusal(
                "head_too_large", f"path and headers have at most {MAX_HEAD:,} bytes here"
            )
        if self.hosts and host_name(headers.get("host", "")) not in self.hosts:
            raise Refusal("host_not_allowed", "this service is not called by that name")
        origin = headers.get("origin")
        if origin and origin not in self.settings.origins and not same_origin(headers):
            raise Refusal("origin_not_allowed", "pages of that origin may not call this service")
        if (coding := headers.get("content-encoding", "identity").strip().lower()) != "identity":
            # Unpacked it could be of any size, and taken as it is it would be called broken.
            detail = f"a body in the content coding {coding[:20]!r} is not unpacked here"
            raise Refusal("unsupported_body", detail, hint="send it without Content-Encoding")
        length = headers.get("content-length", "")
        if _two_lengths(headers):
            raise Refusal("bad_request", "a request has a Content-Length or a Transfer-Encoding")
        if length.isdigit() and int(length) > self.settings.max_body:
            raise self._too_large()

    def _bounded(self, receive: Receive, seen: _Seen) -> Receive:
        """``receive`` that counts bytes and seconds until the body is there."""
        left, until = self.settings.max_body, time.monotonic() + self.settings.body_deadline
        whole = False

        async def bounded() -> Message:
            nonlocal left, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout(max(0.001, until - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                seconds = self.settings.body_deadline
                raise Refusal("timeout", f"the body did not arrive within {seconds:g} s") from None
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                left, seen.held, self._held = left - size, seen.held + size, self._held + size
                if left < 0:
                    raise self._too_large()
                if self._held > self.settings.max_held:
                    detail = "too much is being sent at once"
                    raise Refusal("overloaded", detail, hint="send it again later")
                whole = not message.get("more_body", False)
            else:
                whole = True
            return message

        return bounded

    def _too_large(self) -> Refusal:
        most = self.settings.max_body
        return Refusal("body_too_large", f"a request has at most {most:,} bytes here")

    async def _answer(
        self, error: Exception, scope: Scope, seen: _Seen, receive: Receive, send: Send
    ) -> None:
        known = (
            error if isinstance(error, VesaliusError) else Refusal("internal", "a fault of ours")
        )
        seen.code = known.code
        if known.code not in problems.TABLE or known.code == "internal":
            seen.fault = place_of(error)
        if seen.status == 0:
            openai = scope["path"].startswith("/v1/")
            answer = problems.response(known, scope["state"]["request_id"], openai=openai)
            if known.code == "timeout" or _two_lengths(Headers(scope=scope)):
                # Of other refusals what is still to come is read and dropped, for a while: a
                # client that is cut off while it sends would never see why.
                answer.headers["Connection"] = "close"
            await answer(scope, receive, send)

    def _tell(self, scope: Scope, seen: _Seen, seconds: float, request_id: str) -> None:
        routed = getattr(scope.get("route"), "path", None)
        route = routed or scope["state"].get("route") or "unknown"
        status = seen.status or 499
        code = seen.code or scope["state"].get("problem")
        self.metrics.requests.labels(_method(scope), route, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        if code:
            self.metrics.problems.labels(code if code in problems.TABLE else "internal").inc()
        fault = seen.fault or scope["state"].get("fault")
        fields: dict[str, Any] = {
            "request_id": request_id,
            "method": _method(scope),
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        if self.traces is not None:
            self.traces.request(fields, Headers(scope=scope), seconds)
        fields |= {k: v for k, v in (("code", code), ("fault", fault)) if v}
        (log().error if fault else log().info)("request", **fields)


class _Seen:
    """What is known of a response so far."""

    def __init__(self) -> None:
        self.status = self.held = 0
        self.code: str | None = None
        self.fault: str | None = None


def _two_lengths(headers: Headers) -> bool:
    """Whether a proxy may see another end of the request than we do: then its connection is closed.

    What comes next on it may be a request that was smuggled past the proxy (RFC 9112, 6.3).
    """
    return "content-length" in headers and "transfer-encoding" in headers


def _method(scope: Scope) -> str:
    """Any other is a caller's word, and no label."""
    return str(scope["method"]) if scope["method"] in METHODS else "other"
