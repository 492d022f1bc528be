"""Places that processes on many machines share: a folder, or a bucket by its fsspec URL.

A name is given once: whoever creates it first has it, and what it holds is whole. What a place is
used for is not known here.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from vesalius.errors import MissingExtra, RunError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
EXTRAS = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "gcs": ("gcsfs", "gcs")}


class Place(Protocol):
    """Named contents; as text, where they are.

    Each method raises RunError, in one line, where the place does not answer.
    """

    def names(self) -> set[str]:
        """What is there now."""

    def create(self, name: str, content: bytes) -> bool:
        """Put ``content`` there, whole; False, and nothing done, where the name is taken."""

    def read(self, name: str) -> bytes:
        """The content of a name that is there."""

    def touch(self, name: str) -> None:
        """Give the name another :meth:`stamp`."""

    def stamp(self, name: str) -> Hashable:
        """What differs after each :meth:`touch`; to be compared, not read as a time."""


def place(url: str | Path) -> Place:
    """The place at a folder's path or an fsspec URL (``s3://bucket/prefix``), made if absent.

    RunError where there can be none, MissingExtra where a package for the URL is missing.
    """
    scheme, mark, path = str(url).partition("://")
    if mark and scheme not in ("file", "local"):
        return Bucket(str(url))
    return Folder(Path(path if mark else url))


class Folder:
    """A folder on a disk or a shared file system."""

    def __str__(self) -> str:
        return str(self._path)

    def __init__(self, path: Path) -> None:
        self._path = path
        with _answering(path):
            # Only here: a mount that goes away must not be replaced by a folder below its place.
            path.mkdir(parents=True, exist_ok=True)

    def names(self) -> set[str]:  # noqa: D102 - Place has the words
        with _answering(self._path):
            return {path.name for path in self._path.iterdir() if path.name[0] != "."}

    def create(self, name: str, content: bytes) -> bool:  # noqa: D102
        path = self._path / name
        part = self._path / f".{name}.{secrets.token_hex(4)}"
        with _answering(self._path):
            if path.exists():
                return False
            try:
                with part.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                return linked(part, path)
            finally:
                part.unlink(missing_ok=True)

    def read(self, name: str) -> bytes:  # noqa: D102
        with _answering(self._path):
            return (self._path / name).read_bytes()

    def touch(self, name: str) -> None:  # noqa: D102
        with _answering(self._path):
            os.utime(self._path / name)

    def stamp(self, name: str) -> Hashable:  # noqa: D102
        # Opened, not only looked up: NFS asks its server anew when a file is opened.
        with _answering(self._path), (self._path / name).open("rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns


def linked(part: Path, path: Path) -> bool:
    """Give a whole file its name too; False where that is taken."""
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Without links two may both have the name, one after the other; each content is whole.
        part.replace(path)
    return True


class Bucket:
    """A prefix of a bucket, or of anything else that fsspec reaches by a URL.

    Where its file system cannot create exclusively, two may both have a name, one after the other.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            import fsspec

            # No listings cache: what other machines write must be seen.
            self._files, root = fsspec.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            package, extra = EXTRAS.get(url.partition("://")[0], ("fsspec", "serve"))
            raise MissingExtra(package, extra) from error
        except ValueError as error:
            raise RunError("is no folder or URL that can be shared", where=url) from error
        self._root = root.rstrip("/")

    def __str__(self) -> str:
        return self._url

    def names(self) -> set[str]:  # noqa: D102
        with _answering(self._url):
            try:
                paths: list[str] = self._files.ls(self._root, detail=False)
            except FileNotFoundError:  # a prefix is there once it holds something
                return set()
        return {path.rstrip("/").rpartition("/")[2] for path in paths} - {""}

    def create(self, name: str, content: bytes) -> bool:  # noqa: D102
        with _answering(self._url):
            try:
                self._files.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
        return True

    def read(self, name: str) -> bytes:  # noqa: D102
        with _answering(self._url):
            content: bytes = self._files.cat_file(self._path(name))
        return content

    def touch(self, name: str) -> None:  # noqa: D102
        head, _, _ = self.read(name).partition(b"\n")
        with _answering(self._url):
            beat = secrets.token_hex(4).encode()
            self._files.pipe_file(self._path(name), head + b"\n" + beat + b"\n")

    def stamp(self, name: str) -> Hashable:  # noqa: D102
        return self.read(name)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


@contextmanager
def _answering(where: object) -> Iterator[None]:
    """Faults of the place in one line."""
    try:
        yield
    except RunError:
        raise
    except Exception as error:  # a bucket's client raises errors of its own packages
        raise RunError(_fault(error), where=where, hint="the same command goes on") from error


def _fault(error: Exception) -> str:
    number: Any = getattr(error, "errno", None)
    if number in FULL:
        return "is full; what is there already is whole"
    if isinstance(error, FileNotFoundError):
        return "is not there any more, or has lost a file"
    words = getattr(error, "strerror", None) or type(error).__name__
    return f"does not answer: {words}"
