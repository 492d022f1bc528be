"""An index's vectors in a LanceDB folder: for more of them than a machine would map. No server.

LanceDB (https://lancedb.github.io/lancedb/) searches without its index, and says nothing, where a
query's metric is another than the index's: both are checked here.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vesalius.combine.retrieval.stores import Places, Vectors, blocks
from vesalius.errors import MissingExtra, RunError

TABLE, PLACE, VECTOR = "vectors", "place", "vector"
METRIC = "cosine"
INDEX_FROM = 50_000
"""Vectors from which LanceDB's own clusters are made; fewer are compared one by one."""


class LanceStore:
    """Vectors in a table, found again by their place in it."""

    def __init__(self, table: Any) -> None:
        self._table = table

    @staticmethod
    def require() -> None:
        """MissingExtra unless LanceDB is installed."""
        _library()

    @classmethod
    def build(cls, folder: Path, vectors: Vectors, *, index_from: int = INDEX_FROM) -> LanceStore:
        """Write the table, and its index by cosine where there are many; what was there goes."""
        width = vectors.shape[1]
        schema = pa.schema([(PLACE, pa.int64()), (VECTOR, pa.list_(pa.float32(), width))])
        batches = (
            pa.record_batch(
                [
                    pa.array(range(part.start, part.stop), pa.int64()),
                    pa.FixedSizeListArray.from_arrays(vectors[part].ravel(), width),
                ],
                schema=schema,
            )
            for part in blocks(len(vectors))
        )
        table = _database(folder).create_table(TABLE, batches, schema=schema, mode="overwrite")
        if len(vectors) >= index_from:
            lists = max(1, int(len(vectors) ** 0.5))
            table.create_index(
                METRIC, num_partitions=lists, vector_column_name=VECTOR, index_type="IVF_FLAT"
            )
        return cls(table)

    @classmethod
    def load(cls, folder: Path) -> LanceStore:
        """The table of a folder; RunError if there is none, or if its index has another metric."""
        hint = "build the index again"
        if not folder.is_dir():
            raise RunError("there are no vectors", where=folder, hint=hint)
        try:
            table = _database(folder).open_table(TABLE)
        except (FileNotFoundError, ValueError, OSError) as error:
            raise RunError("holds no table of vectors", where=folder, hint=hint) from error
        for one in table.list_indices():
            metric = str(getattr(table.index_stats(one.name), "distance_type", METRIC)).lower()
            if metric != METRIC:
                what = f"is indexed by {metric}, and is searched by {METRIC}"
                raise RunError(what, where=folder, hint=hint)
        return cls(table)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return self._table.count_rows(), self._table.schema.field(VECTOR).type.list_size

    def take(self, rows: slice | Places) -> Vectors:
        """Some of the vectors, in the order that is asked for."""
        count, width = self.shape
        places = np.arange(count)[rows]
        taken = self._table.take_offsets(places.tolist()).select([PLACE, VECTOR]).to_arrow()
        vectors = _column(taken, VECTOR, width)
        order = {int(place): at for at, place in enumerate(taken[PLACE].to_pylist())}
        return np.ascontiguousarray(vectors[[order[int(place)] for place in places]])

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Places]:
        """By LanceDB's index where it has one."""
        return self._search(queries, k, exact=False)

    def exact(self, queries: Vectors, k: int) -> tuple[Vectors, Places]:
        """Every vector compared."""
        return self._search(queries, k, exact=True)

    def _search(self, queries: Vectors, k: int, *, exact: bool) -> tuple[Vectors, Places]:
        cosines = np.full((len(queries), k), -1.0, np.float32)
        places = np.full((len(queries), k), -1, np.int64)
        for row, query in enumerate(queries):
            search = self._table.search(query, vector_column_name=VECTOR).distance_type(METRIC)
            search = search.bypass_vector_index() if exact else search
            near = search.select([PLACE, "_distance"]).limit(k).to_arrow()
            met = near.num_rows
            cosines[row, :met] = 1 - near["_distance"].to_numpy()
            places[row, :met] = near[PLACE].to_numpy()
        return cosines, places


def _column(table: pa.Table, name: str, width: int) -> Vectors:
    flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors: Vectors = flat.astype(np.float32, copy=False).reshape(-1, width)
    return vectors


def _library() -> Any:
    try:
        return import_module("lancedb")
    except ImportError as error:
        raise MissingExtra("lancedb", "lancedb") from error


def _database(folder: Path) -> Any:
    return _library().connect(str(folder))
