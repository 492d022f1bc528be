"""Views at the page's own address: for who has a ticket, as the person it was given to."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from vesalius.service.web import HEADER
from vesalius.service.web.client import Api
from vesalius.service.web.views import AT_ONCE, ROUTES, TICKET, ticket_for


class Service(BaseHTTPRequestHandler):
    """An API that says of each request how it was asked, or that it is asked too often."""

    free = Event()
    """Until it is set, what is slow waits."""

    def do_GET(self) -> None:
        if "slow" in self.path:
            self.free.wait(20)
        often = "often" in self.path
        problem = b'{"code": "rate_limited", "detail": "more than 3 requests in a minute"}'
        person, key = (self.headers.get(name, "") for name in ("X-Vesalius-User", "Authorization"))
        body = problem if often else f"{self.path} {person} {key}".encode()
        self.send_response(429 if often else 200)
        if often:
            self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=ROUTES)) as client:
        yield client


def test_a_view_is_asked_for_as_the_ticket_s_person(service: str, page: TestClient) -> None:
    with Api(service, key="secret", user="ada") as ada, Api(service, user="ben") as ben:
        assert ticket_for(ada) == ticket_for(ada) != ticket_for(ben)
        path = "/picture/img_1?frame=2&centre=40&width=80"
        seen = page.get(path, headers={TICKET: ticket_for(ada)})
        assert seen.text == "/images/img_1?frame=2&centre=40.0&width=80.0 ada Bearer secret"
        assert page.get("/picture/img_1", headers={TICKET: ticket_for(ben)}).text == (
            "/images/img_1 ben "
        )
        assert seen.headers["cross-origin-resource-policy"] == "same-origin"
        assert seen.headers["cache-control"] == "no-store"


def test_a_refusal_is_words_and_seconds_at_once(service: str, page: TestClient) -> None:
    with Api(service) as api:
        refused = page.get("/picture/often", headers={TICKET: ticket_for(api)})
    assert refused.status_code == 429
    assert refused.json() == {
        "code": "rate_limited",
        "text": "More than 3 requests in a minute. Ask again in 7 s.",
        "retry_after": 7,
    }
    with Api("http://127.0.0.1:9") as nobody:
        answer = page.get("/picture/img_1", headers={TICKET: ticket_for(nobody)})
    assert (answer.status_code, answer.json()["code"]) == (502, "unreachable")


@pytest.mark.parametrize("path", ["img%2F..", "img 1", "img_1?frame=-1", "img_1?centre=1&width=0"])
def test_what_is_no_view_is_not_asked_for(service: str, page: TestClient, path: str) -> None:
    with Api(service) as api:
        answer = page.get(f"/picture/{path}", headers={TICKET: ticket_for(api)})
    assert answer.status_code in {404, 422}
    assert service not in answer.text


def test_a_session_waits_for_few_views_at_a_time(service: str, page: TestClient) -> None:
    with Api(service) as mine, Api(service) as other, ThreadPoolExecutor(AT_ONCE + 1) as pool:
        slow = [
            pool.submit(page.get, "/picture/slow", headers={TICKET: ticket_for(mine)})
            for _ in range(AT_ONCE + 1)
        ]
        # The one too many is answered while the others wait, and nobody else waits for them.
        done, _ = wait(slow, return_when=FIRST_COMPLETED, timeout=10)
        assert [(one.result().status_code, one.result().json()["code"]) for one in done] == [
            (429, "overloaded")
        ]
        assert page.get("/picture/img_1", headers={TICKET: ticket_for(other)}).status_code == 200
        Service.free.set()
        assert sorted(one.result().status_code for one in slow) == [200] * AT_ONCE + [429]
        assert page.get("/picture/img_1", headers={TICKET: ticket_for(mine)}).status_code == 200


def test_a_ticket_ends_with_its_session(service: str, page: TestClient) -> None:
    api = Api(service)
    ticket = ticket_for(api)
    assert page.get("/picture/img_1", headers={TICKET: ticket}).status_code == 200
    api.close()
    del api
    gc.collect()
    assert page.get("/picture/img_1", headers={TICKET: ticket}).status_code == 403


def test_a_ticket_is_no_other_person_s(
    service: str, page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HEADER, "X-Login")
    with Api(service, user="ada") as api:
        for login, status in (("ada", 200), ("ben", 403), ("", 403)):
            headers = {TICKET: ticket_for(api), "X-Login": login}
            assert page.get("/picture/img_1", headers=headers).status_code == status
