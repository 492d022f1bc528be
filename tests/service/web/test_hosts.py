"""The page answers under its own names alone: no other page can read it by a name of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vesalius.service.web import HOSTS
from vesalius.service.web.hosts import KnownHosts, allowed


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


def answered(host: str | None, kind: str) -> list[Any]:
    """What is sent for one request or socket under a name."""
    sent: list[Any] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "served"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    headers = [] if host is None else [(b"host", host.encode())]
    scope = {"type": kind, "method": "GET", "path": "/", "headers": headers}
    gate = KnownHosts(page, ("localhost", "127.0.0.1", "::1"))
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
