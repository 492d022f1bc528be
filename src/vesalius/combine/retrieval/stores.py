"""Where an index's vectors lie, and how the nearest of them are searched.

Exact search runs over a mapped file: its pages are shared among processes and come as they are
needed, and there is no second copy, as an index that faiss reads would be. Clusters (IVF) lie in a
file of faiss's own, mapped too; a graph (HNSW) is read into memory whole.
Source: J. Johnson, M. Douze, H. Jegou, Billion-scale similarity search with GPUs, 2019 (faiss);
Y. Malkov, D. Yashunin, Efficient and robust approximate nearest neighbor search, 2018 (HNSW).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vesalius.combine.retrieval.exact import nearest
from vesalius.errors import MissingExtra, RunError
from vesalius.retrieval import IndexBlock

Vectors = NDArray[np.float32]
Places = NDArray[np.int64]
FLAT_UP_TO = 200_000
"""Vectors that ``auto`` compares one by one: of 512 numbers each, a tenth of a second a query."""
SAMPLE, TEN = 256, 10
"""Of so many vectors the recall of their ten nearest is measured."""
LINKS, BUILT = 32, 80
"""HNSW: neighbours a vector is linked to, and how many are looked at to choose them."""
ROUNDS, TRAINED = 10, 64
"""IVF: rounds of k-means, and vectors a cluster that it looks at."""
EFFORTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Clusters that are looked into, or a tenth of the steps in a graph, until recall is reached."""


class VectorStore(Protocol):
    """Unit vectors (n, d) in the order of an index's items."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""

    def take(self, rows: slice | Places) -> Vectors:
        """Some of the vectors, in the order that is asked for."""

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Places]:
        """Cosines and places (q, k), the highest first; a place is -1 where no more was met."""

    def exact(self, queries: Vectors, k: int) -> tuple[Vectors, Places]:
        """The same, every vector compared."""


class FlatStore:
    """Every vector is compared with every query."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        count, width = self.vectors.shape
        return count, width

    def take(self, rows: slice | Places) -> Vectors:
        """Some of the vectors."""
        return np.ascontiguousarray(self.vectors[rows])

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Places]:
        """Exact."""
        return self.exact(queries, k)

    def exact(self, queries: Vectors, k: int) -> tuple[Vectors, Places]:
        """By blocks of matrix products."""
        return nearest(queries, self.vectors, k)


class ApproximateStore(FlatStore):
    """Those vectors are compared that clusters or a graph say may be near.

    ``recall`` is the share of the ten nearest that it met, of a sample of its own vectors.
    """

    def __init__(self, vectors: Vectors, graph: Any, effort: int, recall: float = 0.0) -> None:
        super().__init__(vectors)
        self.graph, self.effort, self.recall = graph, effort, recall

    @classmethod
    def build(cls, vectors: Vectors, kind: str, recall: float) -> ApproximateStore:
        """With the least effort that reaches ``recall``; at most all clusters are looked into."""
        graph = _graph(vectors, kind)
        most = graph.nlist if kind == "ivf" else EFFORTS[-1]
        truth = _sampled(FlatStore(vectors))
        store = cls(vectors, graph, most)
        for effort in [*(e for e in EFFORTS if e < most), most]:
            store.effort = effort
            store.recall = _share(truth, _sampled(store))
            if store.recall >= recall:
                break
        return store

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Places]:
        """Approximate; the effort grows with ``k``, so that as many can be met."""
        library = faiss()
        if hasattr(self.graph, "nlist"):
            parameters = library.SearchParametersIVF(nprobe=self.effort)
        else:
            parameters = library.SearchParametersHNSW(efSearch=max(k, TEN * self.effort))
        cosines, places = self.graph.search(queries, k, params=parameters)
        return cosines, places

    def save(self, path: Path) -> None:
        """As faiss writes it."""
        faiss().write_index(self.graph, str(path))

    @classmethod
    def load(cls, path: Path, vectors: Vectors, *, effort: int, recall: float) -> ApproximateStore:
        """Mapped where faiss can; RunError if it is none, or of other vectors."""
        try:
            graph = faiss().read_index(str(path), faiss().IO_FLAG_MMAP)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"not an index of faiss: {reason}", where=path) from error
        if (graph.ntotal, graph.d) != vectors.shape:
            what = f"holds vectors {(graph.ntotal, graph.d)}, the index {vectors.shape}"
            raise RunError(what, where=path)
        if graph.metric_type != faiss().METRIC_INNER_PRODUCT:
            raise RunError("searches by another metric than the cosine", where=path)
        return cls(vectors, graph, effort, recall)


def kind_of(block: IndexBlock, count: int) -> str:
    """``flat``, ``ivf`` or ``hnsw`` for so many vectors; too few for clusters are flat."""
    if block.kind == "auto":
        return "flat" if count <= FLAT_UP_TO else "ivf"
    return block.kind if count > SAMPLE else "flat"


def blocks(count: int, size: int = 16384) -> Iterator[slice]:
    """Rows in parts that are worked on at once."""
    return (slice(at, min(at + size, count)) for at in range(0, count, size))


def faiss() -> Any:
    """The library; MissingExtra with the command if it is not installed."""
    try:
        return import_module("faiss")
    except ImportError as error:
        raise MissingExtra("faiss-cpu", "models") from error


def _graph(vectors: Vectors, kind: str) -> Any:
    library = faiss()
    count, width = vectors.shape
    if kind == "hnsw":
        graph = library.IndexHNSWFlat(width, LINKS, library.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = BUILT
    else:
        lists = max(1, min(int(count**0.5), count // 39))  # faiss wants 39 a cluster
        centres = library.IndexFlatIP(width)
        graph = library.IndexIVFFlat(centres, width, lists, library.METRIC_INNER_PRODUCT)
        graph.cp.niter = ROUNDS
        chosen = np.random.default_rng(0).permutation(count)[: TRAINED * lists]
        graph.train(np.ascontiguousarray(vectors[np.sort(chosen)]))
    for part in blocks(count):
        graph.add(np.ascontiguousarray(vectors[part]))
    return graph


def _sampled(store: VectorStore) -> list[set[int]]:
    """The places of the ten nearest of each vector of the sample, itself left out."""
    count, _ = store.shape
    sample = np.random.default_rng(0).permutation(count)[:SAMPLE]
    _, places = store.search(store.take(sample), min(TEN + 1, count))
    return [
        set([place for place in row if place not in {own, -1}][:TEN])
        for row, own in zip(places.tolist(), sample.tolist(), strict=True)
    ]


def _share(truth: Sequence[set[int]], met: Sequence[set[int]]) -> float:
    both = sum(len(a & b) for a, b in zip(truth, met, strict=True))
    return both / max(1, sum(map(len, truth)))
