"""Real ``vesalius serve`` processes on one machine, and two load balancers to stand before them."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import until

ROOT = Path(__file__).resolve().parents[2]


def beside(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_store = beside("store_conftest", ROOT / "tests" / "service" / "store" / "conftest.py")
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
        match = re.search(r'^vesalius_answers_total{finish="stop"} (\S+)$', text, re.M)
        return float(match[1]) if match else 0.0


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
    beside("test_nginx", ROOT / "tests" / "deploy" / "test_nginx.py").certificate(folder)
    door, plain = free_port(), free_port()
    text = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text()
    changes = {
        "/etc/vesalius/tls": str(folder),
        "/run/nginx.pid": str(folder / "nginx.pid"),
        "/dev/stdout": str(folder / "access.log"),
        "listen 443 ssl": f"listen 127.0.0.1:{door} ssl",
        "server_name api.vesalius.example": "server_name 127.0.0.1",
        "/etc/vesalius/users": str(folder / "users"),
        "listen 80 default_server": f"listen 127.0.0.1:{plain} default_server",
        "events {": "daemon off;\nevents {",
    }
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        changes["http {"] = changes.get("http {", "http {") + f"\n{name}_temp_path {folder / name};"
    upstreams = (ROOT / "deploy" / "nginx" / "upstreams.conf").read_text()
    for number, port in enumerate(ports, 1):
        here = f"server 127.0.0.1:800{number} "
        assert here in upstreams
        upstreams = upstreams.replace(here, f"server 127.0.0.1:{port} ")
    (folder / "upstreams.conf").write_text(upstreams)
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new, 1) if old == "http {" else text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until(lambda: listens(door))
        yield f"https://127.0.0.1:{door}"
    finally:
        running.terminate()
        running.communicate(timeout=10)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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

    def ask(self, question: str, **fields: Any) -> dict[str, Any]:
        """An answer; a connection that broke under it is tried again, as a client would."""
        for _ in range(5):
            try:
                answer = self.client.post("/ask_question", json={"question": question, **fields})
            except httpx2.TransportError:
                continue
            if answer.status_code in {502, 503}:
                time.sleep(0.2)
                continue
            assert answer.status_code == 200, answer.text
            return dict(answer.json())
        raise AssertionError("not answered in five attempts")


def environment(**options: str) -> dict[str, str]:
    """This process's, with no setting of the service but those that are said."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("VESALIUS_")}
    own = {"replay": "echo", "decoders": "1", "rate_per_minute": "100000"}
    return inherited | {f"VESALIUS_{k.upper()}": v for k, v in (own | options).items()}


def client(url: str, **headers: str) -> httpx2.Client:
    """One that takes the certificate of a test, and goes through no proxy."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return httpx2.Client(
        base_url=url, headers=headers, timeout=30, verify=trusting, trust_env=False
    )


@contextmanager
def balanced(kind: str, ports: list[int], folder: Path) -> Iterator[str]:
    if kind == "nginx":
        with nginx(ports, folder) as url:
            yield url
        return
    balancer = Balancer(ports)
    try:
        yield balancer.url
    finally:
        balancer.close()
