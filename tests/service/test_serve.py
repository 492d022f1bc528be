"""``vesalius serve`` as a process: its start, its end, its keys, its documentation, kill -9."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from serving import png, until
from typer.testing import CliRunner, Result

from vesalius.cli.main import app
from vesalius.service.server import in_charge
from vesalius.service.settings import settings
from vesalius.service.storage import open_store

ROOT = Path(__file__).resolve().parents[2]
VESALIUS = [sys.executable, "-m", "vesalius"]


@dataclass
class Process:
    """A service in a process of its own."""

    popen: subprocess.Popen[str]
    url: str = ""
    lines: list[str] = field(default_factory=list)

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=30, trust_env=False)

    def ready(self) -> bool:
        with self.client() as client:
            return client.get("/readyz").status_code == 200


@contextmanager
def process(state: Path, *options: str, **environment: str) -> Iterator[Process]:
    """``vesalius serve --replay echo`` on a free port, until the block ends."""
    own = {
        "VESALIUS_REPLAY_SECONDS": "0",
        "VESALIUS_DECODERS": "1",
        "VESALIUS_DRAIN": "0",
        "VESALIUS_TEXT_IN_DICOM": "off",
    }
    started = subprocess.Popen(
        [*VESALIUS, "serve", "--replay", "echo", "--port", "0", "--state", str(state), *options],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | own | environment,
    )
    served = Process(started)
    assert started.stderr is not None
    for line in started.stderr:
        served.lines.append(line)
        if url := re.search(r"serves (http\S+)", line):
            served.url = url[1]
            break
    reader = threading.Thread(target=lambda: served.lines.extend(started.stderr or ()), daemon=True)
    reader.start()
    try:
        if served.url:
            until(served.ready, seconds=60)
        yield served
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGTERM)
        started.wait(30)
        reader.join(5)
        started.stderr.close()


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*VESALIUS, *words],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=60,
        check=False,
    )


def here(*words: str, **environment: str) -> Result:
    """The same command in this process, which has imported it."""
    return CliRunner(env=environment).invoke(app, words)


def test_it_says_that_it_is_not_ready_and_then_closes_its_door(tmp_path: Path) -> None:
    """A balancer sees it in time: nobody is sent to a door that is closed."""
    with process(tmp_path, VESALIUS_DRAIN="1.5") as served, served.client() as client:
        served.popen.send_signal(signal.SIGTERM)
        until(lambda: client.get("/readyz").status_code == 503)
        answer = client.get("/readyz")
        assert answer.json()["code"] == "shutting_down"
        assert client.get("/conversations").status_code == 200  # and it still serves
        assert served.popen.wait(30) == 0


def test_it_starts_says_where_and_stops_on_a_signal(tmp_path: Path) -> None:
    with process(tmp_path) as served:
        assert "no key is needed" in "".join(served.lines)
        with served.client() as client:
            assert client.get("/healthz").json() == {"status": "alive"}
    assert served.popen.returncode == 0
    assert "Research use only" in "".join(served.lines)
    assert oct((tmp_path).stat().st_mode)[-3:] != "777"


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (["serve"], {}, "nothing to serve"),
        (["serve", "--run", "nowhere"], {}, "is not a run"),
        (["serve", "--replay", "nowhere.jsonl"], {}, "nowhere.jsonl"),
        (["serve", "--replay", "echo", "--host", "0.0.0.0"], {"VESALIUS_KEYS": "off"}, "keys"),
        (["serve", "--replay", "echo", "--host", "300.1.2.3"], {}, "cannot listen"),
        (["serve", "--replay", "echo", "--run", "x"], {}, "only one of"),
        (["serve", "--replay", "echo"], {"VESALIUS_MAX_BODY": "lots"}, "VESALIUS_MAX_BODY"),
        (["serve", "--replay", "echo"], {"K_SERVICE": "x"}, "Cloud Run"),
        (["keys", "revoke", "key_none"], {}, "key"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_2(
    tmp_path: Path, words: list[str], environment: dict[str, str], message: str
) -> None:
    done = run(*words, "--state", str(tmp_path / "state"), **environment)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("vesalius: ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_keys_are_made_shown_once_and_taken_back(tmp_path: Path) -> None:
    own = ["--state", str(tmp_path)]
    created = run("keys", "create", "ward 3", *own)
    secret = created.stdout.strip()
    key_id = re.search(r"key_\w+", created.stderr)
    assert secret.startswith("vsk_")
    assert key_id is not None
    with process(tmp_path, VESALIUS_KEYS="on") as served, served.client() as client:
        assert client.get("/conversations").status_code == 401
        headers = {"Authorization": f"Bearer {secret}"}
        assert client.get("/conversations", headers=headers).status_code == 200
        listed = here("keys", "list", *own, COLUMNS="40").stdout
        assert "ward 3" in listed
        assert "last used" in listed
        assert secret[-16:] not in listed
        second = here("keys", "rotate", listed.split()[0], *own).stdout.strip()
        assert client.get("/conversations", headers=headers).status_code == 401
        headers = {"Authorization": f"Bearer {second}"}
        assert client.get("/conversations", headers=headers).status_code == 200
        listed = next(
            line for line in here("keys", "list", *own).stdout.splitlines() if "revoked" not in line
        )
        assert here("keys", "revoke", listed.split()[0], *own).exit_code == 0
        assert "revoked" in here("keys", "list", *own).stdout
        assert client.get("/conversations", headers=headers).status_code == 401
    assert secret[-16:].encode() not in (tmp_path / "vesalius.db").read_bytes()
    verified = here("log", "verify", *own)
    assert verified.exit_code == 0
    head = verified.stdout.split()[-1]
    import sqlite3

    with sqlite3.connect(tmp_path / "vesalius.db") as database:
        database.executescript("drop trigger if exists audit_no_update;")
        triggers = database.execute("select name from sqlite_master where type='trigger'")
        for (name,) in triggers.fetchall():
            database.execute(f"drop trigger {name}")
        database.execute("update audit set event = 'nothing' where seq = 1")
    broken = run("log", "verify", *own)
    assert broken.returncode == 2
    assert "entry 1" in broken.stderr
    assert head


@pytest.mark.slow
def test_a_killed_service_keeps_its_conversations(tmp_path: Path) -> None:
    killed(tmp_path, times=2)


@pytest.mark.slow
def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    killed(tmp_path, times=20)


Known = dict[str, tuple[str, str]]
"""Answers that were given: id -> (conversation, text)."""


def killed(state: Path, *, times: int) -> None:
    """kill -9 in the middle of answers; what was answered is there, what was not says so."""
    known: Known = {}
    for number in range(times):
        with dying(state) as served, served.client() as client:
            require(client, known)
            uploaded = client.post("/upload_image", files={"file": png(number)}).json()
            image_id = uploaded["image_id"]
            for at in range(3):
                question = {"image_id": image_id, "question": f"question {number}.{at}?"}
                if at:
                    question["conversation_id"] = answer["conversation_id"]  # noqa: F821
                answer = client.post("/ask_question", json=question).json()
                known[answer["answer_id"]] = (answer["conversation_id"], answer["answer"])
            stop = threading.Event()
            asker = threading.Thread(target=ask_until, args=(served.url, image_id, stop))
            asker.start()
            time.sleep(0.11)
            served.popen.send_signal(signal.SIGKILL)
            served.popen.wait(10)
            stop.set()
            asker.join(10)
    assert len(known) == 3 * times
    with dying(state) as served, served.client() as client:
        require(client, known)
        until(lambda: client.get(f"/images/{image_id}").status_code == 200)  # its decoder may start
        time.sleep(1.2)  # past the deadline of what the killed ones had begun
        listed = client.get("/conversations?limit=100").json()["conversations"]
        urls = [f"/conversations/{conversation['conversation_id']}" for conversation in listed]
        states = {m["state"] for url in urls for m in client.get(url).json()["messages"]}
        assert states <= {"done", "interrupted"}
    assert run("log", "verify", "--state", str(state)).returncode == 0


def dying(state: Path):
    limits = {"REPLAY_SECONDS": "0.05", "MAX_TURNS": "1000", "DEADLINE": "1", "GRACE": "0"}
    own = limits | {"SWEEP_SECONDS": "0.5", "RATE_PER_MINUTE": "100000"}
    return process(state, **{f"VESALIUS_{name}": value for name, value in own.items()})


def require(client: httpx2.Client, known: Known) -> None:
    for answer_id, (where, text) in known.items():
        messages = client.get(f"/conversations/{where}").json()["messages"]
        assert [m["answer"] for m in messages if m["answer_id"] == answer_id] == [text]


def ask_until(url: str, image_id: str, stop: threading.Event) -> None:
    with httpx2.Client(base_url=url, timeout=5, trust_env=False) as client:
        while not stop.is_set():
            try:
                client.post("/ask_question", json={"image_id": image_id, "question": "killed?"})
            except httpx2.TransportError:
                return


def test_the_guide_s_curl_lines_work(tmp_path: Path) -> None:
    if shutil.which("curl") is None or shutil.which("python3") is None:
        pytest.skip("needs curl and python3")
    page = (ROOT / "docs" / "guide" / "serve.md").read_text()
    scripts = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert len(scripts) == 2
    for seed, name in enumerate(("case.png", "case-2.png", "case-3.png")):
        (tmp_path / name).write_bytes(png(seed))
    with process(tmp_path / "state") as served:
        lines = (
            "".join(scripts)
            .replace("http://127.0.0.1:8000", served.url)
            .replace("curl -s", "curl -sS --fail-with-body ")
        )
        done = subprocess.run(
            [
                "bash",
                "-euo",
                "pipefail",
                "-c",
                lines.replace("--fail-with-body N", "--fail-with-body -N"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "event: done" in done.stdout
    assert json.loads((tmp_path / "answer.json").read_text())["answer"]
    assert (tmp_path / "seen.png").read_bytes().startswith(b"\x89PNG")
    assert "Not a medical device" in (tmp_path / "conversation.html").read_text()


def test_who_is_alone_with_a_state_ends_what_a_crash_left(tmp_path: Path) -> None:
    """Another process at work keeps its pending questions; a lock tells, that no death leaves."""
    configuration = settings(replay="echo", state=tmp_path)
    with closing(open_store(configuration)) as store:
        store.migrate()
        left = store.begin_turn("ada", None, None, "first?")
        with in_charge(configuration, store):
            assert store.turn("ada", left.answer_id).state == "interrupted"
            own = store.begin_turn("ada", left.conversation_id, None, "second?")
            with in_charge(configuration, store):  # a second process, as the lock sees it
                assert store.turn("ada", own.answer_id).state == "pending"
        with in_charge(configuration, store):
            assert store.turn("ada", own.answer_id).state == "interrupted"
