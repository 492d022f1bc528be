from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import brain_tumor, drawing, medpix, put, put_lines, slake, vqa_rad

from hostile import hostile
from vesalius.cases import image
from vesalius.data import inspection
from vesalius.data.audit import audit, read_members
from vesalius.data.fingerprint_file import recorded
from vesalius.data.fingerprints import fingerprint
from vesalius.data.imports import import_dataset
from vesalius.data.open import open_dataset
from vesalius.data.staging import require_empty
from vesalius.errors import DatasetError, Leakage


def own(root):
    lines = [f"{n}.png,what?,a{n},p{n // 2}" for n in range(8)]
    put(root / "mine.csv", "\n".join(["path,q,a,mrn", *lines]) + "\n")
    for n in range(8):
        put(root / f"{n}.png", drawing(n))
    columns = {"image": "path", "question": "q", "answer": "a", "patient": "mrn"}
    return {"columns": columns}


@pytest.fixture
def work(monkeypatch):
    """How often pictures are read from files, and decoded."""
    done = Counter()
    read, decode = Path.read_bytes, image.decode

    def reading(path):
        done["read"] += 1
        return read(path)

    def decoding(*given, **named):
        done["decoded"] += 1
        return decode(*given, **named)

    monkeypatch.setattr(Path, "read_bytes", reading)
    monkeypatch.setattr(image, "decode", decoding)
    monkeypatch.setattr(inspection, "_remembered", {})
    return done


def test_each_picture_is_read_and_decoded_once_and_then_never_again(drawn, tmp_path, work):
    import_dataset(drawn("folder", own), tmp_path / "out", fractions={"train": 0.5, "test": 0.5})
    assert work == {"read": 8, "decoded": 8}
    work.clear()
    again = open_dataset("folder", tmp_path / "out")
    assert audit(again).cases == {"train": 4, "test": 4}
    assert len(read_members(again)) == 8
    assert work == {}
    (tmp_path / "out" / "fingerprints.jsonl").unlink()
    audit(again)
    audit(again)
    assert work == {"read": 8, "decoded": 8}


def test_a_failed_import_leaves_the_target_as_it_was(drawn, tmp_path):
    def broken(root):
        options = own(root)
        put(root / "3.png", "junk")
        return options

    (tmp_path / "empty").mkdir()
    for name in ("out", "empty"):
        with pytest.raises(DatasetError, match="1 error: "):
            import_dataset(drawn("folder", broken), tmp_path / name)
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_table_that_cannot_be_read_to_its_end_is_not_imported_in_part(tmp_path):
    put(tmp_path / "in" / "a.png", drawing(1))
    rows = '{"image": "a.png", "caption": "x"}\n{"image": "../b.png", "caption": "y"}\n'
    put(tmp_path / "in" / "train.jsonl", rows)
    with pytest.raises(DatasetError, match=r"row 2: .*stopped here"):
        import_dataset(open_dataset("folder", tmp_path / "in"), tmp_path / "out", allow_errors=True)


def test_own_rows_become_a_set_that_needs_no_options(drawn, tmp_path):
    target = tmp_path / "out"
    done = import_dataset(drawn("folder", own), target, fractions={"train": 0.5, "test": 0.5})
    assert done.cases == {"train": 4, "test": 4}
    again = open_dataset("folder", target)
    cases = {split: list(again.cases(split)) for split in again.splits()}
    groups = [{case.group for case in found} for found in cases.values()]
    assert not groups[0] & groups[1]
    for case in cases["train"] + cases["test"]:
        number = int(case.id)
        assert case.pictures[0].read() == drawing(number)
        assert case.questions[0].answers[0].text == f"a{number}"


