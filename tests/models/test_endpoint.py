"""The model of a server, from recipe to predictions: in order, side by side, and when it fails."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chat_server import Server
from vesalius import Answer, Box, Recipe, Run
from vesalius.errors import ModelError, RecipeError, Unavailable, VesaliusError
from vesalius.models.build import build
from vesalius.models.codecs import Replies
from vesalius.models.endpoint import EndpointSettings
from vesalius.models.remote.client import Server as Address
from vesalius.models.remote.model import RemoteModel
from vesalius.recipe import Decoding
from vesalius.settings import validated
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.plan import plan
from vesalius.steps.predict import ask, predict
from vesalius.steps.prepare import dialogues
from vesalius.steps.request import CHUNK
from vesalius.steps.tiny import tiny


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def recipe(url: str, model: str | None = "echo", **settings: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "far",
            "data": {
                "dataset": "phantom",
                "options": {"cases": {"train": 2, "validation": 1, "test": 4}, "size": 40},
            },
            "model": {"name": "endpoint", "base_url": url, "model": model, **settings},
            "decoding": {"max_new_tokens": 8},
        }
    )


def remote(server: Server, model: str, **how: Any) -> RemoteModel:
    return RemoteModel(Address(server.url, model, **how))


def test_a_recipe_is_fitted_and_predicted_side_by_side_in_order(
    server: Server, tmp_path: Path
) -> None:
    run = fit(recipe(server.url, None, concurrency=3), tmp_path / "run")
    assert json.loads((run.weights / "endpoint.json").read_text()) == {
        "model": "echo", "revision": None, "server": "test",
    }  # fmt: skip
    assert not server.seen
    count = predict(run)
    said = list(run.predictions())
    asked = list(dialogues(run.recipe().data, "test"))
    assert count == len(said) == len(asked) > 3
    assert [p.id for p in said] == [d.id for d in asked]
    assert [p.text for p in said] == [d.question.text for d in asked]
    assert server.most == 3
    assert all(body["max_tokens"] == 8 for body in server.seen)
    before = len(server.seen)
    assert predict(run) == count
    assert len(server.seen) == before  # what was answered is not asked again


def test_one_that_fails_loses_no_other_and_resuming_asks_the_rest(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fit(recipe(server.url, "picky", concurrency=2), tmp_path / "run")
    asked = [d.id for d in dialogues(run.recipe().data, "test")]
    server.refused = asked_text = next(
        d.question.text for d in dialogues(run.recipe().data, "test") if d.id == asked[3]
    )
    with pytest.raises(ModelError, match="HTTP 400") as failed:
        predict(run)
    assert "secret" not in str(failed.value)
    finished = [p.id for p in run.predictions()]
    assert finished[:3] == asked[:3] or set(asked[:3]) - set(finished) == set()
    assert asked[3] not in finished
    answered = sum(
        body["messages"][-1]["content"][-1]["text"] != asked_text for body in server.seen
    )
    assert len(finished) == answered  # every answer that came is there
    server.refused, before = None, len(server.seen)
    assert predict(run) == len(asked)
    assert [p.id for p in run.predictions()] == asked
    assert len(server.seen) - before == len(asked) - len(finished)


@pytest.mark.parametrize("wrapper", ["consensus", "evidence"])
def test_under_a_wrapper_as_well_no_answer_that_came_before_is_lost(
    wrapper: str, server: Server, tmp_path: Path
) -> None:
    far = recipe(server.url, "picky", concurrency=2)
    members = {"far": far.model}
    if wrapper == "consensus":
        members |= {"often": {"name": "majority"}}
    wrapped = far.model_copy(update={"model": {"name": wrapper, "members": members}})
    run = fit(wrapped, tmp_path / "run")
    asked = list(dialogues(run.recipe().data, "test"))
    server.refused = asked[3].question.text
    place = next(at for at, one in enumerate(asked) if one.question.text == server.refused)
    with pytest.raises(ModelError, match="HTTP 400"):
        predict(run)
    kept = {p.id: p.text for p in run.predictions()}
    assert set(kept) >= {one.id for one in asked[:place]}
    server.refused = None
    predict(run)
    rows = list(run.predictions())
    assert [row.id for row in rows] == [one.id for one in asked]
    assert kept.items() <= {row.id: row.text for row in rows}.items()
    if wrapper == "consensus":  # the server says a question's words: each is put to its own
        said = [next(e.answer.text for e in row.evidence if e.member == "far") for row in rows]
        assert said == [one.question.text for one in asked]


def test_a_busy_server_is_asked_again_as_often_as_allowed(server: Server) -> None:
    (one, *_) = dialogues(recipe(server.url).data, "test")
    (prediction,) = remote(server, "later", retries=2).predict([one], Decoding())
    assert prediction.text == one.question.text
    assert len(server.seen) == 3
    with pytest.raises(Unavailable, match="HTTP 503"):
        remote(server, "later-still", retries=1).predict([one], Decoding())
    assert len(server.seen) == 5


def test_a_busy_server_is_waited_for_as_long_as_it_says(server: Server) -> None:
    (one, *_) = dialogues(recipe(server.url).data, "test")
    server.retry_after = "1"
    started = time.monotonic()
    remote(server, "later", retries=2).predict([one], Decoding())
    assert 2 <= time.monotonic() - started < 10
    server.retry_after = "3600"  # longer than anybody waits
    started = time.monotonic()
    with pytest.raises(Unavailable) as failed:
        remote(server, "later-still", retries=5).predict([one], Decoding())
    assert failed.value.retry_after == 3600
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("html", "broke off"),
        ("empty", "no choices"),
        ("babble", "JSONDecodeError"),
        ("broken", "HTTP 500"),
        ("dying", "failed"),
        ("slow", "took more than 0.3 seconds"),
    ],
)
def test_nonsense_is_one_line_that_quotes_nobody(server: Server, model: str, says: str) -> None:
    (one, *_) = dialogues(recipe(server.url).data, "test")
    with pytest.raises(ModelError, match=says) as failed:
        remote(server, model, timeout=0.3 if model == "slow" else 10).predict([one], Decoding())
    assert "secret" not in str(failed.value)
    assert "\n" not in str(failed.value)
    assert server.url in str(failed.value)


def test_pictures_are_not_sent_where_none_are_wanted(server: Server, tmp_path: Path) -> None:
    run = fit(recipe(server.url, pictures="none"), tmp_path / "run")
    assert not load(run).needs_image
    predict(run, limit=1)
    (message,) = server.seen[0]["messages"]
    assert [part["type"] for part in message["content"]] == ["text"]


def test_it_is_a_member_like_any_other(server: Server, tmp_path: Path) -> None:
    own = recipe(server.url)
    members = {"far": dict(own.model), "often": {"name": "majority"}}
    joined = own.model_copy(update={"model": {"name": "consensus", "members": members}})
    run = fit(joined, tmp_path / "run")
    predict(run)
    for prediction in run.predictions():
        far, often = prediction.member_answers
        assert (far.member, far.answer.text) == ("far", prediction.question)
        assert often.member == "often"
    server.close()
    with pytest.raises(Unavailable, match="not there"):
        fit(joined, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_answers_are_read_as_the_recipe_says(server: Server) -> None:
    (one, *_) = dialogues(recipe(server.url).data, "test")
    turn = one.turns[0]
    past = replace(turn, reply=Answer(concepts=("a", "b")))
    words = replace(turn.question, text="nodule; effusion; nodule")
    talk = replace(one, turns=(past, replace(turn, question=words, pictures=())))
    model = remote(server, "echo", answers=Replies("concepts"))
    (prediction,) = model.predict([talk], Decoding())
    assert prediction.answer == Answer("nodule; effusion; nodule", concepts=("nodule", "effusion"))
    assert not prediction.abstained
    assert server.seen[-1]["messages"][1] == {"role": "assistant", "content": "a; b"}
    (unread,) = remote(server, "echo", answers=Replies("boxes")).predict([one], Decoding())
    assert (unread.text, unread.answer.boxes, unread.abstained) == (turn.question.text, None, True)
    assert unread.notes == {"unread_box_text": 1}


def test_a_server_writes_boxes_as_the_family_that_is_named(server: Server, tmp_path: Path) -> None:
    boxes = [([0, 0, 500, 250], "haemorrhage"), ([0, 0, 9, 9], "fracture")]
    text = json.dumps([{"bbox_2d": corners, "label": label} for corners, label in boxes])
    content = recipe(server.url, answers="boxes", boxes="qwen3_vl").model_dump()
    content["data"] |= {"task": "detect", "instruction": text}
    run = fit(Recipe.model_validate(content), tmp_path / "run")
    classes = json.loads((run.weights / "endpoint.json").read_text())["classes"]
    assert classes == ["haemorrhage"]
    assert predict(run) == 4
    asked = dialogues(run.recipe().data, "test")
    for prediction, one in zip(run.predictions(), asked, strict=True):
        width, height = one.pictures[0].size()
        assert prediction.answer.boxes == (Box(0, 0, width / 2, height / 4, "haemorrhage"),)
        assert prediction.notes == {"unread_box_class": 1}
    assert run.counts() == {"unread_box_class": 4}


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"answers": "boxes", "boxes": "qwen2_5_vl"}, "no pixels of them: name a scale"),
        ({"boxes": "qwen3_vl"}, "it goes with answers: boxes"),
        ({"answers": "boxes", "boxes": "qwen3"}, "did you mean"),
    ],
)
def test_boxes_of_a_server_that_cannot_be_read_are_refused(
    block: dict[str, Any], message: str
) -> None:
    with pytest.raises(VesaliusError, match=message) as caught:
        validated(EndpointSettings, {"base_url": "http://127.0.0.1:1/v1", **block}, where="model")
    assert "\n" not in str(caught.value)


def test_a_closed_stream_lets_go_of_the_server(server: Server) -> None:
    asked = list(dialogues(recipe(server.url).data, "test"))[:2]
    stream = remote(server, "slow").stream(asked, Decoding())
    place, text = next(stream)
    assert place in {0, 1}
    assert isinstance(text, str)
    stream.close()
    until = time.monotonic() + 5
    while server.left < 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert server.left == 2


def test_one_answer_is_cancelled_and_the_other_goes_on(server: Server) -> None:
    asked = list(dialogues(recipe(server.url).data, "test"))[:2]
    model = remote(server, "slow")
    last = list(model.stream(asked, Decoding(), cancelled=lambda place: place == 0))
    assert {place for place, _ in last} == {1}
    assert last[-1][1].text == asked[1].question.text  # type: ignore[union-attr]


def test_asking_one_picture(server: Server, tmp_path: Path) -> None:
    from PIL import Image

    run = fit(recipe(server.url), tmp_path / "run")
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    assert ask(run, tmp_path / "a.png", "is it <image> normal?").text.endswith("normal?")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"base_url": "http://ada:secret@127.0.0.1/v1"}, "no credentials"),
        ({"base_url": "http://127.0.0.1:99999/v1"}, "not a URL"),
        ({"base_url": "ftp://127.0.0.1/v1"}, "http"),
        ({"base_url": "127.0.0.1:8000"}, "http"),
        ({"base_url": "http://127.0.0.1/v1?key=secret"}, "without"),
        ({"base_url": "http://[::1"}, "not a URL"),
        ({"base_url": "https://api.example.org/v1"}, "remote: true"),
        ({"base_url": "http://0.0.0.0:8000"}, "remote: true"),
        ({"base_url": "http://2130706433/v1"}, "remote: true"),
        ({"base_url": "http://127.0.0.1.example.org/v1"}, "remote: true"),
        ({"base_url": "http://127.0.0.1/v1", "key": "secret"}, "key"),
        ({"base_url": "http://127.0.0.1/v1", "key_env": "sk-secret"}, "key_env"),
        ({"base_url": "http://127.0.0.1/v1", "concurrency": 0}, "concurrency"),
        ({"base_url": "http://127.0.0.1/v1", "retries": 1000}, "retries"),
        ({}, "base_url"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says) as failed:
        build({"name": "endpoint", **settings})
    assert "secret" not in str(failed.value).replace("sk-secret", "")


@contextmanager
def nonsense(reply: bytes | None) -> Iterator[str]:
    """A port that answers everything with these bytes, or never."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def serve() -> None:
            listener.settimeout(0.1)
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.recv(65_536)
                    if reply is None:
                        stop.wait(20)
                    else:
                        connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            stop.set()
            thread.join()


