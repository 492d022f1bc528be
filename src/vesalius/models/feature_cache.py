"""Vectors of frozen encoders, shared by all runs on a machine: each content is encoded once.

One SQLite file in ``$VESALIUS_CACHE/features``, a folder of mode 0700. A row's key is a salted hash
of the picture or text, so the file does not tell what it was made of; its vector says what an
encoder sees in it, so it is personal data all the same, and ``vesalius data forget`` removes it.
Steps over data sets open the cache for their time (:func:`with_shared_features`). Nothing else
does: the service and questions about single pictures leave nothing here, and read nothing.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.picture import Picture
from vesalius.errors import RecipeError, VesaliusError
from vesalius.system.cache import cache_folder

FEATURES_MB = "VESALIUS_FEATURES_MB"
DEFAULT_MB = 512
"""About 90,000 pictures at 1,280 numbers each."""
FILE, SALT = "features.sqlite", "salt"
SHARE_DROPPED = 10
"""One in so many vectors goes, the longest unused, each time that the file is too large."""
PATIENCE = 30.0
"""Seconds that a process waits for another one's write."""
TABLES = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS features (
    content BLOB NOT NULL, view BLOB NOT NULL, encoder TEXT NOT NULL, is_text INTEGER NOT NULL,
    vector BLOB NOT NULL, used REAL NOT NULL, PRIMARY KEY (content, view, encoder)
);
CREATE INDEX IF NOT EXISTS features_used ON features (used);
"""
DROP_OLDEST = """
DELETE FROM features WHERE rowid IN (SELECT rowid FROM features ORDER BY used LIMIT ?)
"""

Vectors = NDArray[np.float32]
P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Content:
    """What is encoded, by hash: a picture's bytes and what is decoded of them, or a text."""

    sha256: str
    view: str = ""
    is_text: bool = False

    @classmethod
    def of_picture(cls, picture: Picture) -> Content:
        """The picture's bytes, and its frame and window."""
        return cls(picture.sha256(), repr((picture.view.frame, picture.view.window)))

    @classmethod
    def of_text(cls, text: str) -> Content:
        """The text's UTF-8 bytes."""
        return cls(hashlib.sha256(text.encode()).hexdigest(), is_text=True)


