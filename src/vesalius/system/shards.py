"""Work in shards that any number of processes share, die at and come back to.

A job is described once (``job.json``) and refused by a process that would do another one. Each
shard has one result of JSON lines, put there whole by whoever is first. Which items are in a shard,
and what is done with them, is the caller's.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Set
from hashlib import sha256
from itertools import islice
from typing import Any, Generic, TypeVar

from vesalius.errors import RunError
from vesalius.system.claims import Watch, beating, claimed, give_up
from vesalius.system.files import json_line
from vesalius.system.places import Place
from vesalius.system.version import __version__

T = TypeVar("T")
JOB = "job.json"
MOST = 10_000
"""Shards of a job at most: two files for each."""
PAUSE = 2.0
"""Seconds until a process that finds nothing free looks again."""
RESULT = re.compile(r"(\d{6})()\.jsonl")
CLAIM = re.compile(r"(\d{6})\.claim\.(\d+)")
NAMED = 8
"""How many shards a message names."""
BACK = "when it is back, the same command goes on"
Row = dict[str, Any]


class Shards:
    """The shards of a job in a place.

    Its facts have ``shards``, how many they are, of ``size`` items each, ``items`` in all.
    """

    def __init__(self, place: Place, facts: Mapping[str, Any]) -> None:
        """RunError where the place holds another job: it says what differs."""
        self._place = place
        job = json.loads(json.dumps({"vesalius": __version__, **facts}))
        place.create(JOB, json.dumps(job, indent=2).encode() + b"\n")
        there = _job(place)
        if there != job:
            raise _other(place, there, job)
        self.number: int = job["shards"]
        self.items: int = job["items"]
        self.size: int = job["size"]
        self._mark = {
            "vesalius": __version__,
            "job": sha256(json.dumps(job, sort_keys=True).encode()).hexdigest(),
        }
        self._watch = Watch(place)

    def __str__(self) -> str:
        return str(self._place)

    def done(self) -> Set[int]:
        """The shards that have a result."""
        return _numbers(self._place.names(), RESULT).keys()

    def left(self) -> int:
        """How many shards have no result."""
        return self.number - len(self.done())

    def items_in(self, numbers: Set[int]) -> int:
        """How many items these shards have together."""
        return sum(min(self.size, self.items - number * self.size) for number in numbers)

    def free(self) -> Generator[int, None, None]:
        """Shards for this process alone, one after the other, until each has a result.

        Each is claimed while the caller has it; those that the dead have claimed come too, and what
        is claimed by the living is waited for. Closed in the middle of one, it gives that one up.
        RunError where the place is not the job's any more.
        """
        last = -1
        while True:
            names = self._place.names()
            if JOB not in names:  # a mount that went leaves an empty folder in its place
                raise RunError(f"has lost its {JOB}", where=str(self._place), hint=BACK)
            done, claims = _numbers(names, RESULT), _numbers(names, CLAIM)
            left = [number for number in range(self.number) if number not in done]
            if not left:
                return
            # On from the last one: whoever reads the items as a stream then reads them once.
            for number in sorted(left, key=lambda n: (n <= last, n)):
                claim = self._claim(number, claims.get(number, 0), names)
                if claim is not None:
                    yield from self._while_claimed(number, claim)
                    last = number
                    break
            else:
                time.sleep(PAUSE)

    def publish(self, number: int, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Put a shard's result there; False where another process was first."""
        return self._place.create(_result(number), "".join(map(json_line, rows)).encode())

    def rows(self, number: int) -> list[Row]:
        """A shard's result; RunError where it is none."""
        name = _result(number)
        try:
            return [_row(line) for line in self._place.read(name).splitlines()]
        except ValueError as error:
            hint = "remove that file; a worker makes it again"
            what = f"{name} is not JSON lines"
            raise RunError(what, where=str(self._place), hint=hint) from error

    def require_whole(self) -> None:
        """RunError where a shard has no result: it names the first of them."""
        done = self.done()
        gaps = [number for number in range(self.number) if number not in done]
        if gaps:
            names = ", ".join(map(str, gaps[:NAMED])) + (" ..." if len(gaps) > NAMED else "")
            what = f"{len(gaps)} of {self.number} shards have no result: {names}"
            hint = "the same command with --worker makes them"
            raise RunError(what, where=str(self._place), hint=hint)

    def _while_claimed(self, number: int, claim: str) -> Iterator[int]:
        try:
            with beating(self._place, claim):
                yield number
        except GeneratorExit:  # who has it ends by an error, or is interrupted
            give_up(self._place, claim)
            raise

    def _claim(self, number: int, last: int, names: Set[str]) -> str | None:
        """The claim on a shard that is this process's now; None where another has it.

        ``last`` is the newest of its claims, counted from 1; 0 where it has none.
        """
        if last and not self._watch.dead(_claim(number, last), names):
            return None
        claim = _claim(number, last + 1)
        if not claimed(self._place, claim, self._mark):
            return None
        # Its result may have come, and its owner have ended, since the names were read.
        return None if _result(number) in self._place.names() else claim


class Pieces(Generic[T]):
    """A stream in pieces of ``size`` items, read again from the start only to go back."""

    def __init__(self, stream: Callable[[], Iterator[T]], size: int) -> None:
        self._stream, self.size = stream, size
        self._at, self._items = 0, stream()

    def __getitem__(self, number: int) -> list[T]:
        """The items of a piece, counted from 0."""
        if number < self._at:
            self._at, self._items = 0, self._stream()
        skipped = (number - self._at) * self.size
        self._at = number + 1
        return list(islice(self._items, skipped, skipped + self.size))


def shard_size(items: int, unit: int) -> int:
    """Items a shard: as few whole ``unit`` as make no more than :data:`MOST` shards."""
    return unit * max(1, -(-items // (unit * MOST)))


def _result(number: int) -> str:
    return f"{number:06d}.jsonl"


def _claim(number: int, generation: int) -> str:
    return f"{number:06d}.claim.{generation}"


def _numbers(names: set[str], form: re.Pattern[str]) -> dict[int, int]:
    """The shards that the names are of, each with the highest generation, or 0 where none has."""
    highest: dict[int, int] = {}
    for match in filter(None, map(form.fullmatch, names)):
        number, generation = int(match[1]), int(match[2] or 0)
        highest[number] = max(generation, highest.get(number, 0))
    return highest


def _job(place: Place) -> Row:
    try:
        return _row(place.read(JOB))
    except ValueError as error:
        what, hint = f"{JOB} is not a job's", "choose another place"
        raise RunError(what, where=str(place), hint=hint) from error


def _row(content: bytes) -> Row:
    """ValueError where it is no JSON object."""
    row = json.loads(content)
    if not isinstance(row, dict):
        raise ValueError(type(row).__name__)
    return row


def _other(place: Place, there: Row, here: Row) -> RunError:
    """Which facts of the job differ, briefly."""
    keys = [key for key in here if here[key] != there.get(key)] or [*there.keys() - here.keys()]
    parts = (f"{key} {_short(here.get(key))}, there {_short(there.get(key))}" for key in keys)
    hint = "one version, recipe, fit and data for all workers; for another job remove the shards"
    what = f"holds another job's shards: here {'; '.join(parts)}"
    return RunError(what, where=str(place), hint=hint)


def _short(value: Any) -> str:
    return str(value)[:12] if isinstance(value, str) else json.dumps(value)
