"""The guard: never the picture itself, saved again, nor its patient; and search goes on for k."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from vesalius.cases.likeness import NEIGHBOURS, packed, thumbnail
from vesalius.combine.retrieval.controls import Queries
from vesalius.combine.retrieval.guard import Guard, walk
from vesalius.combine.retrieval.index import Index, Item
from vesalius.retrieval import IndexBlock


def drawn(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 255, (12, 12), dtype=np.uint8)
    return Image.fromarray(small).resize((96, 96), Image.Resampling.BICUBIC)


def structure(*images: Image.Image) -> np.ndarray:
    return packed(np.stack([thumbnail(image) for image in images]))


def cosine_to_first(*cosines: float) -> np.ndarray:
    """Unit vectors with these cosines to (1, 0)."""
    return np.array([[c, (1 - c * c) ** 0.5] for c in cosines], np.float32)


COPIES = 30


@pytest.fixture(scope="module")
def crowded() -> Index:
    """The query's picture, saved again 30 times under other patients; far behind them, 20 others.

    One of these is of the patient of a copy.
    """
    copies = [drawn(0).resize((60 + n, 60 + n)) for n in range(COPIES)]
    others = [drawn(n) for n in range(1, 21)]
    vectors = cosine_to_first(*np.linspace(0.999, 0.95, COPIES), *np.linspace(0.9, 0.2, 20))
    items = [Item(f"copy{n}", f"copy{n}", f"p{n}") for n in range(COPIES)]
    items += [Item(f"other{n}", f"other{n}", "p3" if n == 0 else f"o{n}") for n in range(20)]
    return Index(vectors, items, structures=structure(*copies, *others))


def cases(index: Index, guard: Guard, k: int) -> list[str]:
    def choose(_, hits):
        some = []
        for at, _cosine in hits:
            some.append(index.items[at].case)
            if len(some) == k:
                break
        return some, len(some) == k

    queries = Queries(cosine_to_first(1.0), [""], [""])
    return walk(index, queries, k + NEIGHBOURS, choose, allowed=guard.allowed)[0]


def test_search_goes_on_past_all_near_duplicates_until_k_are_there(crowded) -> None:
    guard = Guard(crowded, structure(drawn(0)))
    # other0 is left out as well: a copy is of its patient
    assert cases(crowded, guard, 5) == [f"other{n}" for n in range(1, 6)]


def test_where_the_index_ends_fewer_come(crowded) -> None:
    guard = Guard(crowded, structure(drawn(0)))
    assert cases(crowded, guard, 100) == [f"other{n}" for n in range(1, 20)]


@pytest.mark.parametrize("changed", [lambda i: i.rotate(90), ImageOps.mirror, ImageOps.invert])
def test_a_turned_or_negated_picture_is_still_itself(crowded, changed) -> None:
    guard = Guard(crowded, structure(changed(drawn(0))))
    assert cases(crowded, guard, 1) == ["other1"]


def test_another_picture_keeps_all_of_them(crowded) -> None:
    assert cases(crowded, Guard(crowded, structure(drawn(99))), 2) == ["copy0", "copy1"]


def test_of_an_index_without_structures_the_cosine_alone_tells() -> None:
    items = [Item(n, n, f"g{n}") for n in "abc"]
    old = Index(cosine_to_first(0.99999, 0.998, 0.5), items)
    assert cases(old, Guard(old, structure(drawn(0))), 3) == ["b", "c"]


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_trap_retrieval_may_return_the_test_image_itself_or_the_same_patient(kind) -> None:
    """Each of 300 pictures is asked about, though all are indexed, half of them twice."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(300, 8)).astype(np.float32)
    vectors[150:] = vectors[:150] + 1e-4  # the same pictures, under other keys and patients
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    planes = structure(*(drawn(n % 150) for n in range(300)))
    items = [Item(f"c{n}", f"p{n}", f"g{n // 2}") for n in range(300)]
    index = Index(vectors, items, structures=planes).arranged(IndexBlock(kind=kind, recall=0.9))
    queries = Queries(vectors, [item.group for item in items], [item.key for item in items])

    def choose(_, hits):
        some = [at for at, _cosine in hits][:5]
        return some, len(some) == 5

    near = walk(index, queries, 5 + NEIGHBOURS, choose, allowed=Guard(index, planes).allowed)
    for n, places in enumerate(near):
        twin = (n + 150) % 300
        assert len(places) == 5
        assert not {items[at].group for at in places} & {items[n].group, items[twin].group}


def test_search_goes_on_in_an_approximate_index_too() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items = [Item(str(n), str(n), f"g{n % 3}") for n in range(600)]
    index = Index(vectors, items).arranged(IndexBlock(kind="ivf", recall=0.5))
    assert index.facts.kind == "ivf"
    hits = index.search(vectors[:5], 300, exclude_groups=[f"g{n % 3}" for n in range(5)])
    assert [len(row) for row in hits] == [300] * 5
    for n, row in enumerate(hits):
        assert all(at % 3 != n % 3 for at, _ in row)
