from __future__ import annotations

import json
import mmap

import numpy as np
import pytest
from safetensors.numpy import save_file

from vesalius.combine.retrieval import stores as module
from vesalius.combine.retrieval.index import Index, IndexFacts, Item
from vesalius.combine.retrieval.stores import kind_of
from vesalius.errors import MissingExtra, ModelError, RunError
from vesalius.retrieval import IndexBlock


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(np.array(degrees, dtype=np.float32))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@pytest.fixture
def index() -> Index:
    """Five vectors in the plane, by angle: two of patient A, then B, B, C."""
    rows = [("a1", "A"), ("a2", "A"), ("b1", "B"), ("b2", "B"), ("c", "C")]
    items = [Item(case, f"{case}.png", group) for case, group in rows]
    return Index(at(0, 10, 20, 30, 90), items)


def cases(index: Index, found) -> list[list[str]]:
    return [[index.items[position].case for position, _ in one] for one in found]


def test_most_similar_first_with_cosines(index) -> None:
    found = index.search(at(12), 2)
    assert cases(index, found) == [["a2", "b1"]]
    # cos 2 and cos 8 degrees
    assert [s for _, s in found[0]] == pytest.approx([0.99939, 0.99027], abs=1e-5)


def test_a_query_never_meets_its_patient(index) -> None:
    found = index.search(at(0, 20, 90), 3, exclude_groups=["A", "B", ""])
    assert cases(index, found) == [["b1", "b2", "c"], ["a2", "a1", "c"], ["c", "b2", "b1"]]


def test_a_query_never_meets_itself(index) -> None:
    found = index.search(at(0, 0), 1, exclude_keys=["a1.png", ""])
    assert cases(index, found) == [["a2"], ["a1"]]


def test_fewer_come_back_where_exclusion_leaves_fewer(index) -> None:
    found = index.search(at(0), 10, exclude_groups=["A"], exclude_keys=["c.png"])
    assert cases(index, found) == [["b1", "b2"]]
    alone = Index(at(0, 1), [Item("x", "x", "G"), Item("y", "y", "G")])
    assert alone.search(at(0), 5, exclude_groups=["G"]) == [[]]


def test_equal_vectors_come_in_index_order_and_at_most_at_one() -> None:
    same = Index(at(33, 33, 33), [Item(c, c, c) for c in "xyz"])
    found = same.search(at(33), 3)
    assert cases(same, found) == [["x", "y", "z"]]
    assert all(similarity <= 1 for _, similarity in found[0])


def test_exclusion_agrees_with_a_search_by_hand() -> None:
    numbers = np.random.default_rng(0)
    vectors = numbers.normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = Index(vectors, [Item(str(n), str(n), f"g{n % 7}") for n in range(60)])
    found = index.search(vectors, 5, exclude_groups=[item.group for item in index.items])
    for n, one in enumerate(found):
        allowed = [m for m in range(60) if m % 7 != n % 7]
        by_hand = sorted(allowed, key=lambda m: -float(vectors[n] @ vectors[m]))[:5]
        assert [position for position, _ in one] == by_hand


def test_saved_and_loaded_it_answers_the_same(index, tmp_path) -> None:
    index.save(tmp_path)
    again = Index.load(tmp_path)
    assert again.items == index.items
    assert again.search(at(7), 4, exclude_groups=["B"]) == index.search(
        at(7), 4, exclude_groups=["B"]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "index.json",
        "index.jsonl",
        "index.safetensors",
    ]


@pytest.mark.parametrize(
    "vectors",
    [
        np.empty((0, 2), np.float32),
        np.ones((1, 2), np.float32),
        np.full((1, 2), np.nan),
        np.ones(2),
    ],
)
def test_vectors_that_are_none_or_not_unit_are_refused(vectors) -> None:
    with pytest.raises(ModelError):
        Index(vectors, [Item("x", "x", "g")] * len(vectors))


def test_wrong_shapes_and_counts_are_refused(index) -> None:
    with pytest.raises(ModelError, match="2 items"):
        Index(at(0), [Item("x", "x", "g")] * 2)
    with pytest.raises(ModelError, match="shape"):
        index.search(np.ones((1, 3), np.float32), 1)
    with pytest.raises(ModelError, match="exclude_groups"):
        index.search(at(0, 1), 1, exclude_groups=["A"])
    with pytest.raises(ModelError, match="at least 1"):
        index.search(at(0), 0)
    assert index.search(np.empty((0, 2), np.float32), 1) == []


