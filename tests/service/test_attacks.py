"""Attacks that once got through: bodies that swell, peers that hold on, words where none belong."""

from __future__ import annotations

import re
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from serving import Serving, png, serving, until

from hostile import hostile
from vesalius.errors import ModelError
from vesalius.service.engine.in_process import InProcessEngine

MIB = 2**20


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("/v1/chat/completions", b'{"messages":[{"content":[' + b"0," * 9 * MIB + b"0]}]}", "json"),
        ("/v1/responses", b'{"input":[{"content":[' + b"0," * 9 * MIB + b"0]}]}", "json"),
        ("/ask_question", b"{" + b'"0":0,' * 3 * MIB + b'"1":1}', "json"),
        ("/feedback", b'{"a":[' + b"[]," * 6 * MIB + b"[]]}", "json"),
        ("/ask_question", b"&" * 19 * MIB, "x-www-form-urlencoded"),
    ],
    ids=["items", "inputs", "keys", "lists", "form"],
)  # fmt: skip
def test_a_body_of_many_values_costs_nothing(
    api: Serving, path: str, content: bytes, kind: str
) -> None:
    headers = {"content-type": f"application/{kind}"}
    started = time.process_time()  # the service is a thread of this process
    answer = api.client.post(path, content=content, headers=headers)
    assert answer.status_code == 400
    assert time.process_time() - started < 2


@pytest.mark.parametrize("size", [21 * MIB, 60 * MIB])
def test_who_sends_too_much_is_told_so(api: Serving, size: int) -> None:
    for _ in range(3):
        answer = api.upload(bytes(size))
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def peers(api: Serving, count: int) -> list[socket.socket]:
    port = int(api.url.rpartition(":")[2])
    return [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    limits = {"connections": 6, "header_deadline": 0.7, "body_deadline": 0.7}
    with serving(tmp_path_factory.mktemp("few"), rate_per_minute=100_000, **limits) as running:
        yield running


def test_a_body_that_drips_after_its_answer_is_cut_off(few: Serving) -> None:
    head = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    held = peers(few, 5)
    for peer in held:
        peer.sendall(head)
    end, alive = time.monotonic() + 4, set(held)
    while alive and time.monotonic() < end:
        for peer in list(alive):
            try:
                peer.sendall(b"a")
            except OSError:
                alive.discard(peer)
        time.sleep(0.1)
    assert not alive
    for peer in held:
        peer.close()
    until(lambda: few.client.get("/healthz").status_code == 200)


def test_a_peer_that_does_not_read_is_let_go(few: Serving) -> None:
    image_id = few.image_id(png(1, (1200, 900)))  # over 3 MB as PNG of noise
    ask = f"GET /images/{image_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    port = int(few.url.rpartition(":")[2])
    held = []
    for _ in range(4):
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", port))
        peer.sendall(ask)
        held.append(peer)
    time.sleep(3)
    for _ in range(5):
        assert few.client.get("/healthz", headers={"connection": "close"}).status_code == 200
    for peer in held:
        peer.close()


def test_bodies_in_flight_have_a_limit_together(tmp_path: Path) -> None:
    with serving(tmp_path, max_held=3 * MIB, body_deadline=5) as api:
        head = b"POST /upload_image HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n"
        form = b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        held = peers(api, 3)
        responses = b""
        for peer in held:
            try:
                peer.sendall(head + form + b"x" * 1_900_000)
            except OSError:
                continue
        for peer in held:
            peer.settimeout(1)
            try:
                responses += peer.recv(4096)
            except OSError:
                continue
        assert b" 429 " in responses
        for peer in held:
            peer.close()
        until(lambda: api.upload().status_code in {200, 201})


@pytest.mark.parametrize(
    "url", ["http://[", "http://℀.com/x", "http://h:99999999/x", "http://h:abc/", "http://h/\x00"]
)
def test_no_url_is_a_fault(tmp_path: Path, url: str) -> None:
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "x"}]
    payload = {"model": "echo", "messages": [{"role": "user", "content": content}]}
    with serving(tmp_path, image_hosts=("h",)) as api:
        answer = api.client.post("/v1/chat/completions", json=payload)
    assert (answer.status_code, answer.json()["code"]) == (422, "remote_image")


