"""What a machine has, as doctor tells it."""

from __future__ import annotations

import json
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from vesalius.cli.main import app
from vesalius.system import machine

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_every_extra_that_a_user_may_want_says_what_it_adds() -> None:
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    assert set(machine.EXTRAS) == set(extras) - {"dev", "docs", "all"}


def test_an_extra_lacks_what_is_not_installed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "typer>=0.12",
        "numpy>=2; extra == 'models'",
        "no-such-package[one]>=1; extra == 'models'",
        "nor-this; sys_platform == 'win32' and extra == 'train'",
        "nor-now; python_version < '3.10' and extra == 'train'",
        "but-this; python_version < '3.99' and extra == 'train'",
        "vesalius[models]; extra == 'train'",
        "nor-that; extra == 'dev'",
    ]
    monkeypatch.setattr(machine, "requires", lambda _: lines)
    here = machine.installed
    monkeypatch.setattr(machine, "installed", lambda n: "1" if n == "vesalius" else here(n))
    assert machine.missing() == {"models": ["no-such-package"], "train": ["but-this"]}
    monkeypatch.setattr(machine, "installed", lambda _: None)
    assert machine.missing() == {}  # a source tree


def test_a_cache_is_counted_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path))
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"1234567")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    own, _ = machine.caches()
    assert (own.path, own.bytes, own.whole) == (tmp_path, 21, True)
    monkeypatch.setattr(machine, "FILES", 2)
    own, _ = machine.caches()
    assert (own.bytes, own.whole) == (14, False)


def test_the_hub_is_asked_once_and_only_where_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", place)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert machine.ask_hub() == f"{place}: answers with 200"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert machine.ask_hub() == f"{place}: not asked, HF_HUB_OFFLINE is set"
    assert asked == ["/api/models?limit=1"]
    server.shutdown()
    server.server_close()
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert machine.ask_hub() == f"{place}: does not answer (ConnectError)"


def test_the_command_says_it_and_saves_it(tmp_path: Path) -> None:
    done = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["doctor", "--save", str(tmp_path / "d")])
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "d").read_text())
    assert f"python {facts['versions']['python']}" in done.output
    assert facts["processors"]["cores"] >= 1
    assert set(facts["free"]) == {"here", "cache", "temporary"}
    assert "hub" not in facts
    assert "airgap" not in facts
