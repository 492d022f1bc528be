"""De-identification by many workers: outputs go to one folder, rows to shards, then a manifest.

Source, output and key are where all workers see them. Shards hold what the manifest holds: no
value and no name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from vesalius.data.deidentify.manifest import NAME, Manifest, head_of, name_of, require_head
from vesalius.data.deidentify.options import Options
from vesalius.data.deidentify.pseudonyms import Pseudonyms, read_key
from vesalius.data.deidentify.run import Summary, count, key_beside, refuse_places, results
from vesalius.data.deidentify.sources import File, listed
from vesalius.errors import DatasetError, MissingExtra, RunError
from vesalius.system.files import json_line
from vesalius.system.pace import work_off
from vesalius.system.places import Folder, place
from vesalius.system.shards import Pieces, Row, Shards, shard_size

UNIT = 64
"""Files a shard, of not too many."""
DISK = ("disk_full", "not_written")
"""Faults of the output's place: the shard is left for when it is mended."""


class SharedDeidentification:
    """The files of a source in shards, claimed beside the output (``OUT.shards``) or ``at``.

    ``workers``: processes of each worker, by default one a core. DatasetError for places that may
    not be used; RunError where the place holds shards of other files, options or another key.
    """

    what = "de-identifying"

    def __init__(
        self,
        source: Path,
        out: Path,
        options: Options | None = None,
        *,
        key: Path | None = None,
        at: str | None = None,
        workers: int | None = None,
    ) -> None:
        self._workers = workers
        self._options = options or Options()
        if self._options.clean_pixels and find_spec("rapidocr") is None:
            raise MissingExtra("rapidocr", "ocr")
        refuse_places(source, out, key)
        at = at or str(out.with_name(f"{out.name}.shards"))
        if "://" not in at:
            refuse_places(source, Path(at))
        self._source, self._out = source, out
        self._secret, self.key = read_key(key, key_beside(out))
        self._pseudonyms = Pseudonyms(self._secret)
        digest, self._total = hashlib.sha256(), 0
        for file in listed(source):
            digest.update(self._name(file).encode())
            self._total += 1
        self._size = shard_size(self._total, UNIT)
        facts = {
            "work": "deidentify",
            **head_of(self._options, self._pseudonyms),
            "items": self._total,
            "files": digest.hexdigest(),
            "size": self._size,
            "shards": -(-self._total // self._size),
        }
        self.shards = Shards(place(at), facts)

    def left(self) -> int:
        """How many shards have no result."""
        return self.shards.left()

    def work(self) -> int:
        """De-identify files until all are, by this process or others; how many it did.

        RunError where outputs cannot be written: the files of that shard are done again.
        """
        self._begin()

        def do(files: list[File]) -> Iterator[list[Row]]:
            done: dict[str, Row] = {}
            how = (self._name, self._out, self._options, self._secret)
            every = results(iter(files), *how, workers=self._workers)
            for file, row in every:
                if row.get("code") in DISK:
                    what = f"takes no more outputs ({row['code']})"
                    raise RunError(what, where=self._out, hint="the same command goes on")
                done[self._name(file)] = row
            # In the order of the files, not of their completion: the manifest is the same one.
            yield [{"source": name, **done[name]} for name in map(self._name, files)]

        pieces = Pieces(lambda: listed(self._source), self._size)
        return work_off(self.what, self.shards, pieces, do, total=self._total)

    def merge(self, map_file: Path | None = None) -> Summary:
        """Write the manifest of all shards' rows; RunError where one is missing.

        Files that failed for a fault of the day are tried again by the same command without
        workers. ``map_file`` is told, privately, which source is which row.
        """
        refuse_places(self._source, self._out, map_file=map_file)
        self.shards.require_whole()
        summary = Summary(self._out, self.key)
        with Manifest.open(self._out, self._options, self._pseudonyms, map_file) as manifest:
            for row in manifest.rows():
                count(summary, row)
            pieces = Pieces(lambda: listed(self._source), self._size)
            for number in range(self.shards.number):
                for file, row in self._rows(number, pieces[number]):
                    if manifest.wants(file):
                        count(summary, manifest.note(file, row))
        return summary

    def _rows(self, number: int, files: list[File]) -> Iterator[tuple[File, Row]]:
        """A shard's files with their rows; RunError where it has other rows."""
        rows = self.shards.rows(number)
        names = [self._name(file) for file in files]
        if [row.pop("source", None) for row in rows] != names:
            hint = f"remove {number:06d}.jsonl; a worker makes it again"
            what = f"shard {number} does not hold a row for each of its files"
            raise RunError(what, where=str(self.shards), hint=hint)
        yield from zip(files, rows, strict=True)

    def _begin(self) -> None:
        """The output's folder with the manifest's first row, before any worker's output.

        DatasetError for a folder that holds anything else.
        """
        out, path = Folder(self._out), self._out / NAME
        if not path.exists() and out.names() and not path.exists():
            hint = "choose a new folder, or one that a killed run left"
            raise DatasetError("is not empty and has no manifest", where=self._out, hint=hint)
        head = head_of(self._options, self._pseudonyms)
        out.create(NAME, json_line(head).encode())
        require_head(path, head)

    def _name(self, file: File) -> str:
        return name_of(file, self._pseudonyms)
