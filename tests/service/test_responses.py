"""OpenAI's responses, with OpenAI's own client: what completions do, as items and events."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response
from serving import Serving, events, png, serving, until

from hostile import hostile
from vesalius.cases.prediction import Prediction
from vesalius.errors import TooLong
from vesalius.service.http.schemas import DISCLAIMER

PATH = "/v1/responses"
CHAT = "/v1/chat/completions"
STEPS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


@pytest.fixture(scope="module")
def client(api: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{api.url}/v1", api_key="unused", max_retries=0) as opened:
        yield opened


def data_url(data: bytes | None = None) -> str:
    return "data:image/png;base64," + base64.b64encode(png() if data is None else data).decode()


def user(text: str, *urls: str) -> dict[str, Any]:
    pictures = [{"type": "input_image", "image_url": url, "detail": "auto"} for url in urls]
    return {"role": "user", "content": [*pictures, {"type": "input_text", "text": text}]}


def without_moment(response: dict[str, Any]) -> dict[str, Any]:
    """A response without what differs between two of the same question."""
    item = {key: value for key, value in response["output"][0].items() if key != "id"}
    return {k: v for k, v in response.items() if k not in {"id", "created_at"}} | {"output": [item]}


def test_a_response_is_what_the_client_expects(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model="echo",
        instructions="Be brief.",
        input=[user("is it whole?", data_url())],
        store=False,
    )
    assert response.output_text == "You asked: is it whole?"
    assert (response.status, response.error, response.incomplete_details) == (
        "completed",
        None,
        None,
    )
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.usage.output_tokens == 5
    assert response.instructions == "Be brief."
    assert response.to_dict()["store"] is False
    assert response.to_dict()["vesalius"]["disclaimer"] == DISCLAIMER
    # What the client builds leniently is also valid to the letter of its types.
    Response.model_validate(response.to_dict())


def test_words_alone_are_a_question(client: openai.OpenAI) -> None:
    response = client.responses.create(model="vesalius", input="which organ?")
    assert response.output_text == "You asked: which organ?"


def test_a_stream_is_the_same_response_in_events(client: openai.OpenAI) -> None:
    asked: Any = {"model": "echo", "input": [user("one two three", data_url())]}
    steps = list(client.responses.create(**asked, stream=True))
    assert list(dict.fromkeys(step.type for step in steps)) == STEPS
    assert [step.sequence_number for step in steps] == list(range(len(steps)))
    deltas = [step.delta for step in steps if step.type == "response.output_text.delta"]
    assert len(deltas) == 5
    ended = steps[-1].response
    assert "".join(deltas) == ended.output_text == "You asked: one two three"
    items = {step.item_id for step in steps if hasattr(step, "item_id")}
    assert items == {ended.output[0].id}
    assert steps[0].response.status == "in_progress"
    assert steps[0].response.output == []
    for step in steps:
        type(step).model_validate(step.to_dict())
    whole = client.responses.create(**asked)
    assert without_moment(ended.to_dict()) == without_moment(whole.to_dict())


def test_the_client_s_own_reader_of_streams_follows(client: openai.OpenAI) -> None:
    with client.responses.stream(model="echo", input="so?") as stream:
        assert stream.get_final_response().output_text == "You asked: so?"


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_cut_is_incomplete(client: openai.OpenAI, stream: bool) -> None:
    asked: Any = {"model": "echo", "input": "a b c", "max_output_tokens": 3}
    if stream:
        *_, last = client.responses.create(**asked, stream=True)
        assert last.type == "response.incomplete"
        response = last.response
    else:
        response = client.responses.create(**asked)
    assert response.output_text == "You asked: a"
    assert response.status == response.output[0].status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.max_output_tokens == 3


def test_a_conversation_is_sent_whole(client: openai.OpenAI) -> None:
    history: Any = [user("which organ?", data_url())]
    response = client.responses.create(model="echo", input=history)
    history += [*response.output, user("which side?")]
    again = client.responses.create(model="echo", input=history)
    assert again.output_text == "You asked: which side?"


def test_both_shapes_tell_the_same_of_an_answer(tmp_path: Path) -> None:
    box = {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "label": "cyst"}
    row = {"id": "1", "question": "where?", "answer": {"text": "here", "boxes": [box]}}
    (tmp_path / "predictions.jsonl").write_text(json.dumps(row))
    with serving(tmp_path / "state", replay=str(tmp_path)) as api:
        response = api.client.post(
            PATH, json={"model": "vesalius", "input": [user("where?", data_url())]}
        ).json()
        message = {"role": "user", "content": "where?"}
        chat = api.client.post(CHAT, json={"model": "vesalius", "messages": [message]}).json()
    assert response["output"][0]["content"][0]["text"] == "here"
    assert response["vesalius"] == chat["vesalius"]
    (marked,) = response["vesalius"]["boxes"]
    assert {k: v for k, v in marked.items() if v is not None} == box


def test_an_unsure_response_says_so_and_is_counted(tmp_path: Path) -> None:
    with serving(tmp_path, abstain_below=0.9) as api:
        response = api.client.post(PATH, json={"model": "echo", "input": "is it whole?"}).json()
        assert response["vesalius"]["abstained"] is True
        assert response["vesalius"]["confidence"]["value"] == 0.5
        metrics = api.client.get("/metrics").text
    assert 'vesalius_answers_total{finish="stop"} 1.0' in metrics
    assert 'vesalius_tokens_total{kind="new"} 5.0' in metrics


def test_a_deadline_ends_a_stream_with_failed(tmp_path: Path) -> None:
    with serving(tmp_path, replay_seconds=3.0, deadline=0.5, warm=True) as api:
        asked = {"model": "echo", "input": "late?"}
        with openai.OpenAI(base_url=f"{api.url}/v1", api_key="x", max_retries=0) as client:
            *_, last = client.responses.create(**asked, stream=True)
            with pytest.raises(openai.APIStatusError) as caught:
                client.responses.create(**asked)
    assert last.type == "response.failed"
    assert (last.response.status, last.response.error.code) == ("failed", "server_error")
    assert last.response.error.type == "deadline"
    assert (caught.value.status_code, caught.value.code) == (504, "deadline")
    type(last).model_validate(last.to_dict())


def test_who_goes_cancels(tmp_path: Path) -> None:
    with serving(tmp_path, replay_seconds=20.0, deadline=60) as api:
        with api.client.stream("POST", PATH, json={"model": "echo", "input": "x", "stream": True}):
            pass
        until(lambda: 'finish="cancelled"} 1.0' in api.client.get("/metrics").text)
        with pytest.raises(httpx2.ReadTimeout):
            api.client.post(PATH, json={"model": "echo", "input": "x"}, timeout=0.5)
        until(lambda: 'finish="cancelled"} 2.0' in api.client.get("/metrics").text)


def test_too_much_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with serving(tmp_path, replay_seconds=5.0, queue=1) as api, ExitStack() as asked:
        payload = {"model": "echo", "input": "x", "stream": True}
        for _ in range(2):  # one is being answered, one waits
            asked.enter_context(api.client.stream("POST", PATH, json=payload))
        until(lambda: api.service.engine.load()["queued"] >= 1)
        answer = api.client.post(PATH, content=b"not even JSON")
    assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
    assert answer.json()["error"]["code"] == "overloaded"


def test_oldest_turns_go_only_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []
    history = [user("a"), {"role": "assistant", "content": "b"}, user("c")]
    with serving(tmp_path) as api:
        engine = api.service.asker.engine
        stream = engine.stream

        async def short(job: Any) -> AsyncGenerator[str | Prediction, None]:
            turns.append(len(job.dialogue.turns))
            if len(job.dialogue.turns) > 1:
                raise TooLong("too long")
            async for piece in stream(job):
                yield piece

        monkeypatch.setattr(engine, "stream", short)
        asked = {"model": "echo", "input": history}
        assert api.client.post(PATH, json=asked).json()["code"] == "prompt_too_long"
        shortened = api.client.post(PATH, json=asked | {"truncation": "auto"}).json()
    assert shortened["output"][0]["content"][0]["text"] == "You asked: c"
    assert shortened["truncation"] == "auto"
    assert turns == [2, 2, 1]


TOOL = {"type": "function", "name": "x", "parameters": {}, "strict": True}
CALL = {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"}
UNSUPPORTED = [
    ({"store": True}, "store; nothing is stored here"),
    ({"previous_response_id": "resp_1"}, "previous_response_id; nothing is stored here"),
    ({"conversation": "conv_1"}, "send the whole conversation as input"),
    ({"background": True}, "background; nothing is stored here"),
    ({"tools": [TOOL]}, "tools; leave it out"),
    ({"top_p": 0.5}, "top_p"),
    ({"include": ["message.output_text.logprobs"]}, "include"),
    ({"reasoning": {"effort": "high"}}, "reasoning"),
    ({"prompt": {"id": "p"}}, "prompt"),
    ({"seed": 1, "made_up": 2}, "made_up, seed"),
]
IMAGE = {"type": "input_image"}
INVALID = [
    ({"input": []}, "input: "),
    ({"input": 7}, "input: "),
    ({"input": [{"role": "assistant", "content": "x"}]}, "must be the user's"),
    ({"input": [{"role": "user", "content": [IMAGE | {"file_id": "f"}]}]}, "image_url"),
    ({"input": [{"role": "user", "content": [IMAGE | {"image_url": "data:,"}]}]}, "data: URL"),
    ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input.0.content.0"),
    ({"input": [user("a"), CALL]}, "input.1.type"),
    ({"temperature": 3}, "temperature"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"truncation": "some"}, "truncation"),
]


@pytest.mark.parametrize(
    ("code", "fields", "words"),
    [("unsupported_parameter", *case) for case in UNSUPPORTED]
    + [("invalid_request", *case) for case in INVALID],
)
def test_what_cannot_be_is_refused_in_the_client_s_terms(
    client: openai.OpenAI, code: str, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.responses.create(model="echo", input="hm?", extra_body=fields)
    assert caught.value.code == code
    assert words in caught.value.message


def test_other_refusals_are_those_of_completions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="gpt-9", input="x")
    with pytest.raises(openai.UnprocessableEntityError, match="the question is empty"):
        client.responses.create(model="echo", input=" ")
    with pytest.raises(openai.UnprocessableEntityError, match="not fetched from there"):
        client.responses.create(model="echo", input=[user("x", "http://169.254.169.254/x.png")])
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_1")


def test_every_field_may_be_null_and_what_wants_nothing_is_taken(client: openai.OpenAI) -> None:
    absent = ("instructions", "max_output_tokens", "previous_response_id", "store", "tools", "text")
    neutral = {"top_p": 1, "include": [], "tool_choice": "auto", "metadata": {"a": "b"}}
    response = client.responses.create(
        model="echo", input="x", extra_body=dict.fromkeys(absent) | neutral
    )
    assert response.output_text == "You asked: x"


def test_hostile_pictures_are_refused_here_as_in_an_upload(api: Serving) -> None:
    tried = 0
    for name, (data, status, code) in hostile().items():
        if status == 201 or len(data) > 100_000:
            continue
        answer = api.client.post(PATH, json={"model": "echo", "input": [user("x", data_url(data))]})
        assert (answer.status_code, answer.json()["code"]) == (status, code), name
        tried += 1
    assert tried > 5


def test_nothing_of_it_is_stored(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        asked = {"model": "echo", "input": [user("PLANTED words", data_url())]}
        stream = api.client.post(PATH, json=asked | {"stream": True})
        names = [name for name, _ in events(stream.text)]
        assert (names[0], names[-1]) == (STEPS[0], STEPS[-1])
        assert api.client.get("/conversations").json()["conversations"] == []
        database = api.service.settings.state / "vesalius.db"
        with closing(sqlite3.connect(database)) as connection:
            dumped = "\n".join(connection.iterdump())
    assert "completion.asked" in dumped
    assert "PLANTED" not in dumped