class FeatureCache:
    """Vectors by content and encoder in ``folder``, at most ``limit`` bytes, safe for processes.

    What cannot be read or written is computed again, with one warning in the log: a cache that
    fails never fails a fit.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self.limit = folder, limit

    def read(self, encoder: str, contents: Iterable[Content]) -> dict[Content, Vectors]:
        """The vectors (d,) that are there, by content; ``encoder`` is its digest."""
        if not (self._folder / FILE).exists():
            return {}
        vectors: dict[Content, Vectors] = {}
        query = "SELECT vector FROM features WHERE content = ? AND view = ? AND encoder = ?"
        touch = "UPDATE features SET used = ? WHERE content = ? AND view = ? AND encoder = ?"
        with self._tolerant(), self._transaction() as database:
            salt, now = self._salt(database), time.time()
            for content in contents:
                key = (*_key(salt, content), encoder)
                row = database.execute(query, key).fetchone()
                if row is not None:
                    vectors[content] = np.frombuffer(row[0], np.float32)
                    database.execute(touch, (now, *key))
        return vectors

    def write(self, encoder: str, vectors: Mapping[Content, Vectors]) -> None:
        """Add vectors (d,); the longest unused go where the file becomes too large."""
        insert = "INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?, ?, ?)"
        with self._tolerant():
            self._prepare()
            with self._transaction() as database:
                salt, now = self._salt(database), time.time()
                rows = (
                    (*_key(salt, content), encoder, content.is_text, vector.tobytes(), now)
                    for content, vector in vectors.items()
                )
                database.executemany(insert, rows)
                self._shrink(database)

    def forget(self, pictures: Iterable[str]) -> int:
        """Remove all vectors of pictures, named by the hash of their bytes; how many there were.

        Texts do not know which picture they belong to, so all of them go too (they are not
        counted). VesaliusError if the file cannot be changed.
        """
        if not (self._folder / FILE).exists():
            return 0
        try:
            with self._transaction() as database:
                salt, removed = self._salt(database), 0
                for name in pictures:
                    content, _ = _key(salt, Content(name))
                    delete = "DELETE FROM features WHERE content = ? AND NOT is_text"
                    removed += database.execute(delete, (content,)).rowcount
                database.execute("DELETE FROM features WHERE is_text")
            with closing(self._open()) as database:  # what the log still holds goes as well
                database.execute("PRAGMA incremental_vacuum").fetchall()
                busy = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except (OSError, sqlite3.Error) as error:
            hint = "remove the folder: nothing in it is needed"
            what = f"features cannot be forgotten: {error}"
            raise VesaliusError(what, where=self._folder, hint=hint) from error
        if busy:
            hint = "end them, or repeat this when they have ended"
            what = "another process still reads features; removed ones are in its log"
            raise VesaliusError(what, where=self._folder, hint=hint)
        return removed

    def _prepare(self) -> None:
        """The folder, closed to others, and the file with its tables."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.chmod(0o700)  # OSError if it is another user's
        path = self._folder / FILE
        if not path.exists():
            with _new_file(path) as beside, closing(sqlite3.connect(beside)) as database:
                database.executescript(TABLES)

    def _open(self) -> sqlite3.Connection:
        # A connection for each use: none is carried into a fork or another thread.
        database = sqlite3.connect(self._folder / FILE, timeout=PATIENCE, isolation_level=None)
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA secure_delete = ON")
        return database

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(self._open()) as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            _warn(f"features are not shared: {self._folder}: {error}")

    def _shrink(self, database: sqlite3.Connection) -> None:
        while _used(database) > self.limit:
            count = database.execute("SELECT COUNT(*) FROM features").fetchone()[0]
            if not count:
                break
            database.execute(DROP_OLDEST, (max(1, count // SHARE_DROPPED),))
        database.execute("PRAGMA incremental_vacuum").fetchall()

    def _salt(self, database: sqlite3.Connection) -> bytes:
        """The secret of this cache's keys. Rows of one that was lost can never be asked for."""
        path = self._folder / SALT
        if not path.exists():
            database.execute("DELETE FROM features")
            with _new_file(path) as beside:
                beside.write_bytes(secrets.token_bytes(32))
        return path.read_bytes()


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A file beside ``path``, for its owner alone, that takes its place unless one is there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield beside
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def user_cache() -> FeatureCache | None:
    """The cache of this user's runs; None where ``$VESALIUS_FEATURES_MB`` is 0.

    RecipeError if that is no number of MiB.
    """
    text = os.environ.get(FEATURES_MB) or str(DEFAULT_MB)
    if not text.isdecimal():
        hint = f"whole MiB, e.g. {DEFAULT_MB}; 0 keeps none"
        raise RecipeError(f"{text!r} is no size of the feature cache", where=FEATURES_MB, hint=hint)
    return FeatureCache(features_folder(), int(text) * 2**20) if int(text) else None


def features_folder() -> Path:
    """Where the cache of this user's runs lies."""
    return cache_folder() / "features"


_SHARED: ContextVar[FeatureCache | None] = ContextVar("shared features", default=None)


def shared_features() -> FeatureCache | None:
    """The cache that this context may use; None outside of :func:`sharing`, as in the service."""
    return _SHARED.get()


@contextmanager
def sharing(cache: FeatureCache | None) -> Iterator[None]:
    """Encoders read and fill ``cache`` inside; with None they touch no disk."""
    token = _SHARED.set(cache)
    try:
        yield
    finally:
        _SHARED.reset(token)


def with_shared_features(step: Callable[P, T]) -> Callable[P, T]:
    """A step over data sets, with :func:`user_cache` open while it runs."""

    @functools.wraps(step)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        with sharing(user_cache()):
            return step(*args, **kwargs)

    return inside


def _key(salt: bytes, content: Content) -> tuple[bytes, bytes]:
    """What stands in the file for a content and its view."""
    kind = b"text " if content.is_text else b"picture "

    def salted(text: str) -> bytes:
        return hmac.digest(salt, kind + text.encode(), "sha256")

    return salted(content.sha256), salted(f"{content.sha256} {content.view}")


def _used(database: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int((pages - free) * size)


@functools.cache
def _warn(message: str) -> None:
    log.warning(message)
