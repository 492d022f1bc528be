"""The MCP server, through the SDK's client and a real process: what agents may do, and may not."""

from __future__ import annotations

import json
import math
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

pytest.importorskip("mcp", reason="needs the extra mcp")

from mcp_agents import Agent, agent, words_of
from serving import until

from hostile import SECRETS, hostile, ramp, scan, written
from planted_faults import planted
from vesalius.data.open import open_dataset
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.service.http.schemas import DISCLAIMER
from vesalius.settings import validated
from vesalius.steps.claim import check_claims
from vesalius.steps.evaluate import compare, evaluate
from vesalius.steps.fit import fit
from vesalius.steps.predict import ask, predict
from vesalius.steps.retrieve import retrieve

LONG = {"run": "work/many.jsonl", "metrics": ["rouge", "bleu"], "resamples": 100_000}
TOOLS = {"list", "check", "ask", "detect", "retrieve", "evaluate", "compare", "claim"}
DATA = {
    "dataset": "phantom",
    "options": {"cases": {"train": 8, "validation": 2, "test": 4}, "size": 64},
}
SMALL = {"size": "tiny", "image_size": 64, "training": {"max_steps": 1, "batch": 3}}
SCORED = {"metrics": ["squad"], "resamples": 50}
NAME = "Jane Q Doe"


def recipe(name: str, **blocks: Any) -> Recipe:
    return validated(
        Recipe, {"name": name, "data": DATA, "evaluation": SCORED} | blocks, where=name
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs and their pictures; a data set with faults; answers in a file."""
    home = tmp_path_factory.mktemp("agents") / "work"
    home.mkdir()
    claim = {"better_than": str(home / "base"), "metric": "squad.em"}
    for one in (
        recipe("base", model={"name": "majority"}),
        recipe("probe", model={"name": "linear_probe"}, retrieve={}, claims=[claim]),
        recipe("marks", model={"name": "nanodet"} | SMALL, data=DATA | {"task": "detect"}),
    ):
        predict(fit(one, home / one.name))
    cases = open_dataset("phantom", options=DATA["options"]).cases("test")
    (home / "a.png").write_bytes(next(iter(cases)).pictures[0].read())
    frames = np.stack([ramp(), ramp()[::-1], ramp() % 512])
    (home / "scan.dcm").write_bytes(written(scan(frames)))
    (home / "base.yaml").write_text((home / "base" / "recipe.yaml").read_text())
    row = {"question": "what?", "answer": {"text": "the left lung is clear"}}
    references = [{"text": "the right lung has an effusion"}]
    many = ({"id": f"{n}", "group": f"{n}", "references": references} | row for n in range(3000))
    (home / "many.jsonl").write_text("".join(json.dumps(one) + "\n" for one in many))
    return home


@pytest.fixture(scope="module")
def reader(home: Path) -> Iterator[Agent]:
    """A client of a server that only reads; nothing in its folder has changed at the end."""
    before = tree(home)
    with agent(home) as opened:
        yield opened
    assert tree(home) == before


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below, with its size and the time of its last change."""
    stats = ((path, path.lstat()) for path in [folder, *folder.rglob("*")])
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in stats}


def test_every_tool_has_a_schema_and_says_what_it_is_for(reader: Agent) -> None:
    tools = {one.name: one for one in reader.portal.call(reader.client.list_tools).tools}
    assert set(tools) == TOOLS
    for tool in tools.values():
        assert DISCLAIMER in tool.description
        assert tool.annotations.read_only_hint is True
        for argument in tool.input_schema["properties"].values():
            assert "type" in argument or "anyOf" in argument
            assert argument["title"]
    assert tools["ask"].input_schema["required"] == ["run", "picture"]
    assert "no instructions" in reader.client.instructions


