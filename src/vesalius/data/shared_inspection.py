"""A data set's pictures looked at by many workers, for the check and the audit alike.

Workers read and decode; what a picture tells is a row. The data must stay as they are until the
check or audit has taken the rows: only the pictures' keys are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256

from vesalius.cases.case import Case
from vesalius.cases.picture import Picture
from vesalius.data.datasets import Dataset
from vesalius.data.fingerprints import Inspected
from vesalius.data.inspection import all_cores, in_chunks
from vesalius.errors import DatasetError, ImageError, RunError
from vesalius.system.pace import work_off
from vesalius.system.parallel import ParallelMap
from vesalius.system.places import place
from vesalius.system.shards import Pieces, Row, Shards, shard_size

UNIT = 64
"""Pictures that one worker looks at together, on all its cores."""


class SharedInspection:
    """The shards of the pictures of a data set, claimed and put in the place ``at``.

    ``at`` is a folder or fsspec URL; ``cores``: processes of each worker, by default one a core.
    RunError where the place holds shards of other pictures.
    """

    what = "reading pictures"

    def __init__(self, dataset: Dataset, at: str, *, cores: int | None = None) -> None:
        self._dataset, self._cores = dataset, cores
        digest, self._total = sha256(), 0
        for picture in self._pictures():
            digest.update(picture.key.encode() + b"\0")
            self._total += 1
        self._size = shard_size(self._total, UNIT)
        facts = {
            "work": "inspect",
            "items": self._total,
            "pictures": digest.hexdigest(),
            "size": self._size,
            "shards": -(-self._total // self._size),
        }
        self.shards = Shards(place(at), facts)

    def left(self) -> int:
        """How many shards have no result."""
        return self.shards.left()

    def work(self) -> int:
        """Look at pictures until all have been, by this process or others; how many it did."""
        with all_cores(self._cores) as cores:

            def look(pictures: list[Picture]) -> Iterator[list[Row]]:
                for at in range(0, len(pictures), UNIT):
                    some = pictures[at : at + UNIT]
                    pairs = zip(some, cores.map(some), strict=True)
                    yield [{"key": one.key, **looked.to_row()} for one, looked in pairs]

            pieces = Pieces(self._pictures, self._size)
            return work_off(self.what, self.shards, pieces, look, total=self._total)

    def merged(self) -> Inspections:
        """What the workers saw, to be taken once; RunError where a shard is missing."""
        self.shards.require_whole()
        return Inspections(self.shards)

    def _pictures(self) -> Iterator[Picture]:
        """In the order in which check and audit come to them."""
        for split in self._dataset.splits():
            # A split that cannot be read to its end is a finding of who asks for the rows.
            with suppress(DatasetError, ImageError):
                for case in self._dataset.cases(split):
                    yield from case.pictures


class Inspections:
    """The rows of all shards in order, in the place of looking at the pictures again."""

    def __init__(self, shards: Shards) -> None:
        self._where = str(shards)
        self._rows = (row for number in range(shards.number) for row in shards.rows(number))

    def pictures(self, pictures: Sequence[Picture]) -> list[Inspected]:
        """What the next pictures tell; RunError where a row is of another one, or missing."""
        return [self._next(picture) for picture in pictures]

    def cases(
        self, cases: Iterable[Case], _: ParallelMap
    ) -> Iterator[tuple[Case, list[Inspected]]]:
        """Each case with what its pictures tell, as ``inspect_cases`` gives it."""
        return in_chunks(cases, self.pictures)

    def _next(self, picture: Picture) -> Inspected:
        row = next(self._rows, {})
        if row.get("key") != picture.key:
            what = f"holds no row of the picture {picture.key!r} where its turn is"
            raise RunError(what, where=self._where, hint="remove the shards and work again")
        return Inspected.from_row(row)
