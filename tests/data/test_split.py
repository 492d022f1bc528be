from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import drawing, put, put_lines
from PIL import Image, ImageOps

from vesalius.data.audit import Key, Member, audit, read_members, shared_with_later
from vesalius.data.open import open_dataset
from vesalius.data.split import split_members, write_splits
from vesalius.errors import DatasetError, Leakage


def changed(data: bytes, *, mirror: bool = False) -> bytes:
    image = Image.open(io.BytesIO(data))
    file = io.BytesIO()
    (ImageOps.mirror(image) if mirror else image).save(file, format="JPEG", quality=80)
    return file.getvalue()


def drawn_set(root, rows):
    """Rows of (split, id, group, bytes) as a folder set."""
    for split in {row[0] for row in rows}:
        listed = [
            {"id": name, "group": group, "image": f"{name}.png", "caption": "x"}
            for at, name, group, _ in rows
            if at == split
        ]
        put_lines(root / f"{split}.jsonl", listed)
    for _, name, _, data in rows:
        put(root / f"{name}.png", data)
    return open_dataset("folder", root)


def test_audit_names_shared_groups_pictures_and_near_duplicates(tmp_path):
    dataset = drawn_set(tmp_path, [
        ("train", "a", "p1", drawing(1)), ("test", "b", "p1", drawing(2)),
        ("train", "c", "p2", drawing(3)), ("test", "d", "p3", drawing(3)),
        ("train", "e", "p4", drawing(4)), ("test", "f", "p5", changed(drawing(4), mirror=True)),
        ("test", "g", "p6", drawing(5)), ("test", "h", "p6", drawing(6)),
    ])  # fmt: skip
    found = audit(dataset, allow_leaks=True)
    assert found.counts == {"group": 1, "same_picture": 1, "near_duplicate": 1}
    pairs = {(p.kind, p.first.id, p.second.id) for p in found.pairs}
    assert pairs == {
        ("group", "a", "b"), ("same_picture", "c", "d"), ("near_duplicate", "e", "f"),
    }  # fmt: skip
    with pytest.raises(Leakage, match=r"train/a and test/b: both of group p1.*train/c and test/d"):
        audit(dataset)
    assert audit(dataset, pictures=False, allow_leaks=True).counts == {"group": 1}


def test_an_undecodable_picture_is_reported_not_compared(tmp_path):
    dataset = drawn_set(tmp_path, [("train", "a", "p", b"junk"), ("test", "b", "q", b"junk")])
    assert audit(dataset).unread == ("train/a", "test/b")


def test_a_split_keeps_groups_and_look_alikes_whole(tmp_path):
    rows = [("all", f"n{n}", f"p{n // 3}", drawing(n)) for n in range(27)]
    rows.append(("all", "copy", "p99", changed(drawing(0))))
    dataset = drawn_set(tmp_path, rows)
    assigned = split_members(read_members(dataset), {"train": 0.6, "test": 0.4}, seed=3)
    assert len({assigned[Key(name, "all")] for name in ("copy", "n0", "n1")}) == 1
    path = tmp_path / "mine" / "splits.jsonl"
    write_splits(path, assigned)
    first = {"id": "copy", "split": assigned[Key("copy", "all")]}
    assert json.loads(path.read_text().splitlines()[0]) == first
    dealt = open_dataset("folder", tmp_path, split_file=path)
    assert audit(dealt).pairs == ()
    assert sum(1 for split in dealt.splits() for _ in dealt.cases(split)) == 28


def counted_anew(root):
    """Six cases of train and three of test, no patient, whose ids are the same 1 to 3."""
    for split, number in {"train": 6, "test": 3}.items():
        rows = [{"id": str(n), "question": f"{split} {n}?", "answer": "yes"} for n in range(number)]
        put_lines(root / f"{split}.jsonl", rows)
    return open_dataset("folder", root)


def test_ids_that_count_anew_in_each_split_join_nothing(tmp_path):
    dataset = counted_anew(tmp_path / "set")
    members = read_members(dataset)
    assert audit(dataset).counts == {}
    assert shared_with_later(members, ["train", "test"]) == {"train": set(), "test": set()}
    assigned = split_members(members, {"train": 0.5, "test": 0.5})
    assert len(assigned) == 9
    path = tmp_path / "splits.jsonl"
    write_splits(path, assigned)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert Counter(row.get("from") for row in rows) == {"train": 3, "test": 3, None: 3}
    dealt = open_dataset("folder", tmp_path / "set", split_file=path)
    cases = [case for split in dealt.splits() for case in dealt.cases(split)]
    expected = {f"{split}/{n}" for split in ("train", "test") for n in range(3)} | {"3", "4", "5"}
    assert {case.id for case in cases} == expected
    asked = {case.id: case.questions[0].text for case in cases}
    assert (asked["train/1"], asked["test/1"], asked["4"]) == ("train 1?", "test 1?", "train 4?")


@given(st.lists(st.sampled_from(["train", "validation", "test"]), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_whatever_comes_in_is_dealt(splits):
    members = [Member(str(n % 4 + 4 * (n // 12)), f"g{n}", split, None)
               for n, split in enumerate(splits)]  # fmt: skip
    members = list({member.key: member for member in members}.values())
    assert set(split_members(members)) == {member.key for member in members}


def test_two_cases_of_one_name_in_one_split_are_refused():
    with pytest.raises(DatasetError, match=r"all: two cases have the id 'None1'"):
        split_members([*lone(3), *lone(2)[1:]])


def lone(count, modality=None):
    return [Member(f"{modality}{n}", f"{modality}g{n}", "all", modality) for n in range(count)]


def test_a_split_is_deterministic_whatever_the_order():
    found = lone(50)
    first = split_members(found, seed=1)
    assert first == split_members(found[::-1], seed=1)
    assert first != split_members(found, seed=2)
    # 0.8, 0.1 and 0.1 of 50
    assert Counter(first.values()) == {"train": 40, "validation": 5, "test": 5}


def test_stratified_by_modality():
    assigned = split_members([*lone(40, "CT"), *lone(10, "MR")], seed=5, stratify=True)
    counts = Counter((key.id[:2], split) for key, split in assigned.items())
    assert (counts["CT", "train"], counts["MR", "train"], counts["MR", "test"]) == (32, 8, 1)


@pytest.mark.parametrize("shares", [{"train": 0.8}, {"train": 1.2, "test": -0.2}])
def test_impossible_fractions(shares):
    with pytest.raises(DatasetError, match="sum to 1"):
        split_members(lone(3), shares)


def test_real_audit(shared):
    dataset = open_dataset("vqa_rad", shared / "data" / "vqa_rad")
    assert audit(dataset).cases == {"train": 33, "validation": 9, "test": 14}