def test_what_is_there_is_listed_with_counts(reader: Agent) -> None:
    listed = reader.call("list")
    assert listed["folders"] == ["work"]
    runs = {row["name"]: row for row in listed["runs"]}
    assert set(runs) == {"work/base", "work/probe", "work/marks"}
    assert runs["work/probe"]["model"] == "linear_probe"
    assert runs["work/probe"]["claims"] == 1
    assert runs["work/base"]["answers"][""] > 10
    assert [row["name"] for row in listed["recipes"]] == ["work/base.yaml"]
    assert listed["left_out"] == 0
    assert listed["notice"] == DISCLAIMER


def test_an_answer_is_the_run_s_own(reader: Agent, home: Path) -> None:
    told = reader.call("ask", run="work/probe", picture="work/a.png", question="which organ?")
    own = ask(Run.open(home / "probe"), home / "a.png", "which organ?")
    assert told["answer"] == own.text
    assert told["confidence"]["value"] == pytest.approx(own.confidence.value, abs=1e-4)
    assert [row["case"] for row in told["neighbours"]] == [one.case for one in own.neighbours]
    whole = str(home / "a.png")
    assert reader.call("ask", run="work/probe", picture=whole, question="which organ?") == told


def test_a_dicom_is_asked_in_a_frame_and_through_a_window(reader: Agent, home: Path) -> None:
    picture = {"run": "work/probe", "picture": "work/scan.dcm", "question": "which organ?"}
    run, told = Run.open(home / "probe"), []
    for view in ({}, {"frame": 2}, {"frame": 0, "window": (100, 50)}):
        told.append(reader.call("ask", **picture, **view))
        own = ask(run, home / "scan.dcm", "which organ?", **view)
        assert told[-1]["confidence"]["value"] == pytest.approx(own.confidence.value, abs=1e-4)
    assert len({one["confidence"]["value"] for one in told}) == 3  # three pictures
    assert not any(secret in json.dumps(told) for secret in SECRETS)


def test_similar_cases_are_ids_and_similarities_alone(reader: Agent, home: Path) -> None:
    told = reader.call("retrieve", run="work/probe", picture="work/a.png", k=3)["neighbours"]
    own = retrieve(Run.open(home / "probe"), home / "a.png", 3)
    assert [(row["case"], row["similarity"]) for row in told] == [
        (one.case, pytest.approx(one.similarity, abs=1e-5)) for one in own
    ]
    assert all(set(row) == {"case", "similarity"} for row in told)
    assert any(one.text for one in own)  # there are words, which are not told


def test_a_detector_s_boxes_are_in_pixels(reader: Agent, home: Path) -> None:
    told = reader.call("detect", run="work/marks", picture="work/a.png")
    own = ask(Run.open(home / "marks"), home / "a.png").at_operating_point()
    assert told["boxes"] == [
        {"label": box.label, "score": pytest.approx(box.score)}
        | {side: pytest.approx(getattr(box, side)) for side in ("x", "y", "width", "height")}
        for box in own.answer.boxes
    ]
    assert "without boxes" in reader.refused("detect", run="work/base", picture="work/a.png")


def test_scores_and_differences_are_those_of_the_commands(reader: Agent, home: Path) -> None:
    told = {row["metric"]: row for row in reader.call("evaluate", run="work/base")["scores"][:3]}
    base, probe = (list(Run.open(home / name).predictions()) for name in ("base", "probe"))
    own = evaluate(base, metrics=["squad"], resamples=50)
    assert told["squad.em"]["value"] == own.score("squad.em").value
    rows = reader.call("compare", first="work/base", second="work/probe")["differences"]
    expected = compare(base, probe, metrics=["squad"], resamples=50).overall()
    assert len(rows) > len(expected) > 0
    first = {row["metric"]: row for row in rows if row["slice"] == "all"}
    for one in expected:
        assert first[one.metric]["difference"] == pytest.approx(one.difference)
        assert first[one.metric]["n"] == one.n


def test_a_file_of_answers_is_scored_too(reader: Agent) -> None:
    told = reader.call("evaluate", run="work/many.jsonl", metrics=["squad"], resamples=0)
    (score,) = (row for row in told["scores"] if row["metric"] == "squad.em")
    assert (score["value"], score["n"], score["low"]) == (0.0, 3000, None)


