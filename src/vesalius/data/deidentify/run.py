"""De-identify a folder, an archive or a medium: never in place, resumable, on all cores."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vesalius.data.deidentify import job
from vesalius.data.deidentify.manifest import Manifest
from vesalius.data.deidentify.options import Options
from vesalius.data.deidentify.pseudonyms import Pseudonyms, read_key
from vesalius.data.deidentify.reading import is_dicom
from vesalius.data.deidentify.sources import File, listed, root_of
from vesalius.data.deidentify.verify import Finding, check
from vesalius.errors import DatasetError, IdentityRisk, MissingExtra, VesaliusError
from vesalius.system.workers import Pool

SECONDS = 600.0
"""The longest that one file may take; character recognition of many frames does."""
_MEMORY = 8 * 2**30
_RECYCLE = 2000
_AHEAD = 4
"""Files in flight for each worker: enough that none waits, few enough to be nothing in memory."""


@dataclass
class Summary:
    """What became of the files: counts by status, and by status and code."""

    out: Path
    key: Path | None
    """Where the key lies; None where the environment holds it."""
    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    shows: Counter[str] = field(default_factory=Counter)
    """Objects written whose pixels may show who it is of, by class."""
    names: int = 0
    """Elements written of which a part was cleared, for a person's name."""

    @property
    def bad(self) -> int:
        """Files that should have been de-identified and were not."""
        return sum(self.statuses[status] for status in ("refused", "failed", "finding"))

    def require_good(self) -> None:
        """IdentityRisk if a check found something, VesaliusError if a file was not done."""
        if self.bad:
            counts = ", ".join(
                f"{count} {status} ({code})"
                for (status, code), count in sorted(self.codes.items())
                if status in {"refused", "failed", "finding"}
            )
            kind = IdentityRisk if self.statuses["finding"] else VesaliusError
            hint = "manifest.jsonl has a row for each; --map FILE tells which files they are"
            if any(code.startswith("shows_") for _, code in self.codes):
                hint += "; --allow CLASS lets pictures through that show who it is of"
            raise kind(f"{self.bad} files were not de-identified: {counts}", hint=hint)


def deidentify(
    source: Path,
    out: Path,
    options: Options | None = None,
    *,
    key: Path | None = None,
    map_file: Path | None = None,
    workers: int | None = None,
) -> Summary:
    """Write the source's images without their identities to ``out``, and a manifest.

    ``source`` is a DICOM file, a folder, a zip archive or a DICOMDIR. The key is read from the
    file ``key`` (made if absent, by default beside ``out``) or from $VESALIUS_DEIDENTIFY_KEY.
    ``map_file`` is told, privately, which source is which manifest row. A killed run goes on with
    the same call. ``workers`` processes work at once, by default one a core; 0 works in this
    process, which a decoder's crash then ends. Files that cannot be done have a row and are
    counted; the summary tells.

    Raises DatasetError for places that may not be used, VesaliusError for the key.
    """
    options = options or Options()
    if options.clean_pixels and find_spec("rapidocr") is None:
        raise MissingExtra("rapidocr", "ocr")
    refuse_places(source, out, key, map_file)
    secret, key_path = read_key(key, key_beside(out))
    pseudonyms = Pseudonyms(secret)
    summary = Summary(out, key_path)
    total = sum(1 for _ in listed(source))
    with Manifest.open(out, options, pseudonyms, map_file) as manifest:
        for row in manifest.rows():
            count(summary, row)
        todo = (file for file in listed(source) if manifest.wants(file))
        with _progress() as progress:
            task = progress.add_task("", total=total, completed=sum(summary.statuses.values()))
            for file, row in results(todo, manifest.name, out, options, secret, workers=workers):
                count(summary, manifest.note(file, row))
                progress.update(task, completed=sum(summary.statuses.values()))
    return summary


def check_folder(folder: Path) -> Iterator[tuple[Path, list[Finding]]]:
    """What the second reader finds in each DICOM file below a folder, without any source.

    Structure alone: private elements, names, dates, UIDs, overlays, comments, trailing bytes.
    """
    if not folder.exists():
        raise DatasetError("there is no such file or folder", where=folder)
    for file in listed(folder):
        if file.fault:
            yield Path(file.name), [Finding("unreadable", "file")]
            continue
        data = file.read(2**31)
        if is_dicom(data[:132]):
            yield Path(file.name), check(data)


def count(summary: Summary, row: dict[str, Any]) -> None:
    """Add a file's row to the summary."""
    summary.statuses[row["status"]] += 1
    if row.get("code"):
        summary.codes[row["status"], row["code"]] += 1
    summary.shows.update(row.get("shows", ()))
    summary.names += sum(row.get("names", {}).values())


def key_beside(out: Path) -> Path:
    """Where the key lies unless another place is named."""
    return out.with_name(f"{out.name}.key")


def refuse_places(
    source: Path, out: Path, key: Path | None = None, map_file: Path | None = None
) -> None:
    """DatasetError for places that may not be used."""
    if not source.exists():
        raise DatasetError("there is no such file or folder", where=source)
    inner, outer = out.resolve(), root_of(source).resolve()
    if inner == outer or inner.is_relative_to(outer) or outer.is_relative_to(inner):
        hint = "choose a folder outside the source"
        raise DatasetError("source and output may not hold one another", where=out, hint=hint)
    if out.exists() and not out.is_dir():
        raise DatasetError("is a file, not a folder", where=out)
    for name, path in (("key", key), ("map", map_file)):
        if path is not None and path.resolve().is_relative_to(inner):
            hint = "it would be given away with the output"
            raise DatasetError(f"the {name} may not lie in the output", where=path, hint=hint)


def results(
    todo: Iterator[File],
    name: Callable[[File], str],
    out: Path,
    options: Options,
    secret: bytes,
    *,
    workers: int | None,
) -> Iterator[tuple[File, dict[str, Any]]]:
    """Each file with its row, in the order of completion; only a few are in flight.

    ``name`` gives a file's pseudonym.
    """
    if workers == 0:
        for file in todo:
            yield file, job.run(file, name(file), out, options, secret)
        return
    size = workers or _cores()
    target = f"{job.__name__}:{job.run.__name__}"
    pool = Pool(target, size=size, memory=_MEMORY, seconds=SECONDS, recycle=_RECYCLE)

    def work(file: File) -> dict[str, Any]:
        try:
            # Waiting for a free worker counts, so the limit is that of everything in flight.
            seconds = SECONDS * (_AHEAD + 1)
            row: dict[str, Any] = pool.run(file, name(file), out, options, secret, seconds=seconds)
        except VesaliusError as error:
            row = {"status": "failed", "code": error.code}
        return row

    threads = ThreadPoolExecutor(size)
    waiting: dict[Future[dict[str, Any]], File] = {}
    try:
        for file in todo:
            waiting[threads.submit(work, file)] = file
            if len(waiting) >= size * _AHEAD:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                yield from ((waiting.pop(future), future.result()) for future in done)
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            yield from ((waiting.pop(future), future.result()) for future in done)
    finally:
        # Stopped by Ctrl-C, what is in flight is given up: it has no row, and is done again.
        pool.close()
        threads.shutdown(cancel_futures=True)


def _cores() -> int:
    available = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(available(0)) if available else os.cpu_count() or 1


def _progress() -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from vesalius.system.console import progress_console

    columns = TextColumn("de-identifying"), BarColumn(), MofNCompleteColumn(), Remaining()
    return Progress(*columns, console=progress_console())
