"""Vectors that an encoder has given: each distinct content is encoded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vesalius.models.feature_cache import Content, Vectors, shared_features

REMEMBERED = 4096
"""Vectors an encoder keeps for pictures or texts it has seen: 20 MB at 1280 numbers each."""


class Memory:
    """Vectors by content: the last 4,096 in this process, the rest where the context shares them.

    ``digest`` names the encoder with all that decides what it gives.
    """

    def __init__(self, digest: Callable[[], str]) -> None:
        self.digest, self._vectors = digest, dict[Content, Vectors]()

    def __len__(self) -> int:
        return len(self._vectors)

    def read(self, contents: Sequence[Content]) -> dict[Content, Vectors]:
        """Those of the contents that were encoded before."""
        there = {one: self._vectors[one] for one in contents if one in self._vectors}
        absent = [one for one in dict.fromkeys(contents) if one not in there]
        shared = shared_features()
        if shared is not None and absent:
            there |= shared.read(self.digest(), absent)
        self._remember(there)
        return there

    def write(self, vectors: Mapping[Content, Vectors]) -> None:
        """Add what was encoded."""
        shared = shared_features()
        if shared is not None:
            shared.write(self.digest(), vectors)
        self._remember(vectors)

    def _remember(self, vectors: Mapping[Content, Vectors]) -> None:
        for content, vector in vectors.items():
            self._vectors.pop(content, None)
            self._vectors[content] = vector
        for content in list(self._vectors)[: max(0, len(self._vectors) - REMEMBERED)]:
            del self._vectors[content]  # a dict keeps its order, so the longest unused goes first
