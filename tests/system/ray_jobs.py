"""Jobs of a few shards that Ray's workers do in the tests: well, or in every way of going wrong."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil

from vesalius.errors import DatasetError
from vesalius.system.pace import work_off
from vesalius.system.places import place
from vesalius.system.shards import Pieces, Row, Shards

ITEMS, SIZE, SHARDS = 70, 7, 10


@dataclass(frozen=True)
class Squares:
    """Squares of numbers, in shards at ``at``; ``trouble`` names what goes wrong, and how often."""

    at: Path
    trouble: str = ""
    what: str = "squaring"

    @cached_property
    def shards(self) -> Shards:
        return Shards(place(self.at), {"items": ITEMS, "size": SIZE, "shards": SHARDS})

    def left(self) -> int:
        return self.shards.left()

    def work(self) -> int:
        pieces = Pieces(lambda: iter(range(ITEMS)), SIZE)
        return work_off(self.what, self.shards, pieces, self._do, total=ITEMS)

    def _do(self, numbers: list[int]) -> Iterator[list[Row]]:
        if self.trouble and len(self.shards.done()) >= 2:
            globals()[self.trouble](self.at)
        time.sleep(0.2)
        yield [{"n": n, "square": n * n} for n in numbers]


def dies_once(at: Path) -> None:
    """The process, where no one has before."""
    try:
        (at.parent / "dead").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def dies(_: Path) -> None:
    """The process, always."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuses(at: Path) -> None:
    """As a worker does whose data are not there."""
    raise DatasetError("is not here", where=at, hint="mount it")


def fails(_: Path) -> None:
    """A fault of ours, whose words may quote."""
    raise ValueError("a patient's name")


def driver_dies(at: Path) -> None:
    """The process that has started Ray, where none has before."""
    _kill_once(at, "python")


def control_dies(at: Path) -> None:
    """Ray's control process, where none has before; without it workers have ten seconds."""
    _kill_once(at, "gcs_server")
    time.sleep(5)


def node_dies(at: Path) -> None:
    """Ray's process of this machine, where none has before: workers go on without it."""
    _kill_once(at, "raylet")


def ports(at: Path) -> None:
    """Nothing; but it is noted where the processes of this Ray listen."""
    driver = psutil.Process().parents()[1]
    listening = [
        f"{one.laddr.ip}:{one.laddr.port}"
        for process in (driver, *driver.children(recursive=True))
        for one in process.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    ]
    (at.parent / "ports").write_text("\n".join(listening))


def _kill_once(at: Path, name: str) -> None:
    try:
        (at.parent / "dead").touch(exist_ok=False)
    except FileExistsError:
        return
    driver = psutil.Process().parents()[1]
    processes = [driver] if name == "python" else driver.children()
    for process in processes:
        if name in process.name():
            process.kill()
