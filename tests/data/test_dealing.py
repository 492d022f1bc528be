"""Groups of look-alikes and new splits as options of any data set."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from layouts import drawing, put, put_lines
from PIL import Image, ImageEnhance, ImageOps

from vesalius.data.audit import audit
from vesalius.data.open import open_dataset
from vesalius.errors import Leakage, RecipeError

CHANGES = {
    "flipped": ImageOps.mirror,
    "turned": lambda image: image.rotate(90, expand=True),
    "paler": lambda image: ImageEnhance.Contrast(image).enhance(0.6),
}


def changed(content, change):
    file = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        change(image.convert("L")).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def leaking(tmp_path):
    """Nine pictures of training, six of them in test once more, changed: 3 + 6 groups."""
    rows = {"train": [], "test": []}
    for n in range(9):
        content = drawing(n, (96, 96))
        put(tmp_path / f"{n}.png", content)
        rows["train"].append({"image": f"{n}.png", "boxes": []})
        if n < 6:
            change = list(CHANGES.values())[n % 3]
            put(tmp_path / f"again-{n}.png", changed(content, change))
            rows["test"].append({"image": f"again-{n}.png", "boxes": []})
    for split, some in rows.items():
        put_lines(tmp_path / f"{split}.jsonl", some)
    return tmp_path


def cases(root, **options):
    dataset = open_dataset("folder", root, options=options)
    return {s: list(dataset.cases(s)) for s in dataset.splits()}


def test_the_given_split_keeps_its_cases_and_gets_the_groups_of_look_alikes(leaking):
    given = cases(leaking)
    grouped = cases(leaking, groups="near-duplicates")
    assert {s: [c.id for c in some] for s, some in grouped.items()} == {
        s: [c.id for c in some] for s, some in given.items()
    }
    sizes = Counter(case.group for some in grouped.values() for case in some)
    assert sorted(sizes.values()) == [1, 1, 1, 2, 2, 2, 2, 2, 2]
    with pytest.raises(Leakage, match=r"near_duplicate|group"):
        audit(open_dataset("folder", leaking, options={"groups": "near-duplicates"}))


def test_patients_stay_patients_in_groups_of_look_alikes():
    # Anatomy is alike: of two patients a pair must stand out more than of two loose pictures.
    plain = {"cases": {"train": 12, "validation": 4, "test": 5}}
    own, grouped = (
        audit(open_dataset("phantom", options={**plain, **more}))
        for more in ({}, {"groups": "near-duplicates"})
    )
    assert (own.pairs, own.groups) == (grouped.pairs, grouped.groups) == ((), 14)


@pytest.mark.parametrize("more", [{}, {"groups": "near-duplicates"}])
def test_a_split_by_groups_shares_nothing(leaking, more):
    halves = {"train": 0.5, "test": 0.5}
    options = {"split_by": "groups", "split_fractions": halves, **more}
    report = audit(open_dataset("folder", leaking, options=options))
    assert (report.counts, report.groups, sum(report.cases.values())) == ({}, 9, 15)
    # Groups of at most two: a split is at most one case from its half of 15.
    assert max(report.cases.values()) <= 9
    again = cases(leaking, **options)
    assert again == cases(leaking, **options)
    assert again != cases(leaking, **options, split_seed=1)
    assert {case.split for case in again["test"]} == {"test"}


def test_a_random_split_deals_each_case_by_itself(leaking):
    options = {"split_by": "random", "split_fractions": {"train": 0.6, "test": 0.4}}
    dealt = cases(leaking, **options, groups="near-duplicates")
    assert {split: len(some) for split, some in dealt.items()} == {"train": 9, "test": 6}
    groups = [{case.group for case in some} for some in dealt.values()]
    assert groups[0] & groups[1]  # so it leaks, and the audit of a fit refuses it
    with pytest.raises(Leakage):
        audit(open_dataset("folder", leaking, options=options))


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"split_by": "patient"}, r"split_by"),
        ({"split_seed": 1}, r"split_seed without split_by"),
        ({"groups": "patients"}, r"groups"),
    ],
)
def test_options_that_say_nothing_are_refused(leaking, options, fault):
    with pytest.raises(RecipeError, match=fault):
        open_dataset("folder", leaking, options=options)


def test_ids_of_several_splits_stay_apart(tmp_path):
    for n, split in enumerate(("train", "test")):
        put(tmp_path / split / "1.png", drawing(n))
        put_lines(tmp_path / f"{split}.jsonl", [{"id": "1", "image": f"{split}/1.png"}])
    dealt = cases(tmp_path, split_by="random", split_fractions={"train": 0.5, "test": 0.5})
    assert sorted(case.id for some in dealt.values() for case in some) == ["test/1", "train/1"]
