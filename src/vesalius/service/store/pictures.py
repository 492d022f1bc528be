"""Stored pictures as files of any file system that fsspec knows, named by nothing but their id.

Encryption at rest is the disk's or the bucket's work: a key beside the data would protect nobody.
Credentials come from the environment (AWS_..., GOOGLE_...), never from a URL or a setting.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from vesalius.errors import MissingExtra, Refusal, VesaliusError
from vesalius.system.files import write_atomic

SHARDS = tuple(f"{n:02x}" for n in range(256))
_OURS = re.compile(r"\.?(img_[0-9a-f]{40})\.[a-z]{3,4}(?:\.\d+)?")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Pictures:
    """A folder, or a URL such as ``s3://bucket/prefix``; 256 sub-folders named by the id's start.

    On a local disk a file is written beside its place, synced and renamed; an object store puts an
    object whole or not at all.
    """

    def __init__(self, place: str) -> None:
        self.url = place if "://" in place else Path(place).expanduser().resolve().as_posix()
        self._files, self._root = _opened(self.url)
        self.local = isinstance(self._files, LocalFileSystem)
        if self.local:
            with _refusing():
                Path(self._root).mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, image_id: str, suffix: str) -> str:
        """Where the picture of an id lies, relative to :attr:`url`."""
        return f"{shard(image_id)}/{image_id}{suffix}"

    def write(self, path: str, data: bytes) -> None:
        """Store all of ``data`` or nothing; Refusal ``storage_full`` where there is no room."""
        where = f"{self._root}/{path}"
        with _refusing():
            if self.local:
                _write_local(Path(where), data)
            else:
                self._files.pipe_file(where, data)

    def remove(self, path: str) -> None:
        """Remove a picture; one that is not there is as good as removed."""
        with _refusing():
            try:
                self._files.rm_file(f"{self._root}/{path}")
            except FileNotFoundError:
                return

    def exists(self, path: str) -> bool:
        """Whether the picture is there."""
        with _refusing():
            return bool(self._files.exists(f"{self._root}/{path}"))

    def shard(self, name: str) -> dict[str, datetime]:
        """(file name, time) in one sub-folder, torn files too; nothing that is not ours."""
        with _refusing():
            try:
                entries = self._files.ls(f"{self._root}/{name}", detail=True)
            except FileNotFoundError:
                return {}
        named = ((entry["name"].rsplit("/", 1)[-1], entry) for entry in entries)
        return {name: _time(entry) for name, entry in named if _OURS.fullmatch(name)}

    def check(self) -> None:
        """Refusal unless pictures can be stored (a folder) or asked for (a bucket)."""
        if self.local and not os.access(self._root, os.W_OK | os.X_OK):
            raise Refusal("storage_unavailable", "the folder of pictures cannot be written")
        if not self.local:
            self.exists("ready")


def shard(image_id: str) -> str:
    """The sub-folder of an image: the first two digits of its id."""
    return image_id[4:6]


def image_of(name: str) -> str:
    """The id in the name of an image's file."""
    return name.split(".", 1)[0]


def read_stored(url: str, path: str) -> bytes:
    """A stored picture's bytes; a module's function, so that a worker process can be sent it."""
    files, root = _opened(url)
    with _refusing():
        try:
            data: bytes = files.cat_file(f"{root}/{path}")
        except FileNotFoundError as error:
            raise Refusal(
                "image_expired",
                "this picture is no longer kept",
                hint="upload it again to ask about it",
            ) from error
    return data


def _opened(url: str) -> tuple[Any, str]:
    try:
        # No listings cache: another process's files must be seen. fsspec keeps one instance a URL.
        files, root = fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        scheme = url.split("://", 1)[0]
        package, extra = ("gcsfs", "gcs") if scheme in ("gs", "gcs") else ("s3fs", "s3")
        raise MissingExtra(package, extra) from error
    except ValueError as error:
        raise VesaliusError(
            "is no folder or URL that pictures can be kept in", where=url
        ) from error
    return files, root.rstrip("/")


def _write_local(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomic(path, data)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too, is on the disk before a row speaks of it
    finally:
        os.close(folder)


def _time(entry: dict[str, Any]) -> datetime:
    stamp = next((entry[k] for k in ("LastModified", "mtime", "created") if entry.get(k)), None)
    if isinstance(stamp, str):
        stamp = datetime.fromisoformat(stamp)
    if isinstance(stamp, int | float):
        stamp = datetime.fromtimestamp(stamp, tz=UTC)
    if not isinstance(stamp, datetime):
        return datetime.now(UTC)  # of unknown age: too young to be removed
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except VesaliusError:
        raise
    except Exception as error:  # a bucket's client raises errors of its own packages
        if isinstance(error, OSError) and error.errno in _FULL:
            raise Refusal(
                "storage_full",
                "the service's disk is full; nothing was stored",
                hint="try again later, or ask the operator to make room",
            ) from error
        raise Refusal(
            "storage_unavailable",
            "the service's store of pictures does not answer as it should",
            retry_after=1,
            hint="try again in a moment",
        ) from error
