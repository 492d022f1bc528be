"""One look at each picture: remembered while its file is the same, and never longer."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from layouts import drawing, put

from vesalius.cases.case import Case
from vesalius.cases.picture import Picture
from vesalius.cases.view import View
from vesalius.data import inspection
from vesalius.data.fingerprint_file import NAME, recorded, write_fingerprints
from vesalius.data.fingerprints import fingerprint
from vesalius.data.inspection import all_cores, identity, inspect, inspect_cases, inspect_pictures
from vesalius.data.open import open_dataset

READS: Counter[str] = Counter()


def counted(name: str, data: int) -> bytes:
    READS[name] += 1
    return drawing(data)


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_remembered", {})
    READS.clear()


def same(one: object, other: object) -> bool:
    def values(like):
        return like.sha256, like.thumbnail.tobytes()

    return values(one) == values(other)


def test_a_picture_is_read_once_however_often_it_is_looked_at() -> None:
    pictures = [Picture(f"{n}", partial(counted, f"p{n}", n)) for n in range(3)]
    first = inspect_pictures(pictures)
    assert [(p.width, p.height) for p in first] == [p.pixels().size for p in pictures]
    READS.clear()
    again = inspect_pictures(pictures[::-1])
    assert READS == {}
    assert [a is b for a, b in zip(first, again[::-1], strict=True)] == [True] * 3
    READS.clear()
    assert inspect(pictures[0]).fingerprint is not None
    assert READS == {"p0": 1}  # read and decoded from the same bytes


def test_a_file_that_changed_is_another_picture(tmp_path: Path) -> None:
    put(tmp_path / "a.png", drawing(1))
    picture = Picture.from_file(tmp_path / "a.png")
    before = inspect_pictures([picture])[0].fingerprint
    put(tmp_path / "a.png", drawing(2))
    os.utime(tmp_path / "a.png", ns=(1, 1))
    after = inspect_pictures([picture])[0].fingerprint
    assert same(after, fingerprint(picture))
    assert not same(before, after)


def test_what_has_no_identity_is_looked_at_each_time() -> None:
    data = drawing(1)
    assert identity(Picture("a", lambda: data)) is None
    assert identity(Picture("a", partial(bytes, data))) is None
    assert identity(Picture("a", partial(counted, ["a"], 1))) is None
    drawn = next(open_dataset("phantom", options={"cases": {"train": 1}}).cases("train"))
    assert identity(drawn.pictures[0]) is not None
    assert identity(drawn.pictures[0]) != identity(drawn.pictures[0].at(View(1)))


def test_many_are_looked_at_in_processes_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vesalius.system.parallel.usable_cores", lambda: 2)
    names = [tmp_path / f"{n}.png" for n in range(70)]
    for number, path in enumerate(names):
        put(path, drawing(number) if number != 5 else "junk")
    pictures = [Picture.from_file(path) for path in names]
    looked = inspect_pictures(pictures)
    here = [inspect(picture) for picture in pictures]
    assert [(p.code, p.reason) for p in looked] == [(p.code, p.reason) for p in here]
    assert looked[5].code == "unsupported_media_type"
    assert all(
        same(a.fingerprint, b.fingerprint)
        for n, (a, b) in enumerate(zip(looked, here, strict=True))
        if n != 5
    )


def test_a_record_is_used_while_size_and_time_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate("ab"):
        put(tmp_path / "images" / f"{name}.png", drawing(number))
    put(tmp_path / "images" / "c.png", "junk")
    files = {f"images/{n}.png": Picture.from_file(tmp_path / "images" / f"{n}.png") for n in "abc"}
    write_fingerprints(tmp_path, {name: inspect(p) for name, p in files.items()})
    a, b, c = files.values()
    noted = recorded(a)
    assert noted is not None
    assert same(noted.fingerprint, fingerprint(a))
    assert (noted.width, noted.height) == a.pixels().size
    assert recorded(c) == inspect(c)
    assert recorded(a.at(View(0))) is None
    os.utime(tmp_path / "images" / "b.png", ns=(1, 1))
    assert recorded(b) is None
    assert same(inspect_pictures([b])[0].fingerprint, fingerprint(b))
    monkeypatch.setattr(inspection, "_remembered", {})
    # What is recorded is believed: that is what makes it worth writing.
    lines = (tmp_path / NAME).read_text().splitlines()
    put(tmp_path / NAME, "\n".join([lines[0].replace('"sha256": "', '"sha256": "ff'), "{}"]) + "\n")
    assert inspect_pictures([a])[0].fingerprint.sha256.startswith("ff")
    monkeypatch.setattr(inspection, "_remembered", {})
    # The check looks for itself.
    with all_cores() as cores:
        ((_, (looked,)),) = inspect_cases([Case("a", "a", (a,))], cores)
    assert same(looked.fingerprint, fingerprint(a))


@pytest.mark.parametrize("content", ["not json", '{"path": "images/a.png"}', '{"path": 3}', "[]"])
def test_a_file_of_another_making_is_passed_over(tmp_path: Path, content: str) -> None:
    put(tmp_path / "images" / "a.png", drawing(1))
    put(tmp_path / NAME, content + "\n")
    picture = Picture.from_file(tmp_path / "images" / "a.png")
    assert recorded(picture) is None
    assert same(inspect_pictures([picture])[0].fingerprint, fingerprint(picture))