@pytest.mark.parametrize(
    ("name", "layout"),
    [("slake", slake), ("medpix", medpix), ("brain_tumor", brain_tumor), ("vqa_rad", vqa_rad)],
)
def test_nothing_is_lost_on_the_way(drawn, tmp_path, name, layout):
    dataset = drawn(name, layout, **({"split": "all"} if name == "vqa_rad" else {}))
    first = {case.id: case for split in dataset.splits() for case in dataset.cases(split)}
    import_dataset(dataset, tmp_path / "out")
    again = open_dataset("folder", tmp_path / "out")
    second = {case.id: case for split in again.splits() for case in again.cases(split)}
    assert second.keys() == first.keys()
    for key, case in first.items():
        for part in ("group", "questions", "caption", "boxes", "concepts", "modality"):
            assert getattr(second[key], part) == getattr(case, part)
        assert dict(second[key].context) == dict(case.context)
        assert second[key].pictures[0].read() == case.pictures[0].read()


def test_pictures_stay_with_the_questions_that_show_them(tmp_path):
    rows = []
    for number in range(4):
        for kind in ("prior", "current"):
            put(tmp_path / "in" / f"{kind}{number}.png", drawing(number + 10 * (kind == "prior")))
        questions = [
            {"question": "Is the heart large?", "answer": "no"},
            {"question": "And now?", "answer": "yes", "image": f"current{number}.png"},
        ]
        image = f"prior{number}.png"
        rows.append(
            {"id": f"c{number}", "group": f"g{number}", "image": image, "questions": questions}
        )
    put_lines(tmp_path / "in" / "films.jsonl", rows)
    films = open_dataset("folder", tmp_path / "in")
    import_dataset(films, tmp_path / "out", fractions={"train": 0.5, "test": 0.5})
    again = open_dataset("folder", tmp_path / "out")
    cases = {case.id: case for split in again.splits() for case in again.cases(split)}
    assert len(cases) == 4
    for case in films.cases("all"):
        assert cases[case.id].questions == case.questions
        read, expected = (
            [[p.read() for p in some] for some in one.pictures_by_question()]
            for one in (cases[case.id], case)
        )
        assert read == expected
        assert [len(some) for some in read] == [1, 2]


def test_errors_stop_the_import_unless_allowed(drawn, tmp_path):
    def broken(root):
        options = own(root)
        put(root / "3.png", "junk")
        return options

    dataset = drawn("folder", broken)
    with pytest.raises(DatasetError, match=r"1 error: .*mine.csv row 4: 3.png"):
        import_dataset(dataset, tmp_path / "out")
    done = import_dataset(dataset, tmp_path / "out", allow_errors=True)
    assert sum(done.cases.values()) == 7
    with pytest.raises(DatasetError, match="not empty"):
        import_dataset(dataset, tmp_path / "out")


def test_new_splits_tell_cases_of_one_id_apart(tmp_path):
    for split in ("train", "test"):
        put(tmp_path / "in" / f"{split}.jsonl", f'{{"id": "a", "caption": "{split}"}}\n')
    dataset = open_dataset("folder", tmp_path / "in")
    halves = {"train": 0.5, "test": 0.5}
    assert import_dataset(dataset, tmp_path / "out", fractions=halves).cases == halves_of(2)
    dealt = open_dataset("folder", tmp_path / "out")
    captions = {case.id: case.caption for split in halves for case in dealt.cases(split)}
    assert captions == {"train/a": "train", "test/a": "test"}
    assert import_dataset(dataset, tmp_path / "own").cases == halves_of(2)


