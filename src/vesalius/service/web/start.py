"""Starts and stops the page, and the API beneath it: two processes that live and die together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2

from vesalius.errors import Refusal

READY = 600.0
"""Seconds in which a model must be loaded."""
GRACE = 25.0
"""Seconds to finish in once a stop was asked for; then they are killed."""
_HERE = files(__package__)


def page_command(host: str, port: int) -> list[str]:
    """The command that runs the page, with the settings of ``config.toml`` as flags."""
    settings = tomllib.loads(_HERE.joinpath("config.toml").read_text(encoding="utf-8"))
    flags = [f"--{name}={_word(value)}" for name, value in _flat(settings)]
    at = [f"--server.address={host}", f"--server.port={port}"]
    app = Path(str(_HERE)) / "app.py"
    return [sys.executable, "-m", "streamlit", "run", str(app), *flags, *at]


def _flat(table: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in table.items():
        at = f"{above}{name}"
        found += _flat(value, f"{at}.") if isinstance(value, dict) else [(at, value)]
    return found


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on just now."""
    with closing(socket.socket()) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def together(
    commands: Mapping[str, Sequence[str]],
    ready: Mapping[str, str],
    environment: Mapping[str, str],
    said: Any,
) -> int:
    """Run the commands until one ends or a stop is asked for; the exit code.

    ``ready`` has, for each name, the URL that answers 200 once it works. ``said()`` is called when
    all do. 0 after Ctrl-C or SIGTERM; Refusal where one does not come up or dies by itself.
    """
    stop: list[int] = []
    before = {
        s: signal.signal(s, lambda n, _: stop.append(n)) for s in (signal.SIGINT, signal.SIGTERM)
    }
    env = {**os.environ, **environment}
    # Sessions of their own: Ctrl-C in a terminal must not reach them before we stop them in order.
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            running[name] = subprocess.Popen(command, env=env, start_new_session=True)  # noqa: S603
            if not _await(name, running, ready[name], stop):
                return 0
        said()
        while not stop:
            _check(running)
            time.sleep(0.2)
        return 0
    finally:
        _end(list(reversed(running.values())))
        for number, handler in before.items():
            signal.signal(number, handler)


def _await(
    name: str, running: Mapping[str, subprocess.Popen[bytes]], url: str, stop: list[int]
) -> bool:
    """Wait for it to be ready; False if a stop was asked for meanwhile."""
    until = time.monotonic() + READY
    with httpx2.Client(timeout=2.0, trust_env=False) as http:
        while time.monotonic() < until:
            if stop:
                return False
            _check(running)
            try:
                if http.get(url).status_code == 200:
                    return True
            except httpx2.TransportError:
                pass
            time.sleep(0.2)
    raise Refusal("not_ready", f"the {name} was not ready within {READY:g} s")


def _check(running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for name, process in running.items():
        code = process.poll()
        if code is not None:
            raise Refusal(
                "stopped",
                f"the {name} ended by itself (exit {code})",
                hint="see its messages above",
            )


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask each to stop, the page first, and wait; what does not is killed."""
    for process in running:
        if process.poll() is None:
            process.terminate()
    until = time.monotonic() + GRACE
    for process in running:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
