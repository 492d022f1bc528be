"""What the workers of the tests are asked to do: good work, and every way of going wrong."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from vesalius.errors import ImageError
from vesalius.system.worker import report


def do(what: str, *args: Any) -> Any:
    """One task by name."""
    return globals()[what](*args)


def echo(value: Any) -> Any:
    return value


def pid() -> int:
    return os.getpid()


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


def steps(count: int, seconds: float) -> int:
    for step in range(count):
        report(f"step {step}")
        time.sleep(seconds)
    return count


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave() -> None:
    os._exit(3)


def swell(size: int) -> int:
    return len(bytearray(size))


def swell_in_a_decoder(size: int) -> None:
    try:
        bytearray(size)
    except MemoryError as error:
        raise ImageError("image_corrupt", "it looked damaged") from error


def refuse() -> None:
    raise ImageError("image_truncated", "it ends early", where=Path("a.png"), hint="send it again")


def blunder() -> None:
    raise ValueError("the patient is DOE^JANE")


def panic() -> None:
    raise BaseException("as a decoder written in Rust does")  # noqa: TRY002


def unpicklable() -> Any:
    return lambda: None


def modules() -> list[str]:
    return sorted(sys.modules)


def threads() -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def burn(marker: str) -> None:
    Path(marker).write_text(str(os.getpid()))
    while True:
        pass
