"""What a process that works for agents may not do, whatever the step: write, and start programs.

Python's audit events tell of both before they happen. That guards against a step that writes and a
run that names a program; code that was taken over is not held back by it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vesalius.errors import Refusal

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
THROUGH = {"open", "os.chmod", "os.chown", "os.truncate", "os.utime"}
"""Audit events of what changes the file that a link leads to; their first argument is its path."""
BESIDE: dict[str, dict[int, int]] = {
    "os.mkdir": {0: 2}, "os.remove": {0: 1}, "os.rmdir": {0: 1}, "os.rename": {0: 2, 1: 3},
    "os.link": {1: 3}, "os.symlink": {1: 2},
}  # fmt: skip
"""Those of what changes a folder: where the path of an entry stands, and the open folder that it is
relative to."""
STARTING = {"os.exec", "os.posix_spawn", "os.system", "subprocess.Popen"}


def forbid(roots: Sequence[Path], *, write: bool) -> None:
    """From now on this process writes nothing into these folders, and starts Python alone."""
    places = [os.path.realpath(root) for root in roots]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in STARTING and arguments[0] != sys.executable:
            raise PermissionError("no program is started here")
        if not write and any(_within(path, places) for path in _changed(event, arguments)):
            raise Refusal("forbidden", "this server only reads", hint="start it with --write")

    sys.addaudithook(hook)


def _changed(event: str, arguments: tuple[Any, ...]) -> Iterator[str]:
    """The real paths of what would change."""
    opened = event == "open" and not arguments[2] & WRITING
    if event in THROUGH and not opened and not isinstance(arguments[0], int):
        yield os.path.realpath(os.fsdecode(arguments[0]))
    for place, folder in BESIDE.get(event, {}).items():
        path = _from(arguments[folder]) / os.fsdecode(arguments[place])
        yield str(path.parent.resolve() / path.name)


def _from(folder: int) -> Path:
    """The folder open under this number, as Linux names it; the current one for none (-1)."""
    return Path() if folder == -1 else Path(f"/proc/self/fd/{folder}").resolve()


def _within(path: str, places: Sequence[str]) -> bool:
    return any(path == place or path.startswith(place + os.sep) for place in places)
