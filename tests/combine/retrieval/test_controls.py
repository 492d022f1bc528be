"""Controls of neighbours: the guard off, or another case's neighbours, the picture itself never."""

from __future__ import annotations

import numpy as np
import pytest

from vesalius.combine.retrieval.controls import Queries, under
from vesalius.combine.retrieval.index import Index, Item
from vesalius.errors import UnknownName
from vesalius.models.capabilities import CONTROLS, Neighboured, controlled, require_control
from vesalius.recipe import Decoding

COUNT = 24


@pytest.fixture(scope="module")
def index() -> Index:
    """24 unit vectors of 8 patients, three each."""
    vectors = np.random.default_rng(5).normal(size=(COUNT, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Index(vectors, [Item(f"c{n}", f"p{n}", f"g{n % 8}") for n in range(COUNT)])


@pytest.fixture(scope="module")
def queries(index) -> Queries:
    return Queries(index.vectors, [f"g{n % 8}" for n in range(COUNT)], [f"p{n}" for n in range(24)])


def searched(index: Index, queries: Queries, k: int = COUNT) -> list[list[Item]]:
    hits = index.search(
        queries.vectors, k, exclude_groups=queries.groups, exclude_keys=queries.keys
    )
    return [[index.items[at] for at, _ in one] for one in hits]


def test_without_a_control_nothing_changes(index, queries) -> None:
    assert under(None, index, queries) is queries


def test_unguarded_the_same_patient_comes_and_the_picture_itself_does_not(index, queries) -> None:
    guarded = searched(index, queries)
    unguarded = searched(index, under("unguarded", index, queries))
    # 24 less the three of the patient; 24 less the picture itself
    assert {len(row) for row in guarded} == {21}
    assert {len(row) for row in unguarded} == {23}
    for n, row in enumerate(unguarded):
        assert sum(item.group == f"g{n % 8}" for item in row) == 2
        assert f"p{n}" not in {item.key for item in row}


def test_swapped_neighbours_are_another_patient_s_and_none_is_ones_own(index, queries) -> None:
    swapped = under("swapped", index, queries)
    others = [int(np.argmax(index.vectors @ vector)) for vector in swapped.vectors]
    assert all(other % 8 != n % 8 for n, other in enumerate(others))
    assert len(set(others)) > COUNT // 3  # not one case for all
    for n, row in enumerate(searched(index, swapped)):
        # 24 less three of the case's own patient and three of the other one's
        assert len(row) == 18
        assert not {item.group for item in row} & {f"g{n % 8}", f"g{others[n] % 8}"}


def test_who_is_swapped_with_whom_does_not_hang_on_the_other_queries(index, queries) -> None:
    whole = under("swapped", index, queries)
    for n in (0, 7, 23):
        alone = Queries(queries.vectors[n : n + 1], queries.groups[n : n + 1], [f"p{n}"])
        assert np.array_equal(under("swapped", index, alone).vectors[0], whole.vectors[n])


def test_with_one_patient_alone_no_case_is_left() -> None:
    one = np.eye(2, dtype=np.float32)
    index = Index(one, [Item("a", "a", "g"), Item("b", "b", "g")])
    swapped = under("swapped", index, Queries(one, ["g", "g"], ["a", "b"]))
    assert searched(index, swapped) == [[], []]


def test_an_unknown_control_is_refused_and_a_model_without_neighbours_left_as_it_is() -> None:
    class Plain:
        needs_image = False

        def predict(self, dialogues, decoding: Decoding):
            return []

    plain = Plain()
    assert not isinstance(plain, Neighboured)
    assert controlled(plain, "swapped") is plain
    with pytest.raises(UnknownName, match="did you mean swapped"):
        controlled(plain, "swaped")
    assert [require_control(name) for name in CONTROLS] == ["unguarded", "swapped"]
