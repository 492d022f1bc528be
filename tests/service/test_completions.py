"""The OpenAI shape, with OpenAI's own client."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import openai
import pytest
from serving import Serving, events, png, serving

from hostile import hostile


@pytest.fixture(scope="module")
def client(api: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{api.url}/v1", api_key="unused", max_retries=0) as opened:
        yield opened


def with_picture(question: str, data: bytes | None = None) -> list[dict[str, Any]]:
    url = "data:image/png;base64," + base64.b64encode(png() if data is None else data).decode()
    return [
        {"type": "text", "text": question},
        {"type": "image_url", "image_url": {"url": url}},
    ]


def test_the_model_is_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["echo"]
    assert client.models.retrieve("echo").owned_by == "vesalius"


def test_a_completion_is_what_the_client_expects(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model="echo",
        messages=[{"role": "user", "content": with_picture("is it whole?")}],
        max_tokens=20,
        temperature=0,
    )
    assert "is it whole?" in completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert (
        completion.usage.total_tokens
        == completion.usage.prompt_tokens + completion.usage.completion_tokens
    )


def test_a_stream_is_the_same_text_in_pieces(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="echo",
        messages=[{"role": "user", "content": with_picture("one two three")}],
        stream=True,
        stream_options={"include_usage": True},
    )
    pieces, finish, usage = [], None, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            finish = choice.finish_reason or finish
    assert "".join(pieces) == "You asked: one two three"
    assert finish == "stop"
    assert usage.completion_tokens > 0


def test_an_unsure_completion_says_so_and_is_counted(tmp_path: Path) -> None:
    """As /ask_question does: the echo is sure by a half."""
    payload: dict[str, Any] = {"model": "echo", "messages": [user(with_picture("is it whole?"))]}
    with serving(tmp_path, abstain_below=0.9) as api:
        completion = api.client.post("/v1/chat/completions", json=payload).json()
        assert completion["vesalius"]["abstained"] is True
        assert completion["vesalius"]["confidence"]["value"] == 0.5
        streamed = api.client.post("/v1/chat/completions", json=payload | {"stream": True})
        *_, last, end = [data for _, data in events(streamed.text)]
        assert json.loads(last)["vesalius"] == completion["vesalius"]
        assert end == "[DONE]"
        metrics = api.client.get("/metrics").text
    assert 'vesalius_answers_total{finish="stop"} 2.0' in metrics
    assert 'vesalius_tokens_total{kind="new"} 10.0' in metrics  # "You asked: is it whole?", twice
    assert "vesalius_first_token_seconds_count 2.0" in metrics


def test_a_completion_marks_what_the_model_marked(tmp_path: Path) -> None:
    box = {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "label": "cyst"}
    row = {"id": "1", "question": "where?", "answer": {"text": "here", "boxes": [box]}}
    (tmp_path / "predictions.jsonl").write_text(json.dumps(row))
    with serving(tmp_path / "state", replay=str(tmp_path)) as api:
        payload = {"model": "vesalius", "messages": [user(with_picture("where?"))]}
        completion = api.client.post("/v1/chat/completions", json=payload).json()
    assert completion["choices"][0]["message"]["content"] == "here"
    (marked,) = completion["vesalius"]["boxes"]
    assert {k: v for k, v in marked.items() if v is not None} == box
    assert completion["vesalius"]["concepts"] is None


def test_a_history_of_turns_is_taken(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model="vesalius",
        messages=[
            {"role": "system", "content": "Answer briefly."},
            {"role": "user", "content": with_picture("which organ?")},
            {"role": "assistant", "content": "lung"},
            {"role": "user", "content": "which side?"},
        ],
    )
    assert "which side?" in completion.choices[0].message.content


UNPROCESSABLE = openai.UnprocessableEntityError
TOOL = {"type": "function", "function": {"name": "x"}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


ASSISTANT = {"role": "assistant", "content": "x"}
PAINTER = {"role": "assistant", "content": with_picture("look")}


@pytest.mark.parametrize(
    ("fields", "error", "code"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "not_found"),
        ({"n": 2}, UNPROCESSABLE, "invalid_request"),
        ({"tools": [TOOL]}, UNPROCESSABLE, "unsupported_parameter"),
        ({"messages": [ASSISTANT]}, UNPROCESSABLE, "invalid_request"),
        ({"messages": [user("a"), ASSISTANT]}, UNPROCESSABLE, "invalid_request"),
        ({"messages": [user("a"), PAINTER, user("b")]}, UNPROCESSABLE, "invalid_request"),
        ({"messages": [user(" ")]}, UNPROCESSABLE, "question_empty"),
        (
            {"messages": [user(with_picture("x", b"?"))]},
            openai.APIStatusError,
            "unsupported_media_type",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_the_client_s_terms(
    client: openai.OpenAI, fields: dict[str, Any], error: type[openai.APIStatusError], code: str
) -> None:
    base: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "hm?"}]}
    with pytest.raises(error) as caught:
        client.chat.completions.create(**base | fields)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:1/x.png",
        "file:///etc/passwd",
        "ftp://host/x",
    ],
)
def test_no_picture_is_fetched_from_anywhere(api: Serving, url: str) -> None:
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "x"}]
    payload = {"model": "echo", "messages": [{"role": "user", "content": content}]}
    answer = api.client.post("/v1/chat/completions", json=payload)
    assert (answer.status_code, answer.json()["code"]) == (422, "remote_image")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("data:image/png;charset=utf-8;base64,", 200),
        ("DATA:image/png;BASE64,", 200),
        ("data:;base64,", 200),
        ("data:image/png,", 422),
        ("data:image/png ; base64 ,", 200),
        ("data:image/png;base64,%", 422),
        ("data:image/png;base64,-", 422),
    ],
)
def test_data_urls_are_read_as_they_may_be_written(api: Serving, head: str, status: int) -> None:
    url = head + base64.b64encode(png()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "x"}]
    payload = {"model": "echo", "messages": [{"role": "user", "content": content}]}
    answer = api.client.post("/v1/chat/completions", json=payload)
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("write", "status"),
    [
        (lambda data: base64.encodebytes(data).decode(), 200),  # lines of 76, as shells write
        (lambda data: base64.encodebytes(data).decode().replace("\n", "\r\n"), 200),
        (lambda data: base64.b64encode(data).decode().rstrip("="), 200),
        (lambda data: quote(base64.b64encode(data).decode(), safe=""), 200),
        (lambda data: quote(base64.encodebytes(data).decode()), 200),
        (lambda data: base64.b64encode(data).decode() + "A====", 422),
        (lambda data: base64.b64encode(data).decode().rstrip("=")[:-1] + "!", 422),
    ],
)
def test_base64_is_read_as_shells_and_browsers_write_it(
    api: Serving, write: Callable[[bytes], str], status: int
) -> None:
    data = png(size=(48, 32))
    data += b"\0" * (-(len(data) + 1) % 3)  # so that the padding is one or two signs
    content = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + write(data)}},
        {"type": "text", "text": "x"},
    ]
    payload = {"model": "echo", "messages": [user(content)]}
    answer = api.client.post("/v1/chat/completions", json=payload)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("detail", [None, "auto", "low", "high", "original"])
def test_every_detail_and_null_are_read(client: openai.OpenAI, detail: Any) -> None:
    content = with_picture("x")
    content[1]["image_url"]["detail"] = detail
    absent = ("stream", "stream_options", "n", "temperature", "stop", "store")
    completion = client.chat.completions.create(
        model="echo", messages=[user(content) | {"name": None}], extra_body=dict.fromkeys(absent)
    )
    assert completion.choices[0].message.content == "You asked: x"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (7, "messages.0.content: "),
        ([{"type": "input_audio"}], "messages.0.content.0: "),
        ([{"type": "image_url", "image_url": {"url": "x", "detail": "fine"}}], "image_url.detail"),
        ([{"type": "text", "text": None}], "messages.0.content.0.text.text: "),
    ],
)
def test_a_refusal_names_one_place(api: Serving, content: Any, place: str) -> None:
    payload = {"model": "echo", "messages": [user(content)]}
    answer = api.client.post("/v1/chat/completions", json=payload)
    assert answer.status_code == 422
    told = answer.json()["error"]["message"]
    assert place in told
    assert ";" not in told


def test_a_call_in_the_history_is_not_lost_in_silence(client: openai.OpenAI) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages: Any = [user("a"), ASSISTANT | {"tool_calls": [call]}, user("b")]
    with pytest.raises(UNPROCESSABLE, match=r"messages\.1\.tool_calls"):
        client.chat.completions.create(model="echo", messages=messages)


def test_what_one_speaker_says_in_a_row_is_one_message(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model="echo",
        messages=[
            user(with_picture("see")),
            user("where?"),
            ASSISTANT,
            ASSISTANT,
            user("a"),
            user("b"),
        ],
        max_completion_tokens=100_000,  # as many as the service allows
    )
    assert completion.choices[0].message.content == "You asked: a b"  # echo folds blanks


def test_a_picture_may_come_from_an_allowed_host(tmp_path: Path, api: Serving) -> None:
    with serving(tmp_path, image_hosts=(api.url.partition("//")[2],)) as other:
        url = f"{api.url}/images/{api.image_id()}"
        content = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": "hm?"},
        ]
        payload = {"model": "echo", "messages": [{"role": "user", "content": content}]}
        answer = other.client.post("/v1/chat/completions", json=payload)
        assert answer.status_code == 200, answer.text
        for place in (f"{api.url}/images/none", api.url, "http://127.0.0.1:1/", "http://127.0.0.1"):
            missing = content[0] | {"image_url": {"url": place}}
            payload["messages"][0]["content"] = [missing, content[1]]
            refusal = other.client.post("/v1/chat/completions", json=payload).json()
            assert refusal["code"] == "remote_image"
            ours = place.startswith(api.url)
            expected = "its host does not give this picture" if ours else "are not fetched from"
            assert expected in refusal["detail"]


def test_an_open_and_a_closed_port_of_an_allowed_host_look_alike(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        closed = listener.getsockname()[1]
    answers = []
    with serving(tmp_path / "web", warm=False) as web:
        places = (web.url.partition("//")[2], f"127.0.0.1:{closed}")
        with serving(tmp_path / "api", image_hosts=places) as api:
            for place in places:
                content = [{"type": "image_url", "image_url": {"url": f"http://{place}/x.png"}}]
                payload = {"model": "echo", "messages": [{"role": "user", "content": content}]}
                answer = api.client.post("/v1/chat/completions", json=payload)
                answers.append(answer.json() | {"request_id": ""})
    assert answers[0] == answers[1]


def test_hostile_pictures_are_refused_here_as_in_an_upload(api: Serving) -> None:
    for name, (data, status, code) in hostile().items():
        if status == 201 or len(data) > 100_000:
            continue
        url = "data:image/png;base64," + base64.b64encode(data).decode()
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "x"}]
        payload = {"model": "echo", "messages": [{"role": "user", "content": content}]}
        answer = api.client.post("/v1/chat/completions", json=payload)
        assert (answer.status_code, answer.json()["code"]) == (status, code), name


def test_a_service_answers_through_another_one(tmp_path: Path, api: Serving) -> None:
    """An OpenAI-compatible server as the engine, its one model found by itself."""
    with serving(tmp_path, replay=None, endpoint=f"{api.url}/v1") as front:
        answer = front.ask(image_id=front.image_id(), question="passed on?").json()
        assert answer["answer"] == "You asked: passed on?"
        assert (answer["provenance"]["model"], answer["provenance"]["engine"]) == (
            "echo",
            "endpoint",
        )
        streamed = front.ask(image_id=front.image_id(), question="passed on?", stream=True)
        assert [name for name, _ in events(streamed.text)][-1] == "done"