def page(body: str, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + body).encode()


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"SSH-2.0-secret\r\n", "not with a list of models"),
        (page("<html>secret</html>"), "not with a list of models"),
        (page("[]"), "not with a list of models"),
        (page('{"data": 3}'), "not with a list of models"),
        (page('{"data": []}'), "no model"),
        (page("{}", "404 Not Found"), "HTTP 404"),
        (page("{}", "302 Found\r\nLocation: http://example.org/"), "HTTP 302"),
        (page('{"data": [{"id": "other"}]}'), "has no echo; it has other"),
        (page("{}", "401 Unauthorized"), "does not take our key"),
        (None, "no answer in 0.5 seconds"),
    ],
)
def test_what_is_no_such_server_is_one_line_before_anything_is_made(
    reply: bytes | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vesalius.models.remote.client.CONNECT_SECONDS", 0.5)
    with nonsense(reply) as url, pytest.raises(ModelError, match=says) as failed:
        fit(recipe(url), tmp_path / "run")
    assert "secret" not in str(failed.value)
    assert not (tmp_path / "run").exists()


def test_a_server_that_is_down_is_told_before_predictions_are_begun(
    server: Server, tmp_path: Path
) -> None:
    run = fit(recipe(server.url), tmp_path / "run")
    server.close()
    with pytest.raises(Unavailable, match="not there"):
        predict(run)
    assert not run.predictions_file().exists()
    assert "predictions" not in run.status()


def test_the_key_comes_from_its_variable_and_is_written_nowhere(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = recipe(server.url, key_env="FAR_KEY")
    monkeypatch.delenv("FAR_KEY", raising=False)
    with pytest.raises(ModelError, match="FAR_KEY: holds no key"):
        fit(own, tmp_path / "run")
    monkeypatch.setenv("FAR_KEY", "two\nlines")
    with pytest.raises(ModelError, match="printable") as failed:
        fit(own, tmp_path / "run")
    assert "lines" not in str(failed.value)
    monkeypatch.setenv("FAR_KEY", "wrong")
    with pytest.raises(ModelError, match="does not take our key"):
        fit(own, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("FAR_KEY", "open-sesame")
    run = fit(own, tmp_path / "run")
    predict(run, limit=1)
    assert server.keys[-1] == "Bearer open-sesame"
    for path in run.path.rglob("*"):
        assert path.is_dir() or b"sesame" not in path.read_bytes()
    assert "sesame" not in repr(load(run).server)


def test_beyond_this_machine_it_is_told_how_many_pictures_go(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    run = fit(recipe(server.url), tmp_path / "run")
    predict(run, limit=2)
    assert "another machine" not in capfd.readouterr().err
    monkeypatch.setattr(Address, "beyond", property(lambda self: True))
    asked = list(dialogues(run.recipe().data, "test"))[2:]
    count = len({p.key for d in asked for p in d.pictures})
    before = len(server.seen)
    predict(run)
    assert f"{count} pictures go to another machine: {server.url}/v1 (model echo)" in " ".join(
        capfd.readouterr().err.split()
    )
    assert len(server.seen) == before + len(asked)


def test_so_it_is_where_the_server_s_model_is_a_member(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    alone = recipe(server.url)
    members = {"far": alone.model, "most": {"name": "majority"}}
    model = {"name": "consensus", "members": members}
    small = alone.decoding.model_copy(update={"batch": 1})  # the first piece is not all
    wrapped = alone.model_copy(update={"model": model, "decoding": small})
    run = fit(wrapped, tmp_path / "run")
    monkeypatch.setattr(Address, "beyond", property(lambda self: True))
    asked = list(dialogues(run.recipe().data, "test"))
    count = len({p.key for d in asked for p in d.pictures})
    assert len(asked) > CHUNK
    predict(run)
    lines = [" ".join(line.split()) for line in capfd.readouterr().err.splitlines()]
    (line,) = (line for line in lines if "another machine" in line)
    assert line.startswith(f"questions with {count} picture")


def test_nothing_here_loads_torch_or_is_planned_as_training(server: Server) -> None:
    program = (
        "import sys, tempfile, pathlib, json\n"
        "from vesalius import Recipe\n"
        "from vesalius.steps.fit import fit\n"
        "from vesalius.steps.predict import predict\n"
        "recipe = Recipe.model_validate(json.loads(sys.argv[1]))\n"
        "run = fit(recipe, pathlib.Path(tempfile.mkdtemp()) / 'run')\n"
        "print(predict(run, limit=2), 'torch' in sys.modules)\n"
    )
    words = [sys.executable, "-c", program, recipe(server.url).model_dump_json()]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
    assert plan(recipe(server.url))["dialogues"] > 0
    with pytest.raises(RecipeError, match="no tiny form"):
        tiny(recipe(server.url))


def test_an_unfitted_run_is_not_loaded(server: Server, tmp_path: Path) -> None:
    from vesalius.errors import RunError

    with pytest.raises(RunError, match="not fitted"):
        load(Run.create(tmp_path / "run", recipe(server.url)))
