"""Raters' names in what is written for others."""

from __future__ import annotations

from vesalius.cases.rating import Rating
from vesalius.evaluation.rater_names import hash_raters


def test_names_become_hashes_that_no_guess_finds_and_two_files_do_not_share() -> None:
    raters = ("Ana Poe", "own_" + "a" * 40, "judge:smol", "Ana Poe")
    ratings = [Rating("", f"q{i}", name, {"accuracy": 3}) for i, name in enumerate(raters)]
    first, names = hash_raters(ratings)
    assert [one.rater for one in first][1:3] == list(raters[1:3])
    assert first[0].rater == first[3].rater != "Ana Poe"
    assert names == {first[0].rater: "Ana Poe"}
    assert hash_raters(ratings)[0][0].rater != first[0].rater