def test_torn_and_missing_files_are_named(index, tmp_path) -> None:
    with pytest.raises(RunError, match=r"index\.jsonl"):
        Index.load(tmp_path)
    index.save(tmp_path)
    rows = (tmp_path / "index.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "index.jsonl").write_text("".join(rows[:-1]))
    with pytest.raises(RunError, match="4 items"):
        Index.load(tmp_path)
    (tmp_path / "index.jsonl").write_text('{"foreign": 1}\n')
    with pytest.raises(RunError, match="not the items"):
        Index.load(tmp_path)
    (tmp_path / "index.jsonl").write_text("".join(rows))
    (tmp_path / "index.safetensors").write_bytes(b"torn")
    with pytest.raises(RunError, match=r"index\.safetensors"):
        Index.load(tmp_path)


def test_missing_faiss_is_named(monkeypatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(module, "import_module", absent)
    with pytest.raises(MissingExtra, match="faiss-cpu"):
        Index(cloud(300), named(300)).arranged(IndexBlock(kind="ivf"))


def cloud(count: int, width: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def named(count: int) -> list[Item]:
    return [Item(f"c{n}", f"p{n}", f"g{n}") for n in range(count)]


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
@pytest.mark.parametrize("recall", [0.5, 0.97])
def test_an_approximate_index_has_the_recall_that_it_says(kind, recall, tmp_path) -> None:
    vectors = cloud(1500)
    exact = Index(vectors, named(1500))
    built = exact.arranged(IndexBlock(kind=kind, recall=recall))
    built.save(tmp_path)
    again = Index.load(tmp_path)
    assert again.facts == built.facts
    assert (again.facts.kind, again.facts.recall >= recall) == (kind, True)
    queries = cloud(200, seed=1)  # none of the index's own
    met = again.search(queries, 10)
    truth = exact.search(queries, 10)
    places = [[{at for at, _ in row} for row in rows] for rows in (met, truth)]
    share = np.mean([len(a & b) / 10 for a, b in zip(*places, strict=True)])
    assert share == pytest.approx(again.facts.recall, abs=0.1)


def test_auto_is_exact_until_there_are_many_and_few_are_never_clustered() -> None:
    assert kind_of(IndexBlock(), 200_000) == "flat"
    assert kind_of(IndexBlock(), 200_001) == "ivf"
    assert kind_of(IndexBlock(kind="ivf"), 256) == "flat"
    small = Index(cloud(20), named(20))
    assert small.arranged(IndexBlock(kind="hnsw")) is small


def test_vectors_are_mapped_and_structures_come_with_them(tmp_path) -> None:
    planes = np.random.default_rng(0).integers(0, 255, (5, 48, 48), dtype=np.uint8)
    Index(cloud(5), named(5), structures=planes).save(tmp_path)
    again = Index.load(tmp_path)
    held = again.vectors
    while isinstance(held, np.ndarray):
        held = held.base
    assert isinstance(held, mmap.mmap)
    assert np.array_equal(again.structures, planes)
    with pytest.raises(ModelError, match="structures"):
        Index(cloud(5), named(5), structures=planes[:4])


def test_a_changed_row_is_named(tmp_path) -> None:
    Index(cloud(5), named(5)).save(tmp_path)
    rows = (tmp_path / "index.jsonl").read_text()
    (tmp_path / "index.jsonl").write_text(rows.replace('"g2"', '"g0"'))
    with pytest.raises(RunError, match=r"index\.jsonl: row 3 is not what was written"):
        Index.load(tmp_path)
    (tmp_path / "index.jsonl").write_text(rows)
    save_file({"vectors": cloud(5)[[0, 1, 2, 4, 3]]}, tmp_path / "index.safetensors")
    with pytest.raises(RunError, match="row 4 is not what was written"):
        Index.load(tmp_path)


def test_another_metric_and_another_encoder_are_refused(tmp_path) -> None:
    index = Index(cloud(5), named(5), facts=IndexFacts("lite", "abc"))
    index.save(tmp_path)
    index.require("lite", "abc")
    with pytest.raises(ModelError, match="made with lite, the query comes from vit"):
        index.require("vit", "def")
    with pytest.raises(ModelError, match="made with lite, the query comes from other weights"):
        Index.load(tmp_path).require("lite", "def")
    about = tmp_path / "index.json"
    about.write_text(about.read_text().replace("cosine", "l2"))
    with pytest.raises(RunError, match="searches by l2, not by cosine"):
        Index.load(tmp_path)
    about.write_text('{"foreign": 1}')
    with pytest.raises(RunError, match="not what an index says of itself"):
        Index.load(tmp_path)


def test_an_index_of_before_facts_and_hashes_loads(index, tmp_path) -> None:
    index.save(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "index.jsonl").read_text().splitlines()]
    old = "".join(json.dumps({k: r[k] for k in ("case", "key", "group")}) + "\n" for r in rows)
    (tmp_path / "index.jsonl").write_text(old)
    (tmp_path / "index.json").unlink()
    again = Index.load(tmp_path)
    assert (again.items, again.structures, again.facts) == (index.items, None, IndexFacts())
    again.require("anything", "at all")


def test_a_graph_of_other_vectors_is_refused(tmp_path) -> None:
    for name, count in (("a", 400), ("b", 500)):
        built = Index(cloud(count), named(count)).arranged(IndexBlock(kind="ivf", recall=0.5))
        built.save(tmp_path / name)
    (tmp_path / "b" / "index.faiss").replace(tmp_path / "a" / "index.faiss")
    with pytest.raises(RunError, match=r"index\.faiss: holds vectors \(500, 16\)"):
        Index.load(tmp_path / "a")
    (tmp_path / "a" / "index.faiss").write_bytes(b"torn")
    with pytest.raises(RunError, match="not an index of faiss"):
        Index.load(tmp_path / "a")
