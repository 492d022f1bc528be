"""A folder that is filled whole or left as it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vesalius.errors import DatasetError

STAGED = ".import"
"""The folder in the target that everything is written into until all is well."""


def require_empty(target: Path) -> None:
    """DatasetError for a folder that holds something."""
    if target.is_file():
        raise DatasetError("a file, where a new folder is to be", where=target, hint="name another")
    if target.exists() and any(target.iterdir()):
        raise DatasetError("the folder is not empty", where=target, hint="name a new one")


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A folder in the target, which takes over its content if all goes well and else is as it was.

    It lies in the target, not beside it: that may be a mount, or its parent not ours to write.
    """
    new = not target.exists()
    folder = target / STAGED
    folder.mkdir(parents=True)
    try:
        yield folder
        for path in sorted(folder.iterdir()):
            path.replace(target / path.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if new and not any(target.iterdir()):
            target.rmdir()
