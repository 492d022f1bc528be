"""What was done to each file, in JSON lines without a value or a name: manifest.jsonl.

The first row says with which policy, options and key; each other one is a source file under the
keyed hash of its path, size and time. A run that was killed goes on where the rows end.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from vesalius.data.deidentify.job import PART
from vesalius.data.deidentify.options import Options
from vesalius.data.deidentify.policy import fingerprint
from vesalius.data.deidentify.pseudonyms import Pseudonyms
from vesalius.data.deidentify.sources import File
from vesalius.errors import DatasetError, RunError
from vesalius.system.files import mend_lines, read_lines
from vesalius.system.version import __version__

NAME = "manifest.jsonl"
AGAIN = frozenset(("worker_lost", "worker_timeout", "worker_busy", "worker_failed"))
AGAIN |= {"unreadable", "disk_full", "not_written"}
"""Faults of the day: such files are tried again when a run goes on."""


@dataclass
class Manifest:
    """An open manifest; a context manager that holds it against other runs."""

    out: Path
    pseudonyms: Pseudonyms
    _file: IO[str]
    _map: IO[str] | None
    _known: dict[str, str] = field(default_factory=dict)
    _outputs: set[str] = field(default_factory=set)
    _rows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def open(
        cls, out: Path, options: Options, pseudonyms: Pseudonyms, map_file: Path | None = None
    ) -> Manifest:
        """The manifest in ``out``, new or of the same options and key.

        Raises DatasetError for a folder that holds anything else, RunError for another run's.
        """
        path, head = out / NAME, head_of(options, pseudonyms)
        if not path.exists() and out.exists() and any(out.iterdir()):
            hint = "choose a new folder, or one that a killed run left"
            raise DatasetError("is not empty and has no manifest", where=out, hint=hint)
        out.mkdir(parents=True, exist_ok=True)
        # Closed by __exit__; its lock ends with the process, however that ends.
        file = path.open("a", encoding="utf-8")
        _lock(file, out)
        manifest = cls(out, pseudonyms, file, _private(map_file))
        mend_lines(path)
        manifest._begin(path, head)
        return manifest

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._map is not None:
            self._map.close()

    def rows(self) -> list[dict[str, Any]]:
        """The rows that were there at the beginning and still stand."""
        return self._rows

    def name(self, file: File) -> str:
        """The source's pseudonym: another one when the file has changed."""
        return name_of(file, self.pseudonyms)

    def wants(self, file: File) -> bool:
        """Whether the file has no row yet."""
        return self.name(file) not in self._known

    def note(self, file: File, row: dict[str, Any]) -> dict[str, Any]:
        """Append a file's row and return it; a second source of one output is a duplicate."""
        name = self.name(file)
        if row.get("output") in self._outputs:
            row = {"status": "duplicate", "code": "duplicate"}
        if "output" in row:
            self._outputs.add(row["output"])
        self._known[name] = row["status"]
        if self._map is not None:
            _append(self._map, {"source": name, "path": file.name, "output": row.get("output")})
        _append(self._file, {"source": name, **row})
        return row

    def _begin(self, path: Path, head: dict[str, Any]) -> None:
        for part in self.out.glob(f"{PART}*"):
            part.unlink(missing_ok=True)
        if not require_head(path, head):
            _append(self._file, head)
            return
        for row in _standing(islice(read_lines(path), 1, None)):
            self._known[row["source"]] = row["status"]
            self._rows.append(row)
            if row.get("output"):
                self._outputs.add(row["output"])


def require_head(path: Path, head: dict[str, Any]) -> bool:
    """Whether a manifest has its first row; RunError where that is another run's."""
    first = next(read_lines(path), None)
    if first is not None and first[1] != head:
        other = [key for key in head if first[1].get(key) != head[key]]
        hint = "the same options and key, or another folder"
        raise RunError(f"was made with another {' and '.join(other)}", where=path, hint=hint)
    return first is not None


def name_of(file: File, pseudonyms: Pseudonyms) -> str:
    """A source's pseudonym."""
    return pseudonyms.name("file", f"{file.name}\0{file.stamp}")


def _lock(file: IO[str], out: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise RunError("another run is writing here", where=out) from error


def _standing(lines: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for _, row in lines:
        if row.get("code") not in AGAIN:
            yield row


def head_of(options: Options, pseudonyms: Pseudonyms) -> dict[str, Any]:
    """What all rows of a manifest have in common: version, policy, options, and which key."""
    return {
        "vesalius": __version__,
        "policy": fingerprint(),
        "options": options.model_dump(mode="json"),
        "key": pseudonyms.name("fingerprint", "key")[:8],
    }


def _append(file: IO[str], row: dict[str, Any]) -> None:
    file.write(json.dumps(row, ensure_ascii=False) + "\n")
    file.flush()


def _private(path: Path | None) -> IO[str] | None:
    if path is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(opened, "a", encoding="utf-8")
