"""One look at a picture: its bytes read once, decoded once, for check, audit and import alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from vesalius.cases.case import Case, Source
from vesalius.cases.picture import Picture
from vesalius.data.fingerprint_file import recorded
from vesalius.data.fingerprints import Inspected, fingerprint_of
from vesalius.errors import ImageError, VesaliusError
from vesalius.system.parallel import ParallelMap, progress_bar

Result = TypeVar("Result")
Inspect = Callable[[Iterable[Case], "ParallelMap"], Iterator[tuple[Case, list[Inspected]]]]
"""How cases get what their pictures tell: :func:`inspect_cases`, or rows that workers made."""
CHUNK = 512
"""Pictures that are looked at before the first of them is handed on."""
REMEMBERED = 50_000
"""Pictures whose fingerprints a process remembers, about three kilobytes each."""


def inspect(picture: Picture) -> Inspected:
    """Read and decode the picture once; a fault is part of the result."""
    try:
        data = picture.read()
        held = replace(picture, read=partial(bytes, data))
        shown = held.decoded()
    except ImageError as error:
        return Inspected(code=error.code, reason=error.what)
    fingerprints = fingerprint_of(data, shown.image, picture.view)
    return Inspected(*shown.image.size, fingerprints, remarks=shown.warnings)


def inspect_pictures(
    pictures: Sequence[Picture], *, what: str = "reading pictures"
) -> list[Inspected]:
    """What each picture tells, in order, on all cores, with a bar on standard error.

    A picture seen before in this process, or recorded in its folder's ``fingerprints.jsonl`` with
    the size and time its file has now, is not read again.
    """
    with progress_bar(what, len(pictures)) as advance, all_cores() as cores:
        return _all(pictures, cores, advance, recorded)


def inspect_cases(
    cases: Iterable[Case], cores: ParallelMap
) -> Iterator[tuple[Case, list[Inspected]]]:
    """Each case with what its pictures tell, streamed; no record is trusted, each file is read.

    ``cores`` are those of :func:`all_cores`.
    """
    return in_chunks(cases, lambda some: _all(some, cores, _silent, _nothing_recorded))


def inspect_recorded(
    cases: Iterable[Case], cores: ParallelMap
) -> Iterator[tuple[Case, list[Inspected]]]:
    """As :func:`inspect_cases`, but what ``data import`` recorded of a file is not read again."""
    return in_chunks(cases, lambda some: _all(some, cores, _silent, recorded))


def in_chunks(
    cases: Iterable[Case], work: Callable[[list[Picture]], list[Result]]
) -> Iterator[tuple[Case, list[Result]]]:
    """Each case with what ``work`` gives for its pictures, of which it gets some hundred at a time.

    A VesaliusError of the stream is raised after the cases that came before it.
    """
    for chunk, error in _chunks(iter(cases)):
        results = iter(work([picture for case in chunk for picture in case.pictures]))
        for case in chunk:
            yield case, list(islice(results, len(case.pictures)))
        if error is not None:
            raise error


def all_cores(cores: int | None = None) -> ParallelMap:
    """What looks at pictures in so many processes, by default one a core; a context manager."""
    return ParallelMap("vesalius.data.inspection:inspect", _lost, cores=cores)


def _lost(_: Picture, error: VesaliusError) -> Inspected:
    return Inspected(code="image_corrupt", reason=f"decoding it failed: {error.what}")


def _all(
    pictures: Sequence[Picture],
    cores: ParallelMap,
    advance: Callable[[int], object],
    record: Callable[[Picture], Inspected | None],
) -> list[Inspected]:
    identities = [identity(picture) for picture in pictures]
    results = [
        _remembered.get(name) or record(picture)
        for name, picture in zip(identities, pictures, strict=True)
    ]
    new = [at for at, result in enumerate(results) if result is None]
    advance(len(pictures) - len(new))
    for at, result in zip(new, cores.map([pictures[at] for at in new], advance), strict=True):
        results[at] = result
        _remember(identities[at], result)
    return [result for result in results if result is not None]


def _chunks(cases: Iterator[Case]) -> Iterator[tuple[list[Case], VesaliusError | None]]:
    """Cases with CHUNK pictures or a few more, and the error that ended the stream, if one did."""
    chunk: list[Case] = []
    pictures = 0
    try:
        for case in cases:
            chunk.append(case)
            pictures += max(len(case.pictures), 1)
            if pictures >= CHUNK:
                yield chunk, None
                chunk, pictures = [], 0
    except VesaliusError as error:
        yield chunk, error
        return
    yield chunk, None


# What this process knows already: a fit asks for the same pictures for each of its stages, its
# audit and its index. Only pictures whose identity changes with their content are remembered.
_remembered: dict[Hashable, Inspected] = {}


def _remember(name: Hashable, result: Inspected) -> None:
    if name is not None:
        if len(_remembered) >= REMEMBERED:
            del _remembered[next(iter(_remembered))]
        _remembered[name] = result


def identity(picture: Picture) -> Hashable:
    """What changes whenever the picture does; None where nothing of the kind is known.

    That is the function that fetches its bytes with its arguments: for a file, and a row or member
    of one, also the file's size and time.
    """
    read = picture.read
    if not isinstance(read, partial) or getattr(read.func, "__self__", None) is not None:
        return None
    parts = [*read.args, *sorted(read.keywords.items())]
    name = (read.func, *map(_stamped, parts), picture.view)
    try:
        hash(name)
    except TypeError:
        return None
    return None if any(isinstance(part, bytes) for part in parts) else name


def _stamped(value: Any) -> Any:
    place = value.file if isinstance(value, Source) else value
    if not isinstance(place, str | Path):
        return value
    path = Path(place)
    try:
        status = path.stat()
    except (OSError, ValueError):
        return value
    return value, path.absolute(), status.st_size, status.st_mtime_ns


def _silent(_: int) -> None:
    """No bar: the check has its own line."""


def _nothing_recorded(_: Picture) -> None:
    """The check looks at what is there, whatever was recorded of it."""
