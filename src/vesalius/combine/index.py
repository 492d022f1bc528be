"""An exact index of unit vectors that never returns a query's own patient."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from vesalius.errors import MissingExtra, ModelError, RunError
from vesalius.system.files import read_lines, write_atomic

Vectors = NDArray[np.float32]
Hits = list[tuple[int, float]]
"""(position in the index, cosine similarity in [-1, 1]), most similar first."""
Excluded = str | Collection[str]
"""A name that may not come back, or several; the empty one names nothing."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a vector stands for: a case, its picture's key and the group that must stay apart."""

    case: str
    key: str
    group: str


class Index:
    """Unit vectors (n, d) with their items, searched exhaustively by inner product.

    ModelError if the vectors are none, not finite, not of length one, or not one an item.
    Source: J. Johnson, M. Douze, H. Jegou, Billion-scale similarity search with GPUs, 2019
    (faiss, ``IndexFlatIP``).
    """

    def __init__(self, vectors: Vectors, items: Sequence[Item]) -> None:
        if vectors.ndim != 2 or not len(vectors):
            raise ModelError(f"an index needs vectors (n, d), not {vectors.shape}")
        if len(vectors) != len(items):
            raise ModelError(f"an index of {len(vectors)} vectors has {len(items)} items")
        self.items = tuple(items)
        self._groups = Counter(item.group for item in self.items)
        self._keys = Counter(item.key for item in self.items)
        faiss = _faiss()
        self._flat = faiss.IndexFlatIP(vectors.shape[1])
        self._flat.add(_unit(vectors))
        # A view of faiss's own copy: of a large index there should be one, not two.
        self.vectors: Vectors = faiss.rev_swig_ptr(self._flat.get_xb(), vectors.size).reshape(
            vectors.shape
        )

    def __len__(self) -> int:
        return len(self.items)

    def search(
        self,
        vectors: Vectors,
        k: int,
        *,
        exclude_groups: Sequence[Excluded] | None = None,
        exclude_keys: Sequence[Excluded] | None = None,
    ) -> list[Hits]:
        """The ``k`` nearest items of each query, fewer where exclusion leaves fewer.

        ``exclude_groups`` and ``exclude_keys`` hold one entry a query: no item of that group, or
        with that picture key, is returned for it (an empty string excludes nothing; several names
        may be left out at once). Equal similarities come in the index's order.
        """
        if k < 1:
            raise ModelError(f"a search needs k of at least 1, not {k}")
        if vectors.shape != (len(vectors), self.vectors.shape[1]):
            shape = (len(vectors), self.vectors.shape[1])
            raise ModelError(f"queries have shape {vectors.shape}, the index needs {shape}")
        groups = _one_each(exclude_groups, len(vectors), "exclude_groups")
        keys = _one_each(exclude_keys, len(vectors), "exclude_keys")
        if not len(vectors):
            return []
        # So many more are fetched as exclusion can take away, hence none is missed.
        lost = max(
            sum(self._groups[g] for g in some) + sum(self._keys[y] for y in others)
            for some, others in zip(groups, keys, strict=True)
        )
        similarities, positions = self._flat.search(_unit(vectors), min(len(self), k + lost))
        return [
            self._allowed(row, at, some, others)[:k]
            for row, at, some, others in zip(similarities, positions, groups, keys, strict=True)
        ]

    def save(self, folder: Path) -> None:
        """Write ``index.safetensors`` and ``index.jsonl``, each whole or not at all."""
        rows = "".join(json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in self.items)
        write_atomic(folder / "index.jsonl", rows)
        write_atomic(folder / "index.safetensors", save({"vectors": self.vectors}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The index in ``folder``; RunError names the file that is missing or no such thing."""
        rows, weights = folder / "index.jsonl", folder / "index.safetensors"
        try:
            items = [Item(**row) for _, row in read_lines(rows)]
        except TypeError as error:
            raise RunError(f"not the items of an index: {error}", where=rows) from error
        try:
            return cls(load_file(weights)["vectors"], items)
        except (OSError, SafetensorError, KeyError, ModelError) as error:
            raise RunError(f"not the vectors of an index: {error}", where=weights) from error

    def _allowed(
        self,
        similarities: Vectors,
        positions: NDArray[np.int64],
        groups: frozenset[str],
        keys: frozenset[str],
    ) -> Hits:
        hits = [
            (int(at), min(1.0, max(-1.0, float(similarity))))  # rounding oversteps one
            for similarity, at in zip(similarities, positions, strict=True)
            if self.items[at].group not in groups and self.items[at].key not in keys
        ]
        return sorted(hits, key=lambda one: (-one[1], one[0]))


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1)
    # NaN compares false, so that it is refused as well.
    if not np.all(np.abs(lengths - 1) < 1e-3):
        raise ModelError("vectors of an index and its queries must be finite and of length one")
    return np.ascontiguousarray(vectors, dtype=np.float32)


def as_set(excluded: Excluded) -> frozenset[str]:
    """The names that may not come back."""
    return frozenset({excluded} if isinstance(excluded, str) else excluded) - {""}


def _one_each(
    excluded: Sequence[Excluded] | None, queries: int, name: str
) -> Sequence[frozenset[str]]:
    if excluded is None:
        return [frozenset()] * queries
    if len(excluded) != queries:
        raise ModelError(f"{name} has {len(excluded)} entries for {queries} queries")
    return [as_set(one) for one in excluded]


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ImportError as error:
        raise MissingExtra("faiss-cpu", "models") from error
