"""Functions that the tests of parallel work run in processes."""

from __future__ import annotations

import os
import signal

from vesalius.errors import DatasetError


def square(number: object) -> tuple[int, int]:
    """The square, and the process that worked it out."""
    if number == 113:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == -1:
        raise DatasetError("a negative side", where="row 1")
    value = number() if callable(number) else number
    return int(value) ** 2, os.getpid()  # type: ignore[call-overload]
