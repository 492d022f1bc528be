"""The outermost layer: names, origins, sizes, slow and broken requests, over raw sockets."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as slowly
from hypothesis import strategies as st
from serving import Serving, serving

from vesalius.service.http import bodies, problems
from vesalius.service.http.deadlines import Deadline


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Small limits and short deadlines."""
    limits = {"max_body": 20_000, "header_deadline": 0.5, "body_deadline": 0.6, "connections": 20}
    with serving(tmp_path_factory.mktemp("tight"), rate_per_minute=100_000, **limits) as running:
        yield running


ENCODED = "application/x-www-form-urlencoded"
ENCLOSED = "multipart/form-data; boundary=b"
HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


def raw(api: Serving, data: bytes, *, wait: float = 5) -> bytes:
    """What the service answers to bytes, until it closes or falls silent."""
    port = int(api.url.rpartition(":")[2])
    with closing(socket.create_connection(("127.0.0.1", port), timeout=wait)) as peer:
        peer.sendall(data)
        answer = b""
        while chunk := peer.recv(65536):
            answer += chunk
            head, ended, content = answer.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            if ended and length and len(content) >= int(length[1]):
                break
        return answer


def problem_of(answer: bytes) -> dict:
    head, _, content = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return json.loads(content)


def test_every_answer_has_an_id_and_safe_headers(api: Serving) -> None:
    answer = api.client.get("/healthz")
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_unknown_paths_and_methods_are_problems(api: Serving) -> None:
    for answer, status, code in (
        (api.client.get("/nothing"), 404, "not_found"),
        (api.client.delete("/ask_question"), 405, "method_not_allowed"),
        (api.client.get("/conversations/%00"), 404, "not_found"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == problems.MEDIA_TYPE


def test_a_loopback_service_is_called_by_its_own_names_only(api: Serving) -> None:
    for host in ("evil.example", "localhost.evil.example", "x@localhost", "localhost/x", "[::2]"):
        answer = api.client.get("/healthz", headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "host_not_allowed")
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]", "[::1]:8000"):
        assert api.client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nothing", "/ask_question"])
def test_head_is_get_without_its_body(api: Serving, path: str) -> None:
    head, get = api.client.head(path), api.client.get(path)
    assert head.status_code == get.status_code
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers["content-length"]  # a whole answer, whose body the server left out


def test_pages_elsewhere_may_not_call(api: Serving, tmp_path: Path) -> None:
    answer = api.upload(headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    answer = api.upload(headers={"Origin": api.url, "X-Forwarded-Proto": "https"})
    assert answer.json()["code"] == "origin_not_allowed"  # it came to the proxy without TLS
    with serving(tmp_path, origins=("https://good.example",)) as other:
        allowed = other.client.get("/healthz", headers={"Origin": "https://good.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://good.example"
        refused = other.client.get(
            "/healthz", headers={"Origin": "https://good.example", "Host": "evil.example"}
        )
        assert refused.status_code == 403  # by the gate itself, and the page can read why
        assert refused.headers["access-control-allow-origin"] == "https://good.example"
        assert "Retry-After" in refused.headers["access-control-expose-headers"]
        wish = {"Origin": "https://good.example", "Access-Control-Request-Method": "POST"}
        assert other.client.options("/upload_image", headers=wish).status_code == 200
        wish["Access-Control-Request-Method"] = "PATCH"
        assert other.client.options("/conversations/x", headers=wish).status_code == 200
        wish["Access-Control-Request-Method"] = "TRACE"
        refused = other.client.options("/upload_image", headers=wish)
        assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed")
        assert refused.headers["content-type"] == problems.MEDIA_TYPE


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_refused(tight: Serving, announced: bool) -> None:
    head = b"POST /ask_question HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    if announced:
        answer = raw(tight, head + b"Content-Length: 999999999\r\n\r\n")
    else:
        chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        answer = raw(tight, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 6)
    assert b" 413 " in answer.splitlines()[0]
    assert problem_of(answer)["code"] == "body_too_large"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he",
    ],
    ids=["nothing", "half a head", "half a second head"],
)
def test_a_head_that_does_not_come_ends_the_connection(tight: Serving, sent: bytes) -> None:
    started = time.monotonic()
    port = int(tight.url.rpartition(":")[2])
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as peer:
        peer.sendall(sent)
        answer = b""
        while chunk := peer.recv(65536):
            answer += chunk
    assert 0.4 < time.monotonic() - started < 3
    assert answer.rstrip().endswith(b"}")
    assert b" 408 " in answer


def test_a_body_that_does_not_come_is_a_timeout(tight: Serving) -> None:
    head = b"POST /ask_question HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = raw(tight, head + b"Content-Length: 100\r\n\r\n{")
    assert problem_of(answer)["code"] == "timeout"


def test_too_many_connections_are_closed_and_the_rest_served(tight: Serving) -> None:
    port = int(tight.url.rpartition(":")[2])
    peers = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(40)]
    closed = 0
    for peer in peers[25:]:
        try:
            closed += peer.recv(1) == b""
        except ConnectionResetError:
            closed += 1
    for peer in peers:
        peer.close()
    assert closed == len(peers[25:])
    time.sleep(0.1)
    assert tight.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /ask_question HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: y\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\r\n\tb: c\r\n\r\n",
    ],
    ids=[
        *("tls", "version", "two hosts", "smuggling", "long header", "long path", "negative"),
        *("bare line feeds", "one bare line feed", "a bare end", "folded", "folded by a tab"),
    ],
)
def test_what_is_no_http_is_refused_and_the_service_lives(tight: Serving, data: bytes) -> None:
    answer = raw(tight, data)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:80]
    assert problem_of(answer)["status"] in {400, 403, 431}
    assert tight.client.get("/healthz").status_code == 200


