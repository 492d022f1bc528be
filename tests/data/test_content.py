"""Digests of what cases hold: the same in any order, another when anything changes."""

from __future__ import annotations

from dataclasses import replace

from vesalius.cases.case import Answer, Case, Question
from vesalius.data.audit import member_of
from vesalius.data.content import content_digest, split_digests, whole_digest


def case(name: str, answer: str = "yes") -> Case:
    return Case(name, name, (), (Question("Is it?", answers=(Answer(answer),)),), caption="A knee.")


def test_the_order_of_cases_plays_no_part():
    members = [member_of(case(name), "train") for name in "abc"]
    assert split_digests(members) == split_digests(members[::-1])
    assert split_digests(members)["train"]["cases"] == 3


def test_every_change_of_a_case_changes_its_digest():
    one = case("a")
    digests = {
        content_digest(changed, pictures)
        for changed, pictures in (
            (one, ["f00"]),
            (one, ["f01"]),
            (one, []),
            (case("a", "no"), ["f00"]),
            (replace(one, caption="A hip."), ["f00"]),
            (replace(one, group="b"), ["f00"]),
            (replace(one, boxes=()), ["f00"]),
            (replace(one, concepts=("C1",)), ["f00"]),
        )
    }
    assert len(digests) == 8


def test_a_case_that_is_there_twice_is_not_as_if_it_were_not():
    twice = split_digests([member_of(case("a"), "train")] * 2)
    assert twice["train"]["sha256"] != split_digests([member_of(case("b"), "train")] * 2)["train"]
    assert int(twice["train"]["sha256"], 16) != 0


def test_the_whole_digest_is_of_all_splits():
    train, test = member_of(case("a"), "train"), member_of(case("b"), "test")
    assert whole_digest(split_digests([train, test])) == whole_digest(split_digests([test, train]))
    assert whole_digest(split_digests([train])) != whole_digest(split_digests([train, test]))