def test_claims_are_checked(reader: Agent, home: Path) -> None:
    (told,) = reader.call("claim", run="work/probe")["claims"]
    (own,) = check_claims(Run.open(home / "probe"))
    assert (told["outcome"], told["post_hoc"]) == (own.outcome, False)
    assert (told["verb"], told["against"]) == ("better_than", "work/base")
    assert told["difference"]["difference"] == pytest.approx(own.difference.difference)
    assert reader.call("claim", run="work/base")["claims"] == []


def test_findings_are_counts_without_names_or_places(tmp_path: Path) -> None:
    data = tmp_path / NAME / "data"
    planted(data, cases=12)
    table = data / "train.jsonl"
    table.write_text(table.read_text().replace("organ", NAME).replace("train-00", f"{NAME} 00"))
    with agent(data) as opened:
        told = opened.call("check", data="data")
        assert told["errors"] > 0
        assert all(row["count"] > 0 and row["meaning"] for row in told["findings"])
        assert opened.call("list")["data_sets"] == [{"name": "data"}]
        (data / "broken.jsonl").write_text(json.dumps({"id": NAME, "answer": {NAME: 1}}) + "\n")
        broken = opened.refused("evaluate", run="data/broken.jsonl")
    for text in (json.dumps(told), broken):
        assert NAME not in text
        assert str(tmp_path) not in text


OUTSIDE = [
    "..", "../a.png", "work/..", "work/../..", "work/../../etc/passwd", "/etc/passwd", "/",
    "https://example.org/x.png", "file:///etc/passwd", "work//etc/passwd", "~/x", "etc", "",
    "work/\0", "../" * 2000, "work/out", "work/out/recipe.yaml",
]  # fmt: skip


def test_no_name_leads_out_of_the_folders(home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "recipe.yaml").write_text((home / "base" / "recipe.yaml").read_text())
    inside = tmp_path / "work"
    inside.mkdir()
    (inside / "out").symlink_to(secret)
    with agent(inside) as opened:
        for name in OUTSIDE:
            for tool, arguments in (
                ("evaluate", {"run": name}),
                ("claim", {"run": name}),
                ("check", {"data": name}),
                ("ask", {"run": name, "picture": name}),
                ("retrieve", {"run": name, "picture": name}),
                ("compare", {"first": name, "second": name}),
            ):
                line = opened.refused(tool, **arguments)
                assert "not in the folders of this server" in line, (tool, name, line)
        assert opened.call("list")["runs"] == []


