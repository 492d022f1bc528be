"""The API as the page calls it, against a small real server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("httpx2", reason="the extra serve is not installed")

from vesalius.service.http.answer_schemas import AnswerOut
from vesalius.service.http.schemas import AskRequest, FeedbackRequest, Window
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import FILE_NAME, Api
from vesalius.service.web.start import free_port
from vesalius.service.web.stream import AnswerIds

ANSWER = {
    "question": "what?",
    "answer": "a nodule",
    "answer_id": "ans_1",
    "conversation_id": "cnv_1",
    "image_id": "img_1",
    "confidence": {"method": "made up", "value": 0.5},
    "abstained": False,
    "finish": "stop",
    "provenance": {"model": "none"},
    "usage": {},
    "timing": {"total": 0.1},
}
UPLOADED = {
    "image_id": "img_1",
    "sha256": "00",
    "width": 2,
    "height": 2,
    "kind": "png",
    "frames": 1,
    "modality": None,
    "warnings": [],
    "expires_at": "2030-01-01T00:00:00Z",
}
Does = Callable[[BaseHTTPRequestHandler, bytes], None]


class Server:
    """Answers each request with the next thing it was told; remembers what it was sent."""

    def __init__(self) -> None:
        self.does: list[Does] = []
        self.got: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.got.append((self.command, self.path, dict(self.headers), sent))
                outer.does.pop(0)(self, sent)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def says(status: int, body: Any, kind: str = "application/json", **headers: str) -> Does:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def does(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return does


def problem(status: int, code: str, **headers: str) -> Does:
    said = {"title": code, "status": status, "detail": f"it is {code}", "code": code}
    body = {**said, "request_id": "req_1"}
    return says(status, body, "application/problem+json", **headers)


def event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


META = event("meta", {"answer_id": "ans_1", "conversation_id": "cnv_1"})


def streams(*events: bytes, then: Callable[[BaseHTTPRequestHandler], None] | None = None) -> Does:
    def does(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        for one in events:
            handler.wfile.write(one)
            handler.wfile.flush()
        if then is not None:
            then(handler)

    return does


ASKED = AskRequest(image_id="img_1", question="what?")


def test_a_picture_is_sent_without_its_name_and_for_its_owner(server: Server) -> None:
    server.does = [says(201, UPLOADED), says(200, UPLOADED)]
    with Api(server.url, key="secret", user="jo@ward.example") as api:
        assert [(one.image_id, one.is_new) for one in (api.upload(b"bytes"), api.upload(b"b"))] == [
            ("img_1", True), ("img_1", False),
        ]  # fmt: skip
    _, path, headers, sent = server.got[0]
    assert path == "/upload_image"
    assert headers["Authorization"] == "Bearer secret"
    assert headers["X-Vesalius-User"] == "jo@ward.example"
    assert f'name="image_file"; filename="{FILE_NAME}"'.encode() in sent
    assert b'name="mask"' not in sent


def test_text_is_covered_on_request(server: Server) -> None:
    server.does = [says(201, UPLOADED)]
    with Api(server.url) as api:
        api.upload(b"bytes", mask=True)
    assert b'name="mask"\r\n\r\ntrue\r\n' in server.got[0][3]


def test_without_a_key_or_person_neither_is_claimed(server: Server) -> None:
    server.does = [says(200, {"version": "1", "policy": {"image_hours": 2}})]
    with Api(server.url) as api:
        assert api.version().policy.image_hours == 2
    assert not {"Authorization", "X-Vesalius-User"} & set(server.got[0][2])


def test_the_view_is_asked_for_as_it_is_set(server: Server) -> None:
    server.does = [says(200, b"png", "image/png")] * 2
    with Api(server.url) as api:
        assert api.image("img_1", frame=3, window=Window(centre=-600, width=1500)) == b"png"
        api.image("img_1")
    assert server.got[0][1] == "/images/img_1?frame=3&centre=-600.0&width=1500.0"
    assert server.got[1][1] == "/images/img_1"


def test_facts_of_a_picture_where_the_service_tells_them(server: Server) -> None:
    server.does = [says(200, UPLOADED), says(200, b"png", "image/png")]
    with Api(server.url) as api:
        facts = api.about_image("img_1")
        assert facts is not None
        assert facts.kind == "png"
        assert api.about_image("img_1") is None
    assert server.got[0][2]["Accept"] == "application/json"


def test_a_neighbour_without_a_picture_is_none(server: Server) -> None:
    server.does = [problem(404, "not_found"), says(200, b"png", "image/png"), problem(503, "x")]
    with Api(server.url) as api:
        assert api.thumbnail("a/b c.png") is None
        assert api.thumbnail("a/b c.png") == b"png"
        with pytest.raises(ApiError):
            api.thumbnail("a/b c.png")
    assert server.got[0][1] == "/neighbours/a%2Fb%20c.png"


def test_a_name_from_the_address_stays_one_part_of_the_path(server: Server) -> None:
    server.does = [problem(404, "not_found")]
    with Api(server.url) as api, pytest.raises(ApiError):
        api.conversation("../model-card?x=1")
    assert server.got[0][1] == "/conversations/..%2Fmodel-card%3Fx%3D1"


def test_a_problem_keeps_its_code_words_and_request_id(server: Server) -> None:
    server.does = [problem(404, "not_found")]
    with Api(server.url) as api, pytest.raises(ApiError) as caught:
        api.conversation("cnv_1")
    error = caught.value
    assert (error.code, error.what, error.status, error.request_id) == (
        "not_found",
        "it is not_found",
        404,
        "req_1",
    )


@pytest.mark.parametrize(
    "does",
    [
        says(502, b"<html>proxy</html>", "text/html"),
        says(200, b"<html>", "text/html"),
        says(200, {"what": "else"}),
        says(400, ["a list"]),
    ],
)
def test_something_else_that_answers_is_said_to_be_so(server: Server, does: Does) -> None:
    server.does = [does]
    with Api(server.url) as api, pytest.raises(ApiError) as caught:
        api.conversation("cnv_1")
    assert caught.value.code == "foreign_answer"


def test_nobody_there_is_told_plainly() -> None:
    with Api(f"http://127.0.0.1:{free_port()}") as api:
        with pytest.raises(ApiError, match="cannot be reached"):
            api.model_card()
        assert not api.ready()
        with pytest.raises(ApiError, match="cannot be reached"):
            list(api.ask(ASKED).events())


def test_a_short_429_is_waited_out_once(server: Server) -> None:
    server.does = [problem(429, "rate_limited", Retry_After="1"), says(201, {})]
    began = time.monotonic()
    with Api(server.url) as api:
        api.feedback(FeedbackRequest(answer_id="ans_1", verdict="up"))
    assert time.monotonic() - began >= 1
    assert len(server.got) == 2


@pytest.mark.parametrize("seconds", ["30", "soon"])
def test_a_long_or_unclear_429_is_told(server: Server, seconds: str) -> None:
    server.does = [problem(429, "rate_limited", Retry_After=seconds)]
    with Api(server.url) as api, pytest.raises(ApiError) as caught:
        api.upload(b"bytes")
    assert caught.value.retry_after == (30 if seconds == "30" else None)
    assert len(server.got) == 1


def test_a_second_429_is_told(server: Server) -> None:
    server.does = [problem(429, "overloaded", Retry_After="1")] * 2
    with Api(server.url) as api, pytest.raises(ApiError) as caught:
        list(api.ask(ASKED).events())
    assert caught.value.code == "overloaded"


def test_an_answer_is_heard_as_it_comes_and_again_from_its_beginning(server: Server) -> None:
    tokens = [event("token", {"text": "a"}), b": alive\n\n", event("token", {"text": " nodule"})]
    server.does = [streams(META, *tokens, event("new", {}), event("done", ANSWER))]
    with Api(server.url) as api, api.ask(ASKED) as answering:
        events = [one for one in answering.events() if one is not None]
        again = list(answering.events())
    assert events[:3] == [AnswerIds("ans_1", "cnv_1"), "a", " nodule"]
    assert isinstance(events[3], AnswerOut)
    assert again == events
    assert answering.stopped
    assert json.loads(server.got[0][3]) == {
        "image_id": "img_1",
        "question": "what?",
        "stream": True,
    }


def test_an_error_in_the_stream_is_raised_after_what_came(server: Server) -> None:
    said = {"status": 503, "title": "t", "detail": "stopped", "code": "engine_unavailable"}
    bad = event("error", {**said, "request_id": "req_7"})
    server.does = [streams(META, event("token", {"text": "a"}), bad)]
    with Api(server.url) as api:
        heard = api.ask(ASKED).events()
        assert "a" in heard  # reads on as far as that
        with pytest.raises(ApiError) as caught:
            list(heard)
    assert (caught.value.code, caught.value.request_id) == ("engine_unavailable", "req_7")


@pytest.mark.parametrize("last", [b"", b"event: token\ndata: {}\n\n", b"event: done\ndata: {}\n\n"])
def test_a_stream_that_breaks_off_is_a_lost_connection(server: Server, last: bytes) -> None:
    server.does = [streams(META, last)]
    with Api(server.url) as api, pytest.raises(ApiError) as caught:
        list(api.ask(ASKED).events())
    assert caught.value.code == "connection_lost"


@pytest.mark.parametrize("begun", [True, False], ids=["between words", "before the first"])
def test_stopping_closes_the_connection_at_once(server: Server, begun: bool) -> None:
    left = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.settimeout(10)
        if handler.connection.recv(1) == b"":
            left.set()

    def silent(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        wait(handler)

    server.does = [streams(META, event("token", {"text": "a"}), then=wait) if begun else silent]
    with Api(server.url) as api:
        answering = api.ask(ASKED)
        heard = answering.events(tick=0.05)
        while (one := next(heard)) != "a" and (begun or one is not None or not server.got):
            pass
        began = time.monotonic()
        answering.close()
        assert [one for one in heard if one is not None] == []
    assert left.wait(1)
    assert time.monotonic() - began < 1


def test_a_list_is_searched_renamed_and_emptied(server: Server) -> None:
    row = {"conversation_id": "cnv_1", "title": "other", "turns": 1}
    row |= {"created_at": "2030-01-01T00:00:00Z", "updated_at": "2030-01-01T00:00:00Z"}
    server.does = [
        says(200, {"conversations": [row], "next": None}),
        says(200, {"images": [UPLOADED], "next": None}),
        says(200, row),
        says(200, {"deleted": 3}),
    ]
    with Api(server.url) as api:
        assert api.conversations(search="a b").conversations[0].title == "other"
        assert api.new_uploads().images[0].image_id == "img_1"
        assert api.rename("cnv_1", "other").title == "other"
        assert api.delete_all("images") == 3
    assert [(method, path) for method, path, *_ in server.got] == [
        ("GET", "/conversations?limit=30&search=a+b"),
        ("GET", "/images?limit=30&alone=true&asked=false"),
        ("PATCH", "/conversations/cnv_1"),
        ("DELETE", "/images?all=true"),
    ]
    assert json.loads(server.got[2][3]) == {"title": "other"}


def test_nobody_waits_for_a_small_picture(server: Server) -> None:
    server.does = [says(200, b"png", "image/png"), problem(429, "rate_limited", Retry_After="5")]
    with Api(server.url) as api:
        assert api.small_image("img_1", 96) == b"png"
        start = time.monotonic()
        assert api.small_image("img_1", 96) is None
        assert time.monotonic() - start < 2
    assert server.got[0][1] == "/images/img_1?side=96"
