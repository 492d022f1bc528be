"""Several real processes with one database and one folder of pictures, a load balancer in front."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import png, until

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
STREAM = "one two three four five six seven eight nine ten eleven twelve"


def _beside(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_store = _beside("store_conftest", ROOT / "tests" / "service" / "store" / "conftest.py")
postgresql, _server = _store.postgresql, _store._server
"""The store's tests start a PostgreSQL server; so do these."""


class Process:
    """One ``vesalius serve``, as a machine would run it."""

    def __init__(self, port: int, env: dict[str, str], log: Path) -> None:
        self.port, self.env, self.log = port, env, log
        self.url = f"http://127.0.0.1:{port}"
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "vesalius", "serve", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                command, env=self.env, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        def ready() -> bool:
            assert self.running is not None
            assert self.running.poll() is None, self.log.read_text()
            return httpx2.get(f"{self.url}/readyz", trust_env=False).status_code == 200

        until(ready, seconds=60)

    def kill(self) -> None:
        """As when the machine goes: nothing is finished, no process of its is left."""
        assert self.running is not None
        with suppress(ProcessLookupError):
            os.killpg(self.running.pid, signal.SIGKILL)
        self.running.wait(10)

    def served(self) -> float:
        """How many questions it has answered."""
        text = httpx2.get(f"{self.url}/metrics", trust_env=False).text
        lines = [line for line in text.splitlines() if line.startswith("vesalius_answers_total")]
        return sum(float(line.split()[-1]) for line in lines)