@pytest.mark.slow
def test_neither_a_link_in_a_run_nor_a_path_in_its_recipe_leads_out(
    home: Path, tmp_path: Path
) -> None:
    inside = tmp_path / "work"
    for name, against in (("linked", "."), ("naming", "/etc"), ("climbing", "../..")):
        claims = [{"better_than": against, "metric": "squad.em"}]
        predict(fit(recipe("r", model={"name": "majority"}, claims=claims), inside / name))
    (inside / "linked" / "predictions.jsonl").unlink()
    (inside / "linked" / "predictions.jsonl").symlink_to(home / "base" / "predictions.jsonl")
    there_is_no = [{"better_than": "/no/where", "metric": "squad.em"}]
    data = DATA | {"instruction": "/ " + "describe it at length " * 50}
    free = recipe("r", model={"name": "majority"}, claims=there_is_no, data=data)
    predict(fit(free, inside / "free"))
    with agent(inside) as opened:
        listed = {row["name"]: row for row in opened.call("list")["runs"]}
        assert listed["work/linked"] == {"name": "work/linked", "unreadable": "Refusal"}
        (told,) = opened.call("claim", run="work/free")["claims"]
        assert (told["outcome"], told["against"]) == ("not measured", "(a path)")
        assert "/no/where" not in told["reason"]
        assert "has a link that leads out" in opened.refused("evaluate", run="work/linked")
        for name in ("naming", "climbing"):
            line = opened.refused("claim", run=f"work/{name}")
            assert "names a path outside of this server's folders" in line
    with agent(inside, home) as opened:  # once the other folder is named, the link leads to it
        assert opened.call("list")["folders"] == ["work", "work~2"]
        assert opened.call("evaluate", run="work/linked", resamples=0)["scores"]


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("evaluate", {}, "evaluate: run: Field required"),
        ("evaluate", {"run": 7}, "evaluate: run: Input should be a valid string"),
        ("evaluate", {"run": "work/base", "resamples": -1}, "greater than or equal to 0"),
        ("evaluate", {"run": "work/base", "resample": 1}, "there is no argument resample"),
        ("evaluate", {"run": "work/base", "metrics": ["sqad"]}, "did you mean squad?"),
        ("evaluate", {"run": "work/base", "metrics": ["squad"] * 65}, "at most 64 items"),
        ("evaluate", {"run": "work/base", "predictions": "no"}, "no"),
        ("evaluate", {"run": f"work/{'long' * 100}"}, "there is no 'work/longlong"),
        ("evaluate", {"run": "work/nothing"}, "there is no 'work/nothing'"),
        ("evaluate", {"run": "work/a.png"}, ""),
        ("check", {"data": "work/base", "reader": "slak"}, "did you mean slake?"),
        ("check", {"data": "work/a.png"}, "is no folder"),
        ("ask", {"run": "work/base", "picture": "work/base.yaml"}, "is not PNG, JPEG"),
        ("ask", {"run": "work/a.png", "picture": "work/a.png"}, ""),
        ("ask", {"run": "work/base", "picture": "work/a.png", "frame": 9}, "frame"),
        ("ask", {"run": "work/base", "picture": "work/a.png", "window": [40]}, "at least 2 items"),
        (
            "ask",
            {"run": "work/base", "picture": "work/scan.dcm", "window": [4, 0]},
            "a width above 0",
        ),
        ("retrieve", {"run": "work/base", "picture": "work/a.png"}, "no index of similar cases"),
        ("shell", {"run": "work/base"}, "Unknown tool"),
    ],
)
def test_a_bad_argument_is_one_line(
    reader: Agent, home: Path, tool: str, arguments: dict[str, Any], words: str
) -> None:
    line = reader.refused(tool, **arguments)
    assert words in line
    assert str(home) not in line


def test_long_work_tells_how_far_it_is_and_can_be_cancelled(reader: Agent) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    call = partial(reader.client.call_tool, "evaluate", LONG, progress_callback=hear)
    began = time.monotonic()
    pending = reader.portal.start_task_soon(call)
    while len(heard) < 2:
        assert not pending.done()
        assert time.monotonic() - began < 60
        time.sleep(0.1)
    assert heard[1][0] > heard[0][0] > 0
    assert heard[-1][1] == "evaluate: scoring"
    workers = set(reader.server.children())
    pending.cancel()
    with pytest.raises(CancelledError):
        pending.result()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert workers
    assert not alive
    assert reader.call("evaluate", run="work/base", resamples=0)["scores"]


def test_nothing_of_it_has_an_internet_socket(reader: Agent, home: Path) -> None:
    reader.call("ask", run="work/probe", picture="work/a.png", question="hm?")
    for process in reader.processes():
        assert process.net_connections() == []


