"""An index of unit vectors that never returns a query's own patient."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.likeness import SIDE, Packed
from vesalius.combine.retrieval.stores import (
    ApproximateStore,
    FlatStore,
    Places,
    Vectors,
    VectorStore,
    blocks,
    faiss,
    kind_of,
)
from vesalius.combine.retrieval.tensors import mapped_tensors, write_tensors
from vesalius.errors import ModelError, RunError
from vesalius.retrieval import IndexBlock
from vesalius.system.files import read_json, read_lines, write_atomic, write_json

Hits = list[tuple[int, float]]
"""(position in the index, cosine similarity in [-1, 1]), most similar first."""
Excluded = str | Collection[str]
"""A name that may not come back, or several; the empty one names nothing."""
ROWS, TENSORS, ABOUT, GRAPH = "index.jsonl", "index.safetensors", "index.json", "index.faiss"
LANCE = "index.lance"
METRIC = "cosine"


@dataclass(frozen=True, slots=True)
class Item:
    """What a vector stands for: a case, its picture's key and the group that must stay apart."""

    case: str
    key: str
    group: str


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """What an index says of itself: what made its vectors, and how they are searched."""

    encoder: str = ""
    identity: str = ""
    """A hash of the encoder's weights and of how it reads them; empty in an index that is older."""
    metric: str = METRIC
    store: str = "faiss"
    kind: str = "flat"
    effort: int = 0
    recall: float = 1.0
    """Share of the ten nearest that are met, measured when it was built; exact search has 1."""


