"""A connection to SQLite or PostgreSQL: short transactions, and failures as refusals.

Knows nothing of what is stored. What a database says of a failure never reaches a message:
it may quote a question.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from vesalius.errors import MissingExtra, Refusal, VesaliusError

WAIT = 10  # seconds: for a lock, and for a free connection
HUNG = 60  # seconds after which a statement is given up
_KEEPALIVE = {
    "connect_timeout": WAIT,
    "keepalives_idle": WAIT,
    "keepalives_interval": WAIT,
    "keepalives_count": 3,
    "tcp_user_timeout": HUNG * 1000,
}  # psycopg's: its sockets have no time-out of their own
_MIGRATIONS = Path(__file__).with_name("migrations")
_ADVISORY = 0x7665_7361_6C69  # any number that every process of ours names
_FULL = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "53100"}
_MIGRATING = threading.Lock()  # alembic's context is global to the process


class Conflict(VesaliusError):
    """Another writer was faster: a row with this key is already there."""

    code = "conflict"


class Database:
    """SQLite by ``sqlite:///FILE``, PostgreSQL by ``postgresql://...``; safe in threads.

    Any number of processes may share either. SQLite runs in WAL mode, so readers never wait; a
    writer takes the write lock when it begins (BEGIN IMMEDIATE), because a reader that turned
    writer could be refused at once instead of waiting its turn.
    """

    def __init__(self, url: str) -> None:
        self.url = _known(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = _sqlite(self.url) if self.sqlite else _postgresql(self.url)
        self._writing = self._engine.execution_options(immediate=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads."""
        with _refusing(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed on leaving; Conflict where a unique key is taken."""
        session = Session(self._writing, expire_on_commit=False)
        with _refusing(), session, session.begin():
            yield session

    def upgrade(self) -> None:
        """Bring the tables to this version; of several processes one does, the others wait."""
        with _MIGRATING, _refusing(), self._writing.begin() as connection:
            if not self.sqlite:
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY})"))
            try:
                command.upgrade(alembic(connection), "head")
            except CommandError as error:
                raise VesaliusError(
                    "the database was made by a newer version of vesalius",
                    hint="install that version, or name another database",
                ) from error

    def forget(self) -> None:
        """Empty SQLite's write-ahead log, where what was deleted would linger.

        A reader in the middle of its work can hold the log back; then the next call empties it.
        """
        if not self.sqlite:
            return
        with _refusing(), closing(self._engine.raw_connection()) as connection:
            for _ in range(20):
                cursor = connection.cursor()
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy, *_ = cursor.fetchone() or (0,)
                cursor.close()
                if not busy:
                    return
                time.sleep(0.05)

    def check(self) -> None:
        """Refusal unless the database answers and has this version's tables."""
        with self.read() as session:
            context = MigrationContext.configure(session.connection())
            revision = context.get_current_revision()
        if revision != head():
            raise Refusal("storage_unavailable", "the database has another version's tables")

    def close(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()


@cache
def head() -> str | None:
    """The last migration that this version knows."""
    return ScriptDirectory(str(_MIGRATIONS)).get_current_head()


def alembic(connection: Connection) -> Config:
    """Alembic's configuration over ``connection``, with the migrations of this package."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _known(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise VesaliusError(
            "the database's address is no URL",
            hint="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
        ) from error
    if parsed.drivername in ("postgres", "postgresql"):
        driver = "psycopg" if importlib.util.find_spec("psycopg") else "pg8000"
        parsed = parsed.set(drivername=f"postgresql+{driver}")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise VesaliusError(
            f"{parsed.drivername} is no database that vesalius keeps its state in",
            hint="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
        )
    return parsed


def _sqlite(url: URL) -> Engine:
    name = url.database
    if not name or name == ":memory:" or "mode=memory" in str(url):
        raise VesaliusError(
            "a database in memory is seen by one connection only", hint="use sqlite:///FILE"
        )
    if not name.startswith("file:"):
        _create_private(Path(name))
    engine = create_engine(
        url,
        connect_args={"timeout": WAIT},
        pool_size=8,
        max_overflow=8,
        pool_timeout=WAIT,
        hide_parameters=True,
        json_serializer=_json,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _create_private(path: Path) -> None:
    # Made before SQLite opens it: SQLite gives its -wal and -shm files the same permissions.
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise VesaliusError(f"cannot be opened: {error.strerror}", where=path) from error


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin, not by the driver
    for _ in range(100):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            # The one statement that does not wait for its lock: several processes starting at once.
            if error.sqlite_errorname not in ("SQLITE_BUSY", "SQLITE_LOCKED"):
                raise
            time.sleep(0.05)
    # FULL: a commit is on the disk when it returns, even if the machine loses power next; NORMAL
    # survives kill -9, but no more. A question costs two commits, so nobody waits for the sync.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA temp_store=MEMORY")  # no question is spilt into a temporary file


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _postgresql(url: URL) -> Engine:
    # A server that hangs ends a statement itself; one that is gone without a word is noticed here.
    waits = {"timeout": HUNG} if url.get_driver_name() == "pg8000" else _KEEPALIVE
    try:
        engine = create_engine(
            url,
            connect_args=waits,
            pool_size=5,
            max_overflow=5,
            pool_timeout=WAIT,
            pool_recycle=1800,
            hide_parameters=True,
            json_serializer=_json,
        )
    except (ImportError, NoSuchModuleError) as error:
        raise MissingExtra("pg8000", "postgres") from error
    event.listen(engine, "connect", _limit)
    event.listen(engine, "checkout", _alive)
    return engine


def _limit(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{WAIT}s'")
    cursor.execute(f"SET statement_timeout = '{HUNG}s'")
    cursor.close()
    connection.commit()


def _alive(connection: Any, _record: Any, _proxy: Any) -> None:
    """Have the pool replace a connection that the server ended; a restart ends them all.

    SQLAlchemy's own ``pool_pre_ping`` does not: pg8000 lets a reset connection's OSError through,
    which is no error of a database to it.
    """
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        cursor.close()
        connection.rollback()
    except Exception as error:
        raise DisconnectionError("the server ended this connection") from error


def _json(value: Any) -> str:
    """JSON that every database takes: a NaN or an infinity becomes null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None))


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _refusal(error) from error
    except OSError as error:  # pg8000's, where the network fails in the middle of a statement
        raise _away() from error
    except PoolTimeout as error:
        raise Refusal(
            "storage_unavailable", "every connection to the database is busy", retry_after=1
        ) from error


def _refusal(error: DBAPIError) -> VesaliusError:
    state = _state(error.orig)
    if state in _FULL:
        return Refusal(
            "storage_full",
            "the service's disk is full; nothing was stored",
            hint="try again later, or ask the operator to make room",
        )
    if state.startswith(("23", "SQLITE_CONSTRAINT")):
        return Conflict("another writer was faster")
    return _away()


def _away() -> Refusal:
    return Refusal(
        "storage_unavailable",
        "the service's database does not answer as it should",
        retry_after=1,
        hint="try again in a moment",
    )


def _state(error: BaseException | None) -> str:
    """SQLite's name of an error, or PostgreSQL's SQLSTATE; empty where there is none."""
    if error is None:
        return ""
    for name in ("sqlite_errorname", "sqlstate"):
        if known := getattr(error, name, None):
            return str(known)
    fields = error.args[0] if error.args else None  # pg8000: the server's fields by letter
    return str(fields.get("C", "")) if isinstance(fields, dict) else ""