def test_a_run_that_asks_a_server_reaches_none(tmp_path: Path, home: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        run = Run.create(
            tmp_path / "far",
            recipe("far", model={"name": "endpoint", "base_url": url, "model": "m"}),
        )
        run.finish()
        (tmp_path / "a.png").write_bytes((home / "a.png").read_bytes())
        with agent(tmp_path) as opened:
            name = tmp_path.name
            opened.refused("ask", run=f"{name}/far", picture=f"{name}/a.png", question="x?")
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


CLIENT = """
import os, sys, anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

async def main():
    server = StdioServerParameters(
        command=sys.executable, args=sys.argv[1:], env=dict(os.environ)
    )
    async with Client(stdio_client(server)) as client:
        async def hear(progress, total, message):
            print("heard", flush=True)
        long = {"run": "work/many.jsonl", "metrics": ["rouge", "bleu"], "resamples": 100_000}
        await client.call_tool("evaluate", long, progress_callback=hear)

anyio.run(main)
"""


@pytest.mark.slow
def test_a_server_whose_client_is_killed_ends_with_its_work(home: Path) -> None:
    command = [sys.executable, "-c", CLIENT, *words_of(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout.readline() == "heard\n"
        started = psutil.Process(client.pid).children(recursive=True)
        assert len(started) >= 2  # the server, and its worker at work
        client.kill()
        _, alive = psutil.wait_procs(started, timeout=30)
    assert not alive


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_server_with_its_work(home: Path, number: signal.Signals) -> None:
    with agent(home) as opened:
        call = partial(opened.client.call_tool, "evaluate", LONG)
        pending = opened.portal.start_task_soon(call)
        until(lambda: len(opened.processes()) > 1)
        processes = opened.processes()
        opened.server.send_signal(number)
        _, alive = psutil.wait_procs(processes, timeout=20)
        assert not alive
        assert pending.exception(timeout=20) is not None


def test_a_call_has_its_time_and_no_more(home: Path) -> None:
    with agent(home, options=("--seconds", "2")) as opened:
        assert "a task was stopped after" in opened.refused("evaluate", **LONG)
        assert opened.call("list")["runs"]


def test_nothing_of_a_hostile_file_is_told(home: Path, tmp_path: Path) -> None:
    run = tmp_path / "base"
    shutil.copytree(home / "base", run)
    names, refused = [], []
    for name, (data, _, _) in hostile().items():
        (tmp_path / name).write_bytes(data)
        names.append(name)
    with agent(tmp_path) as opened:
        for name in names:
            picture = {"run": f"{tmp_path.name}/base", "picture": f"{tmp_path.name}/{name}"}
            call = partial(opened.client.call_tool, "ask", picture | {"question": "which organ?"})
            answer = opened.portal.call(call)
            refused.append(answer.is_error)
            assert not any(secret in answer.model_dump_json() for secret in SECRETS), name
    assert {True, False} == set(refused)


def test_standard_output_is_the_protocol_s_alone(home: Path) -> None:
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    call = {"name": "ask", "arguments": {"run": "work/probe", "picture": "work/a.png"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    with subprocess.Popen(
        [sys.executable, *words_of(home)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        server.stdin.write("".join(json.dumps(message) + "\n" for message in messages))
        server.stdin.flush()
        lines = [json.loads(server.stdout.readline())]
        while lines[-1].get("id") != 2:
            lines.append(json.loads(server.stdout.readline()))
        server.stdin.close()
        assert server.stdout.read() == ""
        errors = server.stderr.read()
        assert server.wait(30) == 0
    assert lines[-1]["result"]["isError"] is False
    assert {line["jsonrpc"] for line in lines} == {"2.0"}
    assert "Traceback" not in errors


def test_with_write_scores_are_saved_and_without_it_they_are_not(tmp_path: Path) -> None:
    run = fit(recipe("base", model={"name": "majority"}), tmp_path / "base")
    predict(run)
    with agent(tmp_path) as opened:
        read = opened.call("evaluate", run=f"{tmp_path.name}/base")
        assert not run.scores_file().exists()
    with agent(tmp_path, options=("--write",)) as opened:
        tools = {one.name: one for one in opened.portal.call(opened.client.list_tools).tools}
        assert not tools["evaluate"].annotations.read_only_hint
        assert tools["list"].annotations.read_only_hint
        assert opened.call("evaluate", run=f"{tmp_path.name}/base")["scores"] == read["scores"]
    saved = json.loads(run.scores_file().read_text())["scores"]
    values = [row["value"] for row in saved if row["value"] is not None]
    assert values == [row["value"] for row in read["scores"]]
    assert not any(map(math.isnan, values))


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *words_of(tmp_path / "none")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "is no folder" in done.stderr