@pytest.mark.parametrize("path", ["/ask_question", "/v1/chat/completions", "/v1/responses"])
def test_half_a_character_is_no_text(api: Serving, path: str) -> None:
    words = b'"\\ud800 x"'
    if path == "/ask_question":
        body = b'{"image_id":"%s","question":%s,"stream":true}' % (api.image_id().encode(), words)
    elif path == "/v1/responses":
        body = b'{"model":"echo","input":%s}' % words
    else:
        body = b'{"model":"echo","messages":[{"role":"user","content":%s}]}' % words
    answer = api.client.post(path, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


def test_a_method_is_no_label(api: Serving) -> None:
    api.client.request("JANE0", "/x")
    text = api.client.get("/metrics").text
    assert "JANE" not in text
    assert 'method="other"' in text


def test_a_caller_who_leaves_is_no_fault(tmp_path: Path) -> None:
    with serving(tmp_path, replay_seconds=2.0) as api:
        image_id = api.image_id()
        payload = f'{{"image_id":"{image_id}","question":"gone?"}}'.encode()
        head = (
            b"POST /ask_question HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        )
        with closing(peers(api, 1)[0]) as peer:
            peer.sendall(head + b"Content-Length: %d\r\n\r\n" % len(payload) + payload)
            time.sleep(0.5)
        until(lambda: 'status="499"' in api.client.get("/metrics").text)
        assert 'status="500"' not in api.client.get("/metrics").text


def test_a_slash_too_many_is_not_redirected(api: Serving) -> None:
    answer = api.client.post("/upload_image/", files={"file": png()})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("names", [["a" * 300], ["ann", "bob"]], ids=["long", "two"])
def test_a_person_is_named_once_and_whole(api: Serving, names: list[str]) -> None:
    headers = [("X-Vesalius-User", name) for name in names]
    answer = api.client.get("/conversations", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_refusals_and_reading_are_in_the_audit_log(tmp_path: Path) -> None:
    with serving(tmp_path, keys="on") as api:
        mine = {"Authorization": f"Bearer {api.service.store.create_key('x')[1]}"}
        for _ in range(3):
            api.client.get("/conversations", headers={"Authorization": "Bearer vsk_a_b"})
        for image_id in (api.image_id(headers=mine), api.image_id(png(1), headers=mine)):
            for side in (16, 17, 18):
                api.client.get(f"/images/{image_id}?side={side}", headers=mine)
    with sqlite3.connect(tmp_path / "vesalius.db") as database:
        rows = database.execute("select event, outcome from audit order by seq").fetchall()
    assert rows.count(("access.refused", "invalid_key")) == 1  # once a minute
    assert rows.count(("image.read", "ok")) == 2  # once a minute and picture


@pytest.mark.slow
def test_many_dicom_uploads_keep_nobody_from_reading(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra ocr")
    from concurrent.futures import ThreadPoolExecutor

    name = next(
        n
        for n, (d, s, _) in hostile().items()
        if "frame" in n and s == 201 and d[128:132] == b"DICM"
    )
    with serving(tmp_path, text_in_dicom="flag", rate_per_minute=100_000) as api:
        image_id = api.image_id()
        with ThreadPoolExecutor(8) as pool:
            scans = [pool.submit(api.upload, hostile()[name][0] + bytes(n)) for n in range(8)]
            time.sleep(0.2)
            assert api.client.get(f"/images/{image_id}").status_code == 200
            assert api.client.get("/conversations").status_code == 200
            assert not all(scan.done() for scan in scans)  # reading did not wait for them
            assert {scan.result().status_code for scan in scans} <= {200, 201, 422}


def test_readiness_tells_strangers_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why a model cannot be loaded stands in the log."""

    async def start(self: InProcessEngine) -> None:
        raise ModelError("cannot be loaded", where="/srv/ward7/weights")

    monkeypatch.setattr(InProcessEngine, "start", start)
    with serving(tmp_path, warm=False) as api:
        until(lambda: api.service.failed, seconds=60)
        answer = api.client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert "the log says why" in answer.json()["detail"]
        assert "ward7" not in answer.text


def test_an_engine_that_fails_at_its_start_is_tried_again(tmp_path: Path) -> None:
    with serving(tmp_path, warm=False, replay=None, endpoint="http://127.0.0.1:9/v1") as api:
        answer = api.client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert int(re.search(r"\d+", answer.headers["retry-after"])[0]) >= 1  # type: ignore[index]
        assert api.ask(image_id="img_0", question="x").json()["code"] == "not_ready"