class Balancer:
    """Connections in turn to several addresses; one that refuses is passed over. Knows no HTTP."""

    def __init__(self, ports: list[int]) -> None:
        self.turn = itertools.cycle(ports)
        self.count = len(ports)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        for _ in range(self.count):
            try:
                server = socket.create_connection(("127.0.0.1", next(self.turn)), timeout=5)
            except OSError:
                continue
            server.settimeout(None)
            back = threading.Thread(target=_pour, args=(server, client), daemon=True)
            back.start()
            _pour(client, server)
            return
        client.close()

    def close(self) -> None:
        self.listener.close()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def nginx(ports: list[int], folder: Path) -> Iterator[str]:
    """deploy/nginx/nginx.conf itself; only addresses, certificate and its own files are others."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("no nginx is installed")
    _beside("test_nginx", ROOT / "tests" / "deploy" / "test_nginx.py").certificate(folder)
    door, plain = free_port(), free_port()
    text = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text()
    changes = {
        "/etc/vesalius/tls": str(folder),
        "/run/nginx.pid": str(folder / "nginx.pid"),
        "/dev/stdout": str(folder / "access.log"),
        "listen 443 ssl": f"listen 127.0.0.1:{door} ssl",
        "listen 80 default_server": f"listen 127.0.0.1:{plain} default_server",
        "events {": "daemon off;\nevents {",
    }
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        changes["http {"] = changes.get("http {", "http {") + f"\n{name}_temp_path {folder / name};"
    for number, port in enumerate(ports, 1):
        changes[f"server 127.0.0.1:800{number} "] = f"server 127.0.0.1:{port} "
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new, 1) if old == "http {" else text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until(lambda: socket.create_connection(("127.0.0.1", door), 1).close() is None)
        yield f"https://127.0.0.1:{door}"
    finally:
        running.terminate()
        running.communicate(timeout=10)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Cluster:
    """Three processes, and a client that comes through the balancer with a key."""

    def __init__(self, processes: list[Process], client: httpx2.Client) -> None:
        self.processes, self.client = processes, client

    def direct(self, number: int) -> httpx2.Client:
        """A client of one process alone."""
        url = self.processes[number].url
        return httpx2.Client(base_url=url, headers=self.client.headers, timeout=30, trust_env=False)

    def ask(self, question: str, **said: Any) -> dict[str, Any]:
        """An answer; a connection that broke under it is tried again, as a client would."""
        for _ in range(5):
            try:
                answer = self.client.post("/ask_question", json={"question": question, **said})
            except httpx2.TransportError:
                continue
            if answer.status_code in {502, 503}:
                time.sleep(0.2)
                continue
            assert answer.status_code == 200, answer.text
            return dict(answer.json())
        raise AssertionError("not answered in five attempts")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/vesalius.db"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture(params=["nginx", "plain"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> Iterator[Cluster]:
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("VESALIUS_")},
        "OMP_NUM_THREADS": "1",
        "VESALIUS_REPLAY": "echo",
        "VESALIUS_REPLAY_SECONDS": "1.0",
        "VESALIUS_STATE": str(tmp_path / "state"),
        "VESALIUS_DATABASE_URL": database,
        "VESALIUS_PICTURES_URL": str(tmp_path / "pictures"),
        "VESALIUS_KEYS": "on",
        "VESALIUS_DECODERS": "1",
        "VESALIUS_RATE_PER_MINUTE": "100000",
    }
    processes = [Process(free_port(), env, tmp_path / f"log-{n}") for n in range(3)]
    try:
        # All at once on an empty database: one makes the tables, the others wait for it.
        for one in processes:
            one.start()
        make = [sys.executable, "-m", "vesalius", "keys", "create", "balanced"]
        key = subprocess.run(make, env=env, capture_output=True, text=True, check=True).stdout
        for one in processes:
            one.wait()
        ports = [one.port for one in processes]
        with balanced(request.param, ports, tmp_path) as url:
            headers = {"Authorization": f"Bearer {key.strip()}"}
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            # No connection is kept, so that the plain balancer chooses anew for every request.
            with httpx2.Client(
                base_url=url,
                headers={**headers, "Connection": "close"},
                timeout=30,
                verify=trusting,
                trust_env=False,
            ) as client:
                yield Cluster(processes, client)
    finally:
        for one in processes:
            if one.running is not None:
                one.kill()


@contextmanager
def balanced(kind: str, ports: list[int], folder: Path) -> Iterator[str]:
    if kind == "nginx":
        with nginx(ports, folder) as url:
            yield url
        return
    made = Balancer(ports)
    try:
        yield made.url
    finally:
        made.close()


def test_processes_share_everything_and_outlive_one_of_them(cluster: Cluster) -> None:
    conversation, image = any_process_goes_on_with_what_another_began(cluster)
    many_questions_are_shared_out(cluster, image)
    a_stream_passes_as_it_comes(cluster, image)
    one_is_killed_in_the_middle(cluster, image, conversation)
    it_comes_back(cluster, conversation)
    what_is_deleted_in_one_is_gone_in_all(cluster, conversation, image)


def any_process_goes_on_with_what_another_began(cluster: Cluster) -> tuple[str, str]:
    first, second, third = (cluster.direct(n) for n in range(3))
    with first, second, third:
        new = first.post("/upload_image", files={"image_file": png()})
        assert new.status_code == 201, new.text
        image = new.json()["image_id"]
        again = second.post("/upload_image", files={"image_file": png()})
        assert (again.status_code, again.json()["image_id"]) == (200, image)
        said = {"image_id": image, "question": "first?"}
        answer = second.post("/ask_question", json=said)
        assert answer.status_code == 200, answer.text
        conversation = answer.json()["conversation_id"]
        more = third.post(
            "/ask_question", json=said | {"question": "then?", "conversation_id": conversation}
        )
        assert more.json()["conversation_id"] == conversation
        whole = first.get(f"/conversations/{conversation}").json()
        assert [turn["question"] for turn in whole["messages"]] == ["first?", "then?"]
        assert third.get(f"/images/{image}").content == first.get(f"/images/{image}").content
    return conversation, image


def many_questions_are_shared_out(cluster: Cluster, image: str) -> None:
    before = [one.served() for one in cluster.processes]

    def ask(number: int) -> str:
        return str(cluster.ask(f"number {number}?", image_id=image)["answer"])

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, range(24)))
    assert answers == [f"You asked: number {n}?" for n in range(24)]
    served = [one.served() - b for one, b in zip(cluster.processes, before, strict=True)]
    assert sum(served) == 24
    assert min(served) >= 4, served  # eight each, if they were dealt out evenly


def a_stream_passes_as_it_comes(cluster: Cluster, image: str) -> None:
    said = {"image_id": image, "question": STREAM, "stream": True}
    seen: list[tuple[float, str]] = []
    with cluster.client.stream("POST", "/ask_question", json=said) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("event:"):
                seen.append((time.monotonic(), line.split()[1]))
    names = [name for _, name in seen]
    assert names[0] == "meta"
    assert names[-1] == "done"
    first = next(at for at, name in seen if name == "token")
    # The words of an echo are spread over a second: held back, they would come together.
    assert seen[-1][0] - first > 0.5


def one_is_killed_in_the_middle(cluster: Cluster, image: str, conversation: str) -> None:
    """kill -9 with questions in every process: each is answered, by another if it must be."""

    def ask(number: int) -> dict[str, Any]:
        return cluster.ask(f"kept {number}?", image_id=image)

    victim = cluster.processes[0]
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(ask, number) for number in range(12)]
        time.sleep(0.5)
        victim.kill()
        answers = [one.result() for one in asked]
    assert [a["answer"] for a in answers] == [f"You asked: kept {n}?" for n in range(12)]
    # A conversation that the killed process served goes on, with all that was said before.
    follow_up = cluster.ask("after?", image_id=image, conversation_id=conversation)
    assert follow_up["conversation_id"] == conversation
    whole = cluster.client.get(f"/conversations/{conversation}").json()
    assert [turn["question"] for turn in whole["messages"]] == ["first?", "then?", "after?"]
    assert {turn["state"] for turn in whole["messages"]} == {"done"}
    for answer in answers:
        kept = cluster.client.get(f"/conversations/{answer['conversation_id']}").json()
        assert kept["messages"][-1]["answer"] == answer["answer"]


def it_comes_back(cluster: Cluster, conversation: str) -> None:
    back = cluster.processes[0]
    back.start()
    back.wait()
    with cluster.direct(0) as client:
        whole = client.get(f"/conversations/{conversation}").json()
        assert len(whole["messages"]) == 3
        listed = client.get("/conversations", params={"limit": 100}).json()["conversations"]
    # What was cut off by the kill is told as such, and nothing is pending for ever.
    with cluster.direct(1) as client:
        for one in listed:
            turns = client.get(f"/conversations/{one['conversation_id']}").json()["messages"]
            assert {t["state"] for t in turns} <= {"done", "interrupted", "pending"}
    checked = [sys.executable, "-m", "vesalius", "log", "verify"]
    done = subprocess.run(checked, env=back.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def what_is_deleted_in_one_is_gone_in_all(cluster: Cluster, conversation: str, image: str) -> None:
    with cluster.direct(1) as client:
        assert client.delete(f"/images/{image}").status_code < 300
        assert client.delete(f"/conversations/{conversation}").status_code < 300
    for number in range(3):
        with cluster.direct(number) as client:
            assert client.get(f"/images/{image}").status_code == 404
            assert client.get(f"/conversations/{conversation}").status_code == 404
            assert (
                client.post(
                    "/ask_question", json={"image_id": image, "question": "still?"}
                ).status_code
                == 404
            )


def test_the_door_hides_what_is_the_operators(tmp_path: Path, postgresql: str) -> None:
    """Through nginx: no metrics, and a body too large is refused by the service, in its words."""
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("VESALIUS_")},
        "VESALIUS_REPLAY": "echo",
        "VESALIUS_STATE": str(tmp_path / "state"),
        "VESALIUS_DATABASE_URL": postgresql,
        "VESALIUS_DECODERS": "1",
    }
    one = Process(free_port(), env, tmp_path / "log")
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    try:
        one.start()
        with nginx([one.port] * 3, tmp_path) as url:
            one.wait()
            with httpx2.Client(
                base_url=url, verify=trusting, timeout=30, trust_env=False
            ) as client:
                assert client.get("/healthz").status_code == 200
                for path in ("/metrics", "/readyz"):
                    assert client.get(path).status_code == 404
                    assert one_status(one, path) == 200
                assert "max-age" in client.get("/version").headers["Strict-Transport-Security"]
                large = client.post("/upload_image", files={"image_file": b"0" * (21 * 2**20)})
                assert large.status_code == 413
                assert large.json()["code"] == "body_too_large"
    finally:
        one.kill()


def one_status(process: Process, path: str) -> int:
    return httpx2.get(process.url + path, trust_env=False).status_code
