"""Shards: each done once, those of the dead again, another job refused, gaps named."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from vesalius.errors import RunError
from vesalius.system import shards as module
from vesalius.system.claims import system
from vesalius.system.places import place
from vesalius.system.shards import MOST, Pieces, Shards, shard_size

FACTS = {"recipe": "abc", "items": 9, "size": 3, "shards": 3}


def opened(path: Path, **facts: object) -> Shards:
    return Shards(place(path), FACTS | facts)


def done_by(shards: Shards) -> list[int]:
    done = []
    for number in shards.free():
        done.append(number)
        shards.publish(number, [])
    return done


def test_one_process_does_all_in_order_and_once(tmp_path: Path) -> None:
    shards, done = opened(tmp_path), []
    for number in shards.free():
        done.append(number)
        assert shards.publish(number, [{"n": number}])
    assert done == [0, 1, 2]
    assert list(shards.free()) == []
    assert [shards.rows(number) for number in range(3)] == [[{"n": 0}], [{"n": 1}], [{"n": 2}]]
    assert not shards.publish(0, [{"n": "another"}])
    assert shards.rows(0) == [{"n": 0}]


def test_two_at_once_share_and_the_last_waits_for_what_the_other_has(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    first = opened(tmp_path)
    has = first.free()
    assert next(has) == 0
    done: list[int] = []

    def rest() -> None:
        other = opened(tmp_path)
        for number in other.free():
            done.append(number)
            other.publish(number, [])

    thread = Thread(target=rest)
    thread.start()
    thread.join(0.5)
    assert done == [1, 2]
    assert thread.is_alive()  # shard 0 is in the hands of the living
    first.publish(0, [])
    thread.join(10)
    assert not thread.is_alive()
    assert list(has) == []


def test_a_claim_left_by_the_dead_is_taken_over_once(tmp_path: Path) -> None:
    shards = opened(tmp_path)
    dead = {"host": "here", "system": system(), "pid": 2**22 + 1, "started": 0.0}
    place(tmp_path).create("000001.claim.1", json.dumps(dead).encode() + b"\n")
    assert sorted(done_by(shards)) == [0, 1, 2]
    claims = {path.name for path in tmp_path.iterdir() if "claim" in path.name}
    assert claims == {
        "000000.claim.1", "000001.claim.1", "000001.claim.2", "000002.claim.1",
    }  # fmt: skip


def test_a_result_that_came_meanwhile_is_not_made_again(tmp_path: Path, monkeypatch) -> None:
    shards, other = opened(tmp_path), opened(tmp_path)
    claimed = module.claimed

    def late(*args: object) -> bool:
        other.publish(0, [{"by": "another"}])  # between the look at the names and the claim
        return claimed(*args)

    monkeypatch.setattr(module, "claimed", late)
    assert done_by(shards) == [1, 2]
    assert shards.rows(0) == [{"by": "another"}]


@pytest.mark.parametrize(
    ("facts", "words"),
    [({"recipe": "abd"}, "recipe abd, there abc"), ({"items": 8}, "items 8, there 9")],
)
def test_a_worker_of_another_job_is_refused_in_a_line(tmp_path: Path, facts, words) -> None:
    opened(tmp_path)
    with pytest.raises(RunError, match=f"another job's shards: here {words}") as refused:
        opened(tmp_path, **facts)
    assert "\n" not in str(refused.value)


def test_a_worker_of_another_version_is_refused(tmp_path: Path, monkeypatch) -> None:
    opened(tmp_path)
    monkeypatch.setattr(module, "__version__", "0.0.9")
    with pytest.raises(RunError, match=r"here vesalius 0\.0\.9, there "):
        opened(tmp_path)


@pytest.mark.parametrize("content", ['{"torn', "1", "[]"])
def test_a_job_or_a_result_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    shards = opened(tmp_path)
    (tmp_path / "000001.jsonl").write_text(content)
    with pytest.raises(RunError, match=r"000001\.jsonl is not JSON lines \(remove that file"):
        shards.rows(1)
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(RunError, match=r"job\.json is not a job's"):
        opened(tmp_path)


def test_a_place_that_is_not_the_job_s_any_more_is_not_worked_in(tmp_path: Path) -> None:
    at = tmp_path / "mount"
    shards = opened(at)
    has = shards.free()
    shards.publish(next(has), [])
    at.rename(tmp_path / "away")
    at.mkdir()  # what a mount leaves that went away
    with pytest.raises(RunError, match=r"has lost its job\.json \(when it is back"):
        next(has)
    assert not list(at.iterdir())
    at.rmdir()
    (tmp_path / "away").rename(at)
    assert done_by(shards) == [1, 2]


def test_who_ends_by_an_error_gives_its_shard_up(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr("vesalius.system.claims.system", lambda: "another machine")
    with closing(opened(tmp_path).free()) as free:
        next(free)
    monkeypatch.undo()  # from here on it is a claim of elsewhere, which would be waited for
    assert done_by(opened(tmp_path)) == [0, 1, 2]
    assert {path.name for path in tmp_path.glob("000000.claim.*")} == {
        "000000.claim.1", "000000.claim.1.over", "000000.claim.2",
    }  # fmt: skip


def test_gaps_are_named(tmp_path: Path) -> None:
    shards = opened(tmp_path)
    shards.publish(1, [])
    with pytest.raises(RunError, match=r"2 of 3 shards have no result: 0, 2 \(.*--worker"):
        shards.require_whole()


def test_pieces_are_the_same_however_they_are_read() -> None:
    starts = []

    def stream():
        starts.append(1)
        return iter(range(10))

    pieces = Pieces(stream, 4)
    assert [pieces[2], pieces[0], pieces[1]] == [[8, 9], [0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(starts) == 2  # read again only to go back
    assert pieces[3] == []


def test_a_shard_is_whole_units_and_there_are_not_too_many() -> None:
    assert shard_size(451, 32) == 32
    assert shard_size(0, 32) == 32
    size = shard_size(10_000_000, 32)  # 312,500 units: 32 of them a shard make 9,766 shards
    assert size == 32 * 32
    assert 10_000_000 / size <= MOST