def halves_of(number):
    return {"train": number // 2, "test": number // 2}


def test_one_id_twice_in_a_split_is_left_out_where_that_is_allowed(tmp_path):
    row = {"id": "a", "caption": "x"}
    put_lines(tmp_path / "in" / "all.jsonl", [row, row | {"caption": "y"}, row | {"id": "b"}])
    dataset = open_dataset("folder", tmp_path / "in")
    with pytest.raises(DatasetError, match=r"'a' is also at .*row 1"):
        import_dataset(dataset, tmp_path / "out")
    done = import_dataset(dataset, tmp_path / "out", allow_errors=True)
    assert sum(done.cases.values()) == 2
    assert [finding.code for finding in done.findings] == ["duplicate_id", "empty_split"]


def test_own_splits_are_kept_and_must_not_leak(drawn, tmp_path):
    def leaking(root):
        for split in ("train", "test"):
            put(root / f"{split}.csv", f"image,question,answer\na.png,{split}?,x\n")
        put(root / "a.png", drawing(1))
        return {}

    dataset = drawn("folder", leaking)
    with pytest.raises(Leakage, match="train/a and test/a"):
        import_dataset(dataset, tmp_path / "out")
    done = import_dataset(dataset, tmp_path / "out", allow_leaks=True)
    assert done.cases == {"train": 1, "test": 1}


@pytest.mark.skipif(find_spec("rapidocr") is None, reason="needs the extra ocr")
def test_text_in_pictures_is_covered_where_asked_and_the_rest_is_copied(drawn, tmp_path):
    from vesalius.data.burned_in import find_text

    def lay(root):
        put(root / "a.bmp", hostile()["burned_name.png"][0])  # under another format's name
        put(root / "b.png", drawing(1))
        put(root / "t.csv", "image,question,answer,patient\na.bmp,q,a,p\nb.png,q,b,r\n")
        return {}

    dataset = drawn("folder", lay)
    done = import_dataset(dataset, tmp_path / "out", fractions={"train": 1.0}, mask_text=True)
    assert done.covered == 1
    cases = open_dataset("folder", tmp_path / "out").cases("train")
    again = {case.questions[0].answers[0].text: case.pictures[0] for case in cases}
    assert find_text(again["a"].pixels()) == ()
    assert again["a"].key.endswith("a.png")
    assert again["b"].read() == drawing(1)
    for picture in again.values():
        noted = recorded(picture)
        assert noted.fingerprint.sha256 == fingerprint(picture).sha256


CELLS = st.sampled_from(["x", "nan", "", "None", "-", "a knee", "12.0"])
IDS = st.sampled_from(["1", "1.0", "2", "nan", "b", ""])


@settings(deadline=None, max_examples=25)
@given(rows=st.lists(st.tuples(IDS, CELLS, CELLS, IDS), min_size=1, max_size=8))
def test_every_row_is_a_case_or_a_finding(tmp_path_factory, rows):
    """n rows in: each is written, or left out for an error that names it."""
    root = tmp_path_factory.mktemp("rows")
    names = ("id", "question", "answer", "patient")
    table = [dict(zip(names, row, strict=True)) for row in rows]
    put_lines(root / "t.jsonl", table)
    dataset = open_dataset("folder", root / "t.jsonl")
    done = import_dataset(dataset, root / "out", allow_errors=True, fractions={"train": 1.0})
    faulty = {f.where.split(", question ")[0] for f in done.findings if f.level == "error"}
    assert sum(done.cases.values()) + len(faulty) == len(rows)
    words = Counter(row["question"] for row in table)
    assert sum(f.code == "na_question" for f in done.findings) == sum(
        words[word] for word in ("nan", "None", "-")
    )


def test_pictures_whose_names_differ_in_case_alone_stay_two_files(tmp_path):
    for n, name in enumerate(("a/X.png", "b/x.PNG", "c/x.png")):
        put(tmp_path / "in" / name, drawing(n))
    rows = [{"image": name, "caption": name} for name in ("a/X.png", "b/x.PNG", "c/x.png")]
    put_lines(tmp_path / "in" / "train.jsonl", rows)
    import_dataset(open_dataset("folder", tmp_path / "in"), tmp_path / "out")
    names = [path.name for path in (tmp_path / "out" / "images").iterdir()]
    assert len({name.casefold() for name in names}) == 3
    new = open_dataset("folder", tmp_path / "out")
    read = {c.caption: c.pictures[0].read() for s in new.splits() for c in new.cases(s)}
    assert read == {"a/X.png": drawing(0), "b/x.PNG": drawing(1), "c/x.png": drawing(2)}


def test_a_file_is_no_folder_that_holds_something(tmp_path):
    target = put(tmp_path / "new", "mine")
    with pytest.raises(DatasetError, match="a file, where a new folder is to be"):
        require_empty(target)
    assert target.read_text() == "mine"
