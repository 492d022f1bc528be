"""The page answers under its own names and to itself alone, and is in nobody's frame."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from vesalius.service.web import HOSTS
from vesalius.service.web.gate import UNFRAMED, PageGate, allowed


@pytest.mark.parametrize(
    ("named", "bound", "names"),
    [
        ("", "127.0.0.1", {"localhost", "127.0.0.1", "::1"}),
        ("", "127.0.0.5", {"localhost", "127.0.0.1", "::1", "127.0.0.5"}),
        ("", "0.0.0.0", set()),  # a proxy is in front, and people are told apart
        ("", None, set()),
        ("Desk.example, other.example", "0.0.0.0", {"desk.example", "other.example"}),
        ("desk.example", "127.0.0.1", {"desk.example"}),
    ],
)
def test_names_come_from_the_setting_or_the_address(
    named: str, bound: str | None, names: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOSTS, named)
    assert set(allowed(bound)) == names


def answered(
    host: str | None,
    kind: str,
    origin: str | None = None,
    *,
    forwarded: str | None = None,
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1"),
) -> list[Any]:
    """What is sent for one request or socket under a name, from a page of an origin."""
    sent: list[Any] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "served"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    named = {b"host": host, b"origin": origin, b"x-forwarded-proto": forwarded}
    headers = [(name, value.encode()) for name, value in named.items() if value is not None]
    scope = {"type": kind, "method": "GET", "path": "/", "headers": headers}
    gate = PageGate(page, hosts)
    asyncio.run(gate(scope, receive, send))
    return sent


@pytest.mark.parametrize("host", ["localhost:8501", "127.0.0.1", "[::1]:8501", "LOCALHOST"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_its_own_names_are_served(host: str, kind: str) -> None:
    assert answered(host, kind) == [{"type": "served"}]


@pytest.mark.parametrize(
    "host", ["evil.example:8501", "localhost.evil.example", "127.0.0.1@evil.example", "", None]
)
def test_any_other_is_refused_in_a_request_and_in_a_socket(host: str | None) -> None:
    start, *_ = answered(host, "http")
    assert (start["type"], start["status"]) == ("http.response.start", 403)
    assert answered(host, "websocket") == [{"type": "websocket.close"}]


def test_starting_and_stopping_are_nobody_s() -> None:
    assert answered(None, "lifespan") == [{"type": "served"}]


@pytest.mark.parametrize("origin", [None, "http://localhost:8501", "https://LOCALHOST:8501"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_its_own_page_and_programs_are_served(origin: str | None, kind: str) -> None:
    assert answered("localhost:8501", kind, origin) == [{"type": "served"}]


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:8502",  # another program of this machine
        "http://127.0.0.1:8501",
        "http://localhost",
        "https://evil.example",
        "https://share.streamlit.io",
        "file://localhost:8501",
        "chrome-extension://localhost:8501",
        "http://localhost:8501.evil.example",
        "null",
        "",
    ],
)
def test_any_other_page_is_a_stranger(origin: str) -> None:
    start, *_ = answered("localhost:8501", "http", origin)
    assert start["status"] == 403
    assert answered("localhost:8501", "websocket", origin) == [{"type": "websocket.close"}]


@pytest.mark.parametrize("forwarded", ["https", "wss", "HTTPS, http"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_behind_tls_a_page_that_came_without_is_a_stranger(forwarded: str, kind: str) -> None:
    of = "desk.example", kind
    gate = {"hosts": ("desk.example",), "forwarded": forwarded}
    assert answered(*of, "https://desk.example", **gate) == [{"type": "served"}]
    assert answered(*of, "http://desk.example", **gate)[0] != {"type": "served"}
    assert answered(*of, "http://desk.example", **gate | {"forwarded": "http"}) == [
        {"type": "served"}
    ]


def test_what_is_refused_and_what_is_served_is_framed_by_nobody() -> None:
    sent: list[Any] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("hello")(scope, receive, send)

    async def send(message: Any) -> None:
        sent.append(message)

    for host in (b"localhost", b"evil.example"):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", host)]}
        asyncio.run(PageGate(page, ("localhost",))(scope, None, send))  # type: ignore[arg-type]
    starts = [Headers(raw=one["headers"]) for one in sent if one["type"] == "http.response.start"]
    assert [{name: one[name] for name in UNFRAMED} for one in starts] == [UNFRAMED] * 2


def test_the_library_trusts_no_foreign_page_and_asks_nobody_for_our_address() -> None:
    from streamlit import config, net_util

    before = net_util.get_external_ip, config.get_option("client.allowedOrigins")
    import vesalius.service.web.asgi

    try:
        assert vesalius.service.web.asgi.app is not None
        assert config.get_option("client.allowedOrigins") == []
        assert net_util.get_external_ip() is None
    finally:
        net_util.get_external_ip = before[0]
        config.set_option("client.allowedOrigins", before[1])
