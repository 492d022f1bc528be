"""Claims: which process works on what, seen by others on the same machine or elsewhere.

A claim is a name in a :class:`~vesalius.system.places.Place`, created by one process and touched by
it while it lives. It is never taken back: whoever takes over from the dead, or from one that gave
it up, creates the next one.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil

from vesalius.errors import RunError
from vesalius.system.places import Place

BEAT = 10.0
"""Seconds from one touch to the next."""
SILENCE = 60.0
"""Seconds without a touch after which a process on another machine counts as dead."""
log = logging.getLogger(__name__)
_held: set[tuple[str, str]] = set()
"""The claims that this process works on: one that it gave up, or whose number it has, is dead."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, so that no other one is taken for it.

    ``host`` is for people to read; ``system`` tells one boot of one machine, and one space of
    process numbers on it, from any other. ``started`` is in seconds since the epoch.
    """

    host: str
    system: str
    pid: int
    started: float

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        return cls(socket.gethostname(), system(), pid, psutil.Process(pid).create_time())

    def alive(self) -> bool:
        """Whether a process of this system is running (a dead one that nobody buried is not)."""
        try:
            process = psutil.Process(self.pid)
            # A clock that is set moves both, but not by the same fraction of a second.
            same = abs(process.create_time() - self.started) < 2
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:  # somebody else's: then its silence tells
            return True


@lru_cache(maxsize=1)
def system() -> str:
    """One boot of one machine and one space of process numbers (a container has its own)."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.exists():
        return f"{boot.read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    return f"{socket.gethostname()} {psutil.boot_time():.0f}"


def claimed(place: Place, name: str, facts: Mapping[str, Any]) -> bool:
    """Whether this process is the one that created the claim."""
    row = {**facts, **asdict(Owner.here()), "token": secrets.token_hex(8)}
    content = json.dumps(row).encode() + b"\n"
    # A request that a network repeats meets what it created itself.
    return place.create(name, content) or place.read(name).startswith(content)


@contextmanager
def beating(place: Place, name: str, *, every: float = BEAT) -> Iterator[None]:
    """Touch the claim while the work inside goes on.

    A touch that fails is a warning: whether the work is lost shows when its result is put there.
    """
    over, held = Event(), (str(place), name)

    def beat() -> None:
        while not over.wait(every):
            try:
                place.touch(name)
            except RunError as error:
                log.warning("a claim was not renewed: %s", error)

    thread = Thread(target=beat, name="heartbeat", daemon=True)
    _held.add(held)
    thread.start()
    try:
        yield
    finally:
        _held.discard(held)
        over.set()
        thread.join()


def give_up(place: Place, name: str) -> None:
    """Say that nobody works on the claim any more: it is free everywhere, at once.

    Where the place does not answer, the claim is free when it has been silent.
    """
    try:
        place.create(_given_up(name), b"")
    except RunError as error:
        log.warning("a claim was not given up: %s", error)


def _given_up(name: str) -> str:
    return f"{name}.over"


class Watch:
    """Whether the owners of claims are dead, by what this process has seen of them.

    A process of this system that is gone is dead at once. Any other, stopped ones of this system
    among them, is dead when its stamp has stood still for :data:`SILENCE` seconds of this process's
    own clock: clocks of machines are not compared.
    """

    def __init__(
        self, place: Place, *, silence: float = SILENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._place, self._silence, self._clock = place, silence, clock
        self._seen: dict[str, tuple[Hashable, float]] = {}

    def dead(self, name: str, names: Collection[str] = ()) -> bool:
        """Whether the owner of the claim is, or has given it up; ``names``: what the place has."""
        if _given_up(name) in names:
            return True
        owner = self._owner(name)
        if owner is not None and owner.system == system():
            if owner.pid == os.getpid():
                return (str(self._place), name) not in _held
            if not owner.alive():
                return True
        stamp, now = self._place.stamp(name), self._clock()
        seen, since = self._seen.setdefault(name, (stamp, now))
        if stamp != seen:
            self._seen[name] = (stamp, now)
            return False
        return now - since >= self._silence

    def _owner(self, name: str) -> Owner | None:
        """Who created the claim; None where that cannot be read."""
        try:
            row = json.loads(self._place.read(name).partition(b"\n")[0])
            return Owner(row["host"], row["system"], int(row["pid"]), float(row["started"]))
        except (ValueError, KeyError, TypeError):
            return None
