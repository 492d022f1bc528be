"""A seeded sample of different pictures, and where text is burned into them: reading takes long."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from heapq import heappush, heapreplace
from typing import Generic, TypeVar

from vesalius.cases.picture import Picture
from vesalius.data.burned_in import Region
from vesalius.errors import DatasetError, VesaliusError
from vesalius.system.parallel import ParallelMap

Place = TypeVar("Place")


class TextSample(Generic[Place]):
    """At most ``size`` pictures (None: all), the same for the same seed and bytes in any order.

    Each stands with the place where it is from, in the caller's own form.
    """

    def __init__(self, size: int | None, seed: int = 0) -> None:
        self.size, self._seed = size, seed
        self._number = 0
        # A heap whose first is the one that a luckier picture replaces.
        self._drawn: list[tuple[int, int, Picture, Place]] = []

    def __len__(self) -> int:
        return len(self._drawn)

    def add(self, picture: Picture, sha256: str, where: Place) -> None:
        """Take the picture in, if its number is low enough; call it once a different picture."""
        self._number += 1
        if self.size == 0:
            return
        digest = hashlib.sha256(f"{self._seed}:{sha256}".encode()).digest()
        entry = (-int.from_bytes(digest[:8]), self._number, picture, where)  # numbers differ
        if self.size is None or len(self._drawn) < self.size:
            heappush(self._drawn, entry)
        else:
            heapreplace(self._drawn, max(entry, self._drawn[0]))

    def search(
        self, advance: Callable[[int], object] = lambda _: None
    ) -> Iterator[tuple[Picture, Place, tuple[Region, ...]]]:
        """Each picture in the order it came, where it is from, and its lines of text.

        About 0.4 seconds of one core a picture; the extra ``ocr``. DatasetError where the search
        fails.
        """
        chosen = sorted(self._drawn, key=lambda entry: entry[1])
        with ParallelMap(
            "vesalius.data.burned_in:text_in", _text_unknown, batch=1, least=4
        ) as cores:
            regions = cores.map([picture for _, _, picture, _ in chosen], advance)
        for (_, _, picture, where), some in zip(chosen, regions, strict=True):
            yield picture, where, some


def _text_unknown(picture: Picture, error: VesaliusError) -> tuple[Region, ...]:
    raise DatasetError(f"the search for text failed: {error.what}", where=picture.key) from error
