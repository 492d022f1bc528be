"""Ratings: one a rater and answer, the last one holds, streamed with raters as hashes."""

from __future__ import annotations

import pytest

from vesalius.cases.rating import Rating
from vesalius.errors import Refusal

AXES = {"accuracy": 4, "clarity": 5}


def rate(store, rater: str, item: str, **fields) -> None:
    store.rate(item, Rating("first", f"case-{item}", rater, **{"axes": AXES} | fields))


def test_a_later_rating_replaces_the_earlier_one(store, clock) -> None:
    rate(store, "own_b", "itm_2")
    rate(store, "own_a", "itm_1", comment="no")
    rate(store, "own_a", "itm_1", axes={"accuracy": 1}, errors=("unsafe",), comment="wrong side")
    store.rate("itm_9", Rating("second", "case-9", "own_a", AXES))
    assert store.rated("own_a", ["first"]) == {"itm_1"}
    assert store.rated("own_a", ["second"]) == {"itm_9"}
    assert store.rated("own_c", ["first"]) == set()
    assert list(store.ratings()) == [
        Rating(
            "first", "case-itm_1", "own_a", {"accuracy": 1}, ("unsafe",), "wrong side", clock.now
        ),
        Rating("first", "case-itm_2", "own_b", AXES, (), None, clock.now),
        Rating("second", "case-9", "own_a", AXES, (), None, clock.now),
    ]


def test_a_final_word_stands_beside_the_ratings_and_is_one_person_s(store, clock) -> None:
    rate(store, "own_a", "itm_1", axes={"accuracy": 1})
    rate(store, "own_b", "itm_1", axes={"accuracy": 5})
    store.adjudicate("itm_1", Rating("first", "case-itm_1", "own_c", {"accuracy": 2}))
    store.adjudicate("itm_1", Rating("first", "case-itm_1", "own_c", {"accuracy": 3}))
    (final,) = store.adjudications(["first"])
    assert (final.axes, final.rater, final.adjudication) == ({"accuracy": 3}, "own_c", True)
    assert list(store.adjudications(["second"])) == []
    assert [one.axes["accuracy"] for one in store.ratings(["first"])] == [1, 5]
    with pytest.raises(Refusal, match="somebody else has adjudicated"):
        store.adjudicate("itm_1", Rating("first", "case-itm_1", "own_d", {"accuracy": 1}))
    assert store.rated("own_c", ["first"]) == {"itm_1"}  # and is not asked to rate it
    with pytest.raises(Refusal, match="you have adjudicated"):  # they saw the others' ratings
        rate(store, "own_c", "itm_1")


def test_a_table_is_taken_in_whole_or_not_at_all(store) -> None:
    rate(store, "own_a", "itm_2")
    table = {(f"itm_{i}", "own_a"): Rating("first", f"case-itm_{i}", "own_a", AXES) for i in (1, 2)}
    with pytest.raises(Refusal, match="has rated these answers here before"):
        store.add_ratings(table)
    assert store.rated("own_a", ["first"]) == {"itm_2"}
    del table["itm_2", "own_a"]
    store.add_ratings(table)
    assert store.rated("own_a", ["first"]) == {"itm_1", "itm_2"}
