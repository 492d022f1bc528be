"""One file from source to output, in a worker process: read, de-identify, check, write."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

from vesalius.data.deidentify.options import Options
from vesalius.data.deidentify.pseudonyms import Pseudonyms
from vesalius.data.deidentify.reading import is_dicom
from vesalius.data.deidentify.single import Done, Unwanted, deidentify_object
from vesalius.data.deidentify.sources import File
from vesalius.data.deidentify.verify import check
from vesalius.errors import DatasetError, ImageError

PART = ".part-"

_APPLE_DOUBLE = b"\x00\x05\x16\x07"
"""How the files begin that macOS leaves beside others, under names like ``._1.dcm``."""


def run(file: File, name: str, out: Path, options: Options, key: bytes) -> dict[str, Any]:
    """The manifest's row of one file, whose output is then in ``out``; ``name`` is its pseudonym.

    The row has a ``status`` (done, refused, failed, finding, skipped) and no value of the file.
    """
    try:
        data = _read(file, options.max_bytes)
        done = deidentify_object(data, options, Pseudonyms(key))
    except _Passed as passed:
        return passed.row
    except Unwanted as error:
        return _row("refused", error.code)
    except ImageError as error:
        return _row("failed", error.code)
    if done is None:
        return _row("skipped", "directory")
    findings = check(done.data, data, done.dates) if options.verify else []
    if findings:
        left = [[finding.code, finding.where] for finding in findings]
        return _row("finding", "identity_left", findings=left)
    return _written(done, out, name)


class _Passed(Exception):
    """A file that is not even looked into, with its row."""

    def __init__(self, status: str, code: str) -> None:
        self.row = _row(status, code)
        super().__init__(code)


def _read(file: File, most: int) -> bytes:
    if file.fault:
        raise _Passed("failed", file.fault)
    try:
        data = file.read(most)
    except DatasetError as error:
        raise _Passed(
            "failed", "too_large" if "more than" in error.what else "unreadable"
        ) from None
    if not is_dicom(data[:132]):
        ending = file.name.lower().endswith((".dcm", ".dicom"))
        dicom = ending and not data.startswith(_APPLE_DOUBLE)
        raise _Passed("failed" if dicom else "skipped", "not_dicom")
    return data


def _row(status: str, code: str, **more: Any) -> dict[str, Any]:
    return {"status": status, "code": code, **more}


def _written(done: Done, out: Path, name: str) -> dict[str, Any]:
    path = out / done.path
    part = out / f"{PART}{name}-{token_hex(4)}"  # two workers may be at one file
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb") as file:
            file.write(done.data)
            file.flush()
            os.fsync(file.fileno())
        placed = _placed(part, path, done.data)
    except OSError as error:
        return _row("failed", "disk_full" if error.errno == 28 else "not_written")
    finally:
        part.unlink(missing_ok=True)
    if not placed:
        return _row("failed", "conflict")
    more = {"names": dict(sorted(done.cleared.items())), "shows": done.shows}
    return {
        "status": "done",
        "output": done.path,
        "sha256": sha256(done.data).hexdigest(),
        "bytes": len(done.data),
        "actions": _actions(done.tally),
        **{key: value for key, value in more.items() if value},
    }


def _placed(part: Path, path: Path, data: bytes) -> bool:
    """Whether the output is there with this content; another content is never overwritten."""
    try:
        os.link(part, path)
    except FileExistsError:
        # A run that was killed wrote it, but not its row; or the source has the image twice.
        return path.read_bytes() == data
    except OSError:
        # A file system without links.
        if path.exists():
            return path.read_bytes() == data
        part.replace(path)
    return True


def _actions(tally: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for (action, keyword), count in sorted(tally.items()):
        counts.setdefault(action, Counter())[keyword] += count
    return {action: dict(keywords) for action, keywords in counts.items()}