def test_a_loose_head_behind_another_request_is_refused(tight: Serving) -> None:
    """Of two requests in one parcel the first is answered, the second ends the connection."""
    first = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    port = int(tight.url.rpartition(":")[2])
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as peer:
        peer.sendall(first + b"GET /version HTTP/1.1\r\nHost: localhost\n\r\n")
        answer = b"".join(iter(lambda: peer.recv(65536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"400"]


def test_two_lengths_end_the_connection(tight: Serving) -> None:
    """What comes behind them may be a request that was smuggled past a proxy."""
    head = HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(tight, head + b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower()


def test_small_answers_are_sent_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nagle's delay would hold each answer on a kept connection back for 40 ms."""
    immediate, connected = [], Deadline.connection_made

    def connection_made(self: Deadline, transport: Any) -> None:
        connected(self, transport)
        peer = transport.get_extra_info("socket")
        immediate.append(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(Deadline, "connection_made", connection_made)
    with serving(tmp_path, warm=False) as api:
        assert api.client.get("/healthz").status_code == 200
    assert immediate
    assert all(immediate)


def part(name: str, content: bytes = b"x", extra: bytes = b"", file: bool = False) -> bytes:
    named = f'form-data; name="{name}"' + ('; filename="a"' if file else "")
    return (
        b"--b\r\nContent-Disposition: "
        + named.encode()
        + b"\r\n"
        + extra
        + b"\r\n"
        + content
        + b"\r\n"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"".join(part(f"p{i}") for i in range(17)) + b"--b--\r\n",
        part("n" * 101) + b"--b--\r\n",
        part("x", extra=b"".join(b"H%d: v\r\n" % i for i in range(20))) + b"--b--\r\n",
        part("x", extra=b"H: " + b"v" * 5000 + b"\r\n") + b"--b--\r\n",
        part("image_file", file=True),
        part("image_file", file=True)[:-2] + b"--b--",
        b"--b\r\n\r\nno disposition\r\n--b--\r\n",
        part("x", extra=b"Content-Transfer-Encoding: base64\r\n") + b"--b--\r\n",
        part("mask", extra=b'Content-Disposition: form-data; name="image_file"; filename="a"\r\n')
        + b"--b--\r\n",
        b"garbage",
        b"",
    ],
    ids=[
        *("parts", "name", "heads", "head", "no end", "broken", "nameless", "encoded", "two names"),
        *("garbage", "empty"),
    ],
)
def test_forms_beyond_their_limits_are_refused(tight: Serving, content: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = tight.client.post("/upload_image", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_multipart")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"This is a message with parts.\r\n", b""),
        (b"\r\n", b""),
        (b"-- \r\n--c\r\n b--b\r\n", b""),
        (b"", b"whatever comes after\r\n--b\r\n"),
    ],
)
def test_what_is_around_a_form_is_skipped(before: bytes, after: bytes) -> None:
    """A preamble and an epilogue (RFC 2046, 5.1.1)."""
    form = before + part("x") + part("y", file=True) + b"--b--\r\n" + after
    read = bodies.parts(form, "multipart/form-data; boundary=b")
    assert [(one.name, one.is_file) for one in read] == [("x", False), ("y", True)]
    assert read == bodies.parts(part("x") + part("y", file=True) + b"--b--", ENCLOSED)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity"])
def test_a_body_that_is_packed_is_refused_as_such(tight: Serving, coding: str) -> None:
    packed = gzip.compress(b'{"image_id": "x", "question": "y"}')
    headers = {"content-type": "application/json", "content-encoding": coding}
    for path in ("/ask_question", "/upload_image", "/v1/chat/completions", "/v1/responses"):
        answer = tight.client.post(path, content=packed, headers=headers)
        assert answer.status_code == 415
        told = answer.json()
        assert "Content-Encoding" in (told.get("detail") or told["error"]["message"])
    answer = tight.client.post(
        "/ask_question", content=b"{}", headers=headers | {"content-encoding": "identity"}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b"[1]", "application/json", 400, "invalid_json"),
        (b'{"image_id": "a", "image_id": "b"}', "application/json", 400, "invalid_json"),
        (b"", "application/json", 422, "invalid_request"),
        (b'{"a": NaN}', "application/json", 400, "invalid_json"),
        (b"[" * 5000, "application/json", 400, "invalid_json"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, "application/json", 400, "invalid_json"),
        (b"\xff\xfe", "application/json", 400, "invalid_json"),
        (b"x", "text/xml", 415, "unsupported_body"),
        (b"question=%ff&image_id=x", ENCODED, 400, "invalid_multipart"),
        (b"a=1&a=2", ENCODED, 400, "invalid_multipart"),
        (b"&".join(b"a%d=1" % i for i in range(20)), ENCODED, 400, "invalid_multipart"),
        (b"x", "multipart/form-data", 400, "invalid_multipart"),
    ],
)
def test_bodies_that_cannot_be_read_say_so(
    tight: Serving, content: bytes, kind: str, status: int, code: str
) -> None:
    answer = tight.client.post("/ask_question", content=content, headers={"content-type": kind})
    if code == "invalid_json" and answer.status_code == 422:
        # Python of another version may read what nests this deep; then a field is missing.
        assert content.startswith(b'{"a":{')
        return
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@slowly(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=300), form=st.booleans())
def test_no_body_makes_a_fault(tight: Serving, content: bytes, form: bool) -> None:
    kind = "multipart/form-data; boundary=b" if form else "application/json"
    paths = ("/ask_question", "/upload_image", "/v1/chat/completions", "/v1/responses", "/feedback")
    for path in paths:
        answer = tight.client.post(path, content=content, headers={"content-type": kind})
        assert 400 <= answer.status_code < 500


def test_a_fault_of_ours_is_a_problem_that_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path) as api:

        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError("DOE^JANE MRN0012345")

        monkeypatch.setattr(api.service.store, "conversations", broken)
        answer = api.client.get("/conversations")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "JANE" not in answer.text
    written = "".join(capfd.readouterr())
    assert "JANE" not in written
    assert "ZeroDivisionError at test_gate.py" in written


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b'{"question": "Jane Doe",}', "line 1 column 25"),
        (b'{"question": "Jane Doe", "question": "x"}', "a name stands twice"),
        (b'{"question": "Jane Doe", "max_tokens": NaN}', "NaN is not JSON"),
        (b'{"question": "Jane Doe \\ud83d"}', "a character is none"),
    ],
)
def test_a_body_that_is_no_json_says_where_and_repeats_nothing(
    tight: Serving, content: bytes, fault: str
) -> None:
    kind = {"content-type": "application/json"}
    answer = tight.client.post("/ask_question", content=content, headers=kind)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")
    assert fault in answer.json()["detail"]
    assert "Jane" not in answer.text