class Index:
    """Unit vectors (n, d) with their items, compared by inner product.

    ``structures`` (n, 48, 48) are those of the items' pictures, packed, for the guard against
    near-duplicates; None: they are not known. ModelError if the vectors are none, not finite, not
    of length one, or not one an item.
    """

    def __init__(
        self,
        vectors: Vectors | VectorStore,
        items: Sequence[Item],
        *,
        structures: Packed | None = None,
        facts: IndexFacts | None = None,
    ) -> None:
        if isinstance(vectors, np.ndarray):
            if vectors.ndim != 2 or not len(vectors):
                raise ModelError(f"an index needs vectors (n, d), not {vectors.shape}")
            self.store: VectorStore = FlatStore(_unit(vectors))
        else:
            self.store = vectors
        count, self._width = self.store.shape
        if count != len(items):
            raise ModelError(f"an index of {count} vectors has {len(items)} items")
        if structures is not None and structures.shape != (len(items), SIDE, SIDE):
            raise ModelError(f"an index of {len(items)} has structures {structures.shape}")
        self.items, self.structures = tuple(items), structures
        self.facts = facts or IndexFacts()
        self._groups = Counter(item.group for item in self.items)
        self._keys = Counter(item.key for item in self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def vectors(self) -> Vectors:
        """All vectors (n, d)."""
        return self.store.take(slice(None))

    def arranged(self, block: IndexBlock, store: str = "faiss") -> Index:
        """The same in the kind that a recipe wants for so many vectors, its recall measured.

        ``lancedb``: saved, its vectors lie in a folder of LanceDB's; that arranges them itself.
        """
        if store == "lancedb":
            facts = replace(self.facts, store=store, kind=store)
            return Index(self.store, self.items, structures=self.structures, facts=facts)
        kind = kind_of(block, len(self))
        if kind == "flat":
            return self
        graph = ApproximateStore.build(self.vectors, kind, block.recall)
        recall = round(graph.recall, 4)
        facts = replace(self.facts, kind=kind, effort=graph.effort, recall=recall)
        return Index(graph, self.items, structures=self.structures, facts=facts)

    def require(self, encoder: str, identity: str) -> None:
        """ModelError if the vectors are another encoder's than the one that queries come from."""
        ours = self.facts
        if ours.identity and ours.identity != identity:
            what = f"the index was made with {ours.encoder or 'another encoder'}"
            other = "other weights" if ours.encoder == encoder else encoder
            hint = "build it again with the encoder it is asked with"
            raise ModelError(f"{what}, the query comes from {other}", where="index", hint=hint)

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
        if vectors.shape != (len(vectors), self._width):
            shape = (len(vectors), self._width)
            raise ModelError(f"queries have shape {vectors.shape}, the index needs {shape}")
        groups = _one_each(exclude_groups, len(vectors), "exclude_groups")
        keys = _one_each(exclude_keys, len(vectors), "exclude_keys")
        if not len(vectors):
            return []
        # So many more are fetched as exclusion can take away, hence none is missed.
        lost = [
            sum(self._groups[g] for g in some) + sum(self._keys[y] for y in others)
            for some, others in zip(groups, keys, strict=True)
        ]
        similarities, positions = self._nearest(_unit(vectors), min(len(self), k + max(lost)))
        return [
            self._allowed(row, at, some, others)[:k]
            for row, at, some, others in zip(similarities, positions, groups, keys, strict=True)
        ]

    def _nearest(self, queries: Vectors, k: int) -> tuple[Vectors, Places]:
        """As the store gives them; exactly for queries of which it met fewer than ``k``."""
        similarities, positions = self.store.search(queries, k)
        short = np.flatnonzero((positions < 0).any(axis=1))
        if len(short):
            exact = self.store.exact(np.ascontiguousarray(queries[short]), k)
            similarities[short], positions[short] = exact
        return similarities, positions

    def save(self, folder: Path) -> None:
        """Write rows, vectors, facts and, of an approximate one, its graph; each whole."""
        rows = (
            json.dumps({**asdict(item), "sha256": mark}, ensure_ascii=False) + "\n"
            for item, mark in zip(self.items, self._marks(), strict=True)
        )
        write_atomic(folder / ROWS, "".join(rows))
        tensors: dict[str, NDArray[Any]] = {}
        if self.structures is not None:
            tensors["structures"] = self.structures
        if isinstance(self.store, FlatStore) and self.facts.store == "faiss":
            tensors["vectors"] = self.store.vectors
        write_tensors(folder / TENSORS, tensors)
        if self.facts.store == "lancedb":
            _lance().build(folder / LANCE, self.vectors)
        elif isinstance(self.store, ApproximateStore):
            self.store.save(folder / GRAPH)
        write_json(folder / ABOUT, asdict(self.facts))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The index in ``folder``, its vectors mapped; RunError names the file that is wrong.

        A row that is not what was written, and another metric, are refused; an index of before
        there were facts and hashes is taken as it is.
        """
        facts = _facts(folder / ABOUT)
        items, marks = _rows(folder / ROWS)
        tensors = mapped_tensors(folder / TENSORS, "the vectors of an index")
        try:
            store = _store(folder, facts, tensors)
            index = cls(store, items, structures=tensors.get("structures"), facts=facts)
        except (KeyError, ModelError) as error:
            where = folder / TENSORS
            raise RunError(f"not the vectors of an index: {error}", where=where) from error
        index._check_rows(marks, folder / ROWS)
        return index

    def _marks(self) -> list[str]:
        """A hash of each row: item, vector and structure."""
        marks = []
        for part in blocks(len(self)):
            vectors = self.store.take(part)
            planes = None if self.structures is None else np.asarray(self.structures[part])
            for n, item in enumerate(self.items[part]):
                mark = hashlib.sha256(json.dumps([item.case, item.key, item.group]).encode())
                mark.update(vectors[n].tobytes())
                mark.update(b"" if planes is None else planes[n].tobytes())
                marks.append(mark.hexdigest()[:16])
        return marks

    def _check_rows(self, marks: Sequence[str | None], path: Path) -> None:
        for number, (was, now) in enumerate(zip(marks, self._marks(), strict=True), 1):
            if was is not None and was != now:
                hint = "build the index again"
                raise RunError(f"row {number} is not what was written", where=path, hint=hint)

    def _allowed(
        self,
        similarities: Vectors,
        positions: Places,
        groups: frozenset[str],
        keys: frozenset[str],
    ) -> Hits:
        hits = [
            (int(at), min(1.0, max(-1.0, float(similarity))))  # rounding oversteps one
            for similarity, at in zip(similarities, positions, strict=True)
            if self.items[at].group not in groups and self.items[at].key not in keys
        ]
        return sorted(hits, key=lambda one: (-one[1], one[0]))


def as_set(excluded: Excluded) -> frozenset[str]:
    """The names that may not come back."""
    return frozenset({excluded} if isinstance(excluded, str) else excluded) - {""}


def _store(
    folder: Path, facts: IndexFacts, tensors: Mapping[str, NDArray[Any]]
) -> Vectors | VectorStore:
    if facts.store == "lancedb":
        store: VectorStore = _lance().load(folder / LANCE)
        return store
    vectors: Vectors = tensors["vectors"]
    if facts.kind == "flat":
        return vectors
    effort, recall = facts.effort, facts.recall
    return ApproximateStore.load(folder / GRAPH, vectors, effort=effort, recall=recall)


def _lance() -> Any:
    from vesalius.combine.retrieval.lance import LanceStore

    return LanceStore


def require_store(name: str) -> None:
    """MissingExtra unless what keeps vectors under that name is installed."""
    faiss()
    if name == "lancedb":
        _lance().require()


def _facts(path: Path) -> IndexFacts:
    if not path.exists():
        return IndexFacts()
    try:
        facts = IndexFacts(**read_json(path))
    except TypeError as error:
        raise RunError(f"not what an index says of itself: {error}", where=path) from error
    if facts.metric != METRIC:
        hint = "build the index again"
        raise RunError(f"searches by {facts.metric}, not by {METRIC}", where=path, hint=hint)
    return facts


def _rows(path: Path) -> tuple[list[Item], list[str | None]]:
    try:
        rows = [dict(row) for _, row in read_lines(path)]
        marks = [row.pop("sha256", None) for row in rows]
        return [Item(**row) for row in rows], marks
    except (TypeError, ValueError) as error:
        raise RunError(f"not the items of an index: {error}", where=path) from error


def _unit(vectors: Vectors) -> Vectors:
    for part in blocks(len(vectors)):
        lengths = np.linalg.norm(vectors[part], axis=1)
        # NaN compares false, so that it is refused as well.
        if not np.all(np.abs(lengths - 1) < 1e-3):
            what = "vectors of an index and its queries must be finite and of length one"
            raise ModelError(what)
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _one_each(
    excluded: Sequence[Excluded] | None, queries: int, name: str
) -> Sequence[frozenset[str]]:
    if excluded is None:
        return [frozenset()] * queries
    if len(excluded) != queries:
        raise ModelError(f"{name} has {len(excluded)} entries for {queries} queries")
    return [as_set(one) for one in excluded]
