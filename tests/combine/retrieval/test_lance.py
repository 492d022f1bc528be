"""LanceDB behind an index: the same neighbours, its metric checked, which it does not itself."""

from __future__ import annotations

import numpy as np
import pytest

from vesalius.combine.retrieval import lance
from vesalius.combine.retrieval.index import Index, IndexFacts, Item
from vesalius.combine.retrieval.lance import LanceStore
from vesalius.errors import MissingExtra, RunError
from vesalius.retrieval import IndexBlock


def cloud(count: int, width: int = 8, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def named(count: int) -> list[Item]:
    return [Item(f"c{n}", f"p{n}", f"g{n % 7}") for n in range(count)]


def test_a_missing_lancedb_is_named(monkeypatch, tmp_path) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(lance, "import_module", absent)
    with pytest.raises(MissingExtra, match="lancedb"):
        LanceStore.build(tmp_path, cloud(3))


def test_it_finds_what_exact_search_finds_and_leaves_out_the_same(tmp_path) -> None:
    pytest.importorskip("lancedb", reason="LanceDB is not installed (extra lancedb)")
    vectors, items = cloud(300), named(300)
    exact = Index(vectors, items, facts=IndexFacts("lite", "abc"))
    exact.arranged(IndexBlock(), "lancedb").save(tmp_path)
    again = Index.load(tmp_path)
    assert isinstance(again.store, LanceStore)
    assert (again.facts.store, again.facts.identity) == ("lancedb", "abc")
    queries, groups = cloud(6, seed=1), [f"g{n}" for n in range(6)]
    met = again.search(queries, 10, exclude_groups=groups)
    for ours, theirs in zip(met, exact.search(queries, 10, exclude_groups=groups), strict=True):
        assert [at for at, _ in ours] == [at for at, _ in theirs]
        assert [c for _, c in ours] == pytest.approx([c for _, c in theirs], abs=1e-5)
    assert np.array_equal(again.store.take(np.array([5, 2])), vectors[[5, 2]])


def test_an_index_of_another_metric_is_refused_as_lancedb_would_search_without_it(tmp_path) -> None:
    lancedb = pytest.importorskip("lancedb", reason="LanceDB is not installed (extra lancedb)")
    LanceStore.build(tmp_path, cloud(600), index_from=500)
    assert len(LanceStore.load(tmp_path).search(cloud(2, seed=1), 5)[1]) == 2
    table = lancedb.connect(str(tmp_path)).open_table("vectors")
    table.create_index("l2", num_partitions=4, index_type="IVF_FLAT", replace=True)
    with pytest.raises(RunError, match="is indexed by l2, and is searched by cosine"):
        LanceStore.load(tmp_path)


def test_a_folder_that_is_no_table_is_refused(tmp_path) -> None:
    pytest.importorskip("lancedb", reason="LanceDB is not installed (extra lancedb)")
    with pytest.raises(RunError, match="there are no vectors"):
        LanceStore.load(tmp_path / "absent")
    with pytest.raises(RunError, match="holds no table"):
        LanceStore.load(tmp_path)
