"""A clock that is set, pictures that are drawn, and stores on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vesalius.cases.reencode import Reencoded
from vesalius.service.store import Store


class Clock:
    """A time that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def day(clock: Clock) -> datetime:
    """A day from now: when a picture expires."""
    return clock.now + timedelta(days=1)


@pytest.fixture
def make_picture() -> Callable[..., Reencoded]:
    """Makes what is kept of an upload; to the store its bytes are only bytes."""

    def make(words: str = "a picture", **facts: object) -> Reencoded:
        fields = {"suffix": ".png", "width": 4, "height": 3, "kind": "png"} | facts
        return Reencoded(words.encode(), **fields)  # type: ignore[arg-type]

    return make


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)],
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database's address: SQLite, and (slow) a new database of a PostgreSQL server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/vesalius.db"
    return request.getfixturevalue("postgresql")


@pytest.fixture
def store(url: str, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A store with its tables made."""
    opened = Store(url, str(tmp_path / "pictures"), clock=clock)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def lite(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A store on SQLite, where a test is of SQLite or of files."""
    opened = Store(f"sqlite:///{tmp_path}/vesalius.db", str(tmp_path / "pictures"), clock=clock)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def postgresql(_server: str) -> Iterator[str]:
    """The address of an empty database on a PostgreSQL server that runs for these tests."""
    import pg8000.dbapi

    name, (host, port) = f"test_{time.monotonic_ns()}", _server.split(":")
    where = {"user": "vesalius", "host": host, "port": int(port), "database": "postgres"}
    with closing(pg8000.dbapi.connect(**where)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        yield f"postgresql://vesalius@{_server}/{name}"
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def _server() -> Iterator[str]:
    programs = _programs()
    place = Path(tempfile.mkdtemp(prefix="vesalius-postgresql-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        user = _unprivileged()
        os.chown(place, user.pw_uid, user.pw_gid)
        ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}")
        as_user = ["setpriv", *ids, "--clear-groups"]
    data = place / "data"
    make = (programs / "initdb", "-D", data, "-U", "vesalius", "-A", "trust", "-E", "UTF8")
    subprocess.run([*as_user, *make, "--no-sync"], check=True, capture_output=True, cwd=place)
    options: dict[str, object] = {"listen_addresses": "127.0.0.1", "port": port, "fsync": "off"}
    options["unix_socket_directories"] = str(place)
    arguments = [part for k, v in options.items() for part in ("-c", f"{k}={v}")]
    with (place / "log").open("wb") as log:
        server = subprocess.Popen(
            [*as_user, programs / "postgres", "-D", data, *arguments],
            stdout=log,
            stderr=log,
            cwd=place,
        )
    try:
        _wait(port, server, place / "log")
        yield f"127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nobody needs its data any more
        server.wait(30)
        shutil.rmtree(place)


def _programs() -> Path:
    servers = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    if not servers and on_path is None:
        pytest.skip("no PostgreSQL server is installed: scripts/system-packages installs one")
    return servers[-1].parent if servers else Path(str(on_path)).resolve().parent


def _unprivileged() -> pwd.struct_passwd:
    if shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL refuses to run as root, and there is no setpriv")
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    import pg8000.dbapi

    where = {"user": "vesalius", "host": "127.0.0.1", "port": port, "database": "postgres"}
    for _ in range(300):
        assert server.poll() is None, log.read_text()
        # Until it has started up it takes no connection, or takes one and refuses it.
        with suppress(pg8000.dbapi.Error), closing(pg8000.dbapi.connect(**where)):
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())
