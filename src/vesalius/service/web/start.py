"""Starts and stops the page, and the API beneath it: two processes that live and die together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2

from vesalius.errors import RecipeError, Refusal
from vesalius.service.settings import Settings
from vesalius.service.web import HEADER, HELD, KEY, URL

READY = 600.0
"""Seconds in which a model must be loaded."""
GRACE = 25.0
"""Seconds to finish in once a stop was asked for; then they are killed."""
_HERE = files(__package__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What to start: the options of ``vesalius serve``, or the URL of one that runs."""

    serve: Mapping[str, str]
    api_url: str | None
    api_port: int
    host: str
    page_port: int


def run_together(wish: Wish, announce: Callable[[str], None]) -> None:
    """Run the page, with the API beneath it unless one runs already, until a stop is asked for.

    RecipeError where the wish contradicts itself or the page would be open to everyone; Refusal
    where a part does not come up or dies.
    """
    _require_alone(wish)
    _require_number(HELD)
    known = _require_known(wish.host)
    page_port = wish.page_port or free_port()
    address = f"[{wish.host}]" if ":" in wish.host else wish.host
    reached = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(address, address)  # noqa: S104
    page = f"http://{reached}:{page_port}"
    commands: dict[str, Sequence[str]] = {}
    ready = {"page": f"{page}/_stcore/health"}
    environment = {URL: wish.api_url or ""}
    if wish.api_url is None:
        port = wish.api_port or free_port()
        api = f"http://127.0.0.1:{port}"
        options = [f"--{name}={value}" for name, value in wish.serve.items()]
        at = ["--host=127.0.0.1", f"--port={port}"]
        commands["service"] = [sys.executable, "-m", "vesalius", "serve", *options, *at]
        ready["service"] = f"{api}/readyz"
        # Where people are told apart the API believes only a key made for that.
        environment = {URL: api} | ({"VESALIUS_KEYS": "on"} if known else {})
    commands["page"] = page_command(wish.host, page_port)
    together(commands, ready, environment, lambda: announce(page))


def _require_alone(wish: Wish) -> None:
    if wish.api_url is not None and wish.serve:
        name = next(iter(wish.serve))
        raise RecipeError(
            f"--api-url names a service that has its own --{name}",
            where="vesalius web",
            hint=f"leave out --{name} or --api-url",
        )


def _require_number(name: str) -> None:
    value = os.environ.get(name)
    if value and not (value.isascii() and value.isdecimal()):
        raise RecipeError(f"not a number: {value!r}", where=name, hint="MiB, for example 768")


def _require_known(host: str) -> bool:
    """Whether people are told apart; beyond loopback they must be, and then a key is needed."""
    known = bool(os.environ.get(HEADER)) or _login_is_set()
    if not known and not Settings.model_construct(host=host).loopback:
        raise RecipeError(
            "everyone who reaches the page would share one set of conversations",
            where=f"--host {host}",
            hint=f"set {HEADER} to the header in which your proxy names the person, or set up "
            "Streamlit's OIDC login",
        )
    if known and not os.environ.get(KEY):
        raise RecipeError(
            "the page tells people apart, and the service believes that only from a key",
            where=KEY,
            hint="set it to what `vesalius keys create page --for-others` prints",
        )
    return known


def _login_is_set() -> bool:
    """Whether a secrets file where Streamlit looks for it has an ``[auth]`` section."""
    for folder in (Path.home(), Path.cwd()):
        path = folder / ".streamlit" / "secrets.toml"
        if path.is_file() and "auth" in tomllib.loads(path.read_text(encoding="utf-8")):
            return True
    return False


def page_command(host: str, port: int) -> list[str]:
    """The command that runs the page, with the settings of ``config.toml`` as flags."""
    settings = tomllib.loads(_HERE.joinpath("config.toml").read_text(encoding="utf-8"))
    flags = [f"--{name}={_word(value)}" for name, value in _flat(settings)]
    at = [f"--server.address={host}", f"--server.port={port}"]
    app = Path(str(_HERE)) / "asgi.py"
    return [sys.executable, "-m", "streamlit", "run", str(app), *flags, *at]


def _flat(table: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    flags: list[tuple[str, Any]] = []
    for name, value in table.items():
        at = f"{above}{name}"
        flags += _flat(value, f"{at}.") if isinstance(value, dict) else [(at, value)]
    return flags


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
    announce: Callable[[], None],
) -> None:
    """Run the commands until a stop is asked for (Ctrl-C, SIGTERM).

    ``ready`` has, for each name, the URL that answers 200 once it works; when all do, ``announce``
    is called. Refusal where one does not come up or ends by itself; the others are stopped then.
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
            running[name] = subprocess.Popen(  # noqa: S603
                command, env=env, start_new_session=True, stdout=subprocess.DEVNULL
            )
            if not _await(name, running, ready[name], stop):
                return
        announce()
        while not stop:
            _check(running)
            time.sleep(0.2)
    finally:
        _end(list(reversed(running.values())))
        for number, handler in before.items():
            signal.signal(number, handler)


def _await(
    name: str, running: Mapping[str, subprocess.Popen[bytes]], url: str, stop: list[int]
) -> bool:
    """Wait for it to be ready; False if a stop was asked for meanwhile."""
    until, pause = time.monotonic() + READY, 0.1
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
            time.sleep(pause)
            pause = min(1.0, 1.1 * pause)
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
