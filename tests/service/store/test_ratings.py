"""Ratings: one a rater and answer, the last one holds, streamed with raters as hashes."""

from __future__ import annotations

from vesalius.cases.rating import Rating

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
