from __future__ import annotations

import io
from importlib.util import find_spec

import numpy as np
import pytest
from layouts import drawing, put, put_lines, put_parquet
from PIL import Image

from hostile import hostile
from vesalius.data.cards import Card, Release
from vesalius.data.check import Summary, check
from vesalius.data.open import open_dataset


def flat(level=7, size=(40, 40)):
    file = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(file, format="PNG")
    return file.getvalue()


def findings(root, rows, **more):
    put_lines(root / "train.jsonl", rows)
    return [(f.code, f.where.removeprefix(f"{root}/"), f.what)
            for f in check(open_dataset("folder", root), **more)]  # fmt: skip


def test_a_sound_set_has_no_findings(tmp_path):
    put(tmp_path / "a.png", drawing(1))
    assert findings(tmp_path, [{"image": "a.png", "caption": "x", "boxes": []}]) == []


def test_how_pictures_are_shown_is_counted_and_not_repeated(tmp_path):
    for number in range(3):
        deep = io.BytesIO()
        pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64) * (7 + number)
        Image.fromarray(pixels).save(deep, format="PNG")
        put(tmp_path / f"{number}.png", deep.getvalue())
    put(tmp_path / "plain.png", drawing(1))
    images = ["0.png", "1.png", "2.png", "plain.png"]
    rows = [{"image": name, "caption": "x"} for name in images]
    what = "3 pictures: more than 8 bits: rescaled linearly to 0..255"
    assert findings(tmp_path, rows) == [("display", "train", what)]


def test_every_fault_is_found_with_its_row(tmp_path):
    put(tmp_path / "ok.png", drawing(1))
    put(tmp_path / "cut.png", drawing(2)[:-300])
    put(tmp_path / "blank.png", flat())
    put(tmp_path / "tiny.png", drawing(3, (20, 20)))
    put(tmp_path / "text.png", "hello")
    outside = [{"bbox": [60, 0, 10, 10], "label": "cyst"}]
    rows = [
        {"id": "a", "image": "ok.png", "caption": "x", "group": "p1"},
        {"id": "a", "image": "cut.png", "caption": "x"},
        {"id": "c", "image": "gone.png", "caption": "x"},
        {"id": "d", "image": "blank.png", "caption": "x"},
        {"id": "e", "image": "tiny.png", "caption": "x"},
        {"id": "f", "image": "text.png", "caption": "x"},
        {"id": "g", "image": "ok.png", "caption": "", "group": "p2"},
        {"id": "h", "image": "ok.png", "caption": "x", "boxes": outside, "group": "p1"},
        {"id": "i", "image": "ok.png", "group": "p1"},
    ]
    found = {(code, where) for code, where, _ in findings(tmp_path, rows)}
    assert found == {
        ("duplicate_id", "train.jsonl row 2"),
        ("truncated", "train.jsonl row 2"),
        ("missing", "train.jsonl row 3"),
        ("blank", "train.jsonl row 4"),
        ("tiny", "train.jsonl row 5"),
        ("unsupported_media_type", "train.jsonl row 6"),
        ("empty_caption", "train.jsonl row 7"),
        ("two_groups", "train.jsonl row 7"),
        ("box_outside", "train.jsonl row 8"),
        ("no_content", "train.jsonl row 9"),
    }


def test_questions(tmp_path):
    put(tmp_path / "a.png", drawing(1))
    asked = [("", "x"), ("what?", ""), ("why?", "a"), ("Why?", "b")]
    rows = [{"image": "a.png", "question": q, "answer": a} for q, a in asked]
    found = findings(tmp_path, rows)
    assert [(code, where.split(", ")[1]) for code, where, _ in found] == [
        ("empty_question", "question 1"),
        ("empty_answer", "question 2"),
        ("duplicate_question", "question 4"),
    ]
    assert "asked again, and was answered 'a'" in found[2][2]


def test_a_parse_fault_ends_its_split_only(tmp_path):
    put_lines(tmp_path / "test.jsonl", [{"caption": "x"}])
    (finding,) = findings(tmp_path, [{"caption": "x"}, {"image": "../x", "caption": "y"}])
    assert finding[:2] == ("parse", "train.jsonl row 2")
    assert "stopped here" in finding[2]


@pytest.mark.parametrize(("path", "code"), [("a.png", "missing"), (None, "no_picture")])
def test_a_cell_without_bytes_is_a_finding(tmp_path, path, code):
    rows = [{"image": {"bytes": None, "path": path}, "caption": "x"}]
    put_parquet(tmp_path / "train.parquet", rows)
    (finding,) = check(open_dataset("folder", tmp_path))
    assert (finding.code, finding.where) == (code, f"{tmp_path}/train.parquet row 1")


def test_counts_are_compared_with_the_card(tmp_path):
    base = {"name": "x", "title": "", "summary": "", "licence": "", "homepage": "",
            "citation": "", "intended_use": ""}  # fmt: skip
    releases = (Release(name="v1", images={"train": 500}), Release(name="v0", images={"all": 9}))
    summary = Summary()
    (finding,) = findings(tmp_path, [{"caption": "x"}], card=Card(**base, releases=releases),
                          summary=summary)  # fmt: skip
    assert finding[0] == "counts"
    assert "train 1 images, not 500" in finding[2]
    assert (summary.cases, summary.errors) == ({"train": 1}, 0)
    near = (Release(name="v2", images={"train": 1}), releases[0])
    assert findings(tmp_path, [{"caption": "x"}], card=Card(**base, releases=near)) == []


def test_real_sets_are_sound(shared):
    for name, folder in (("vqa_rad", "vqa_rad"), ("brain_tumor", "brain_tumor_cc0")):
        assert list(check(open_dataset(name, shared / "data" / folder))) == []


def test_hostile_pictures_are_findings_not_crashes(shared, tmp_path):
    hostile = shared / "bad_inputs" / "files"
    names = sorted(path.name for path in hostile.iterdir())
    put_lines(tmp_path / "train.jsonl", [{"image": name, "caption": "x"} for name in names])
    dataset = open_dataset("folder", tmp_path, options={"images": str(hostile)})
    errors = {f.where.rsplit(" ", 1)[1] for f in check(dataset) if f.level == "error"}
    faulty = {names[int(row) - 1] for row in errors}
    assert {"html_as.png", "text_as.png", "trunc_half.jpg", "bomb_1bit_14000.png"} <= faulty
    assert not {"ok_rgb.png", "ok_bmp.bmp", "gray16.png"} & faulty


@pytest.mark.skipif(find_spec("rapidocr") is None, reason="needs the extra ocr")
def test_burned_in_text_is_a_warning_once_a_picture_and_is_not_repeated(tmp_path):
    put(tmp_path / "name.png", hostile()["burned_name.png"][0])
    put(tmp_path / "ok.png", drawing(1))
    rows = [
        {"id": "a", "image": "name.png", "caption": "x", "group": "p"},
        {"id": "b", "image": "name.png", "caption": "x", "group": "p"},
        {"id": "c", "image": "ok.png", "caption": "x"},
    ]
    assert findings(tmp_path, rows) == []
    ((code, where, what),) = findings(tmp_path, rows, text=True)
    assert (code, where) == ("burned_in", "train.jsonl row 1")
    assert what.startswith("name.png: text in the picture at [")
    assert "ROE" not in what


def test_text_is_looked_for_in_a_sample_that_seed_and_pictures_decide(tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr("vesalius.system.parallel.usable_cores", lambda: 1)
    monkeypatch.setattr("vesalius.data.burned_in.text_in", lambda p: looked.append(p.key) or ())
    for number in range(6):
        put(tmp_path / f"{number}.png", drawing(number))
    rows = [{"id": str(n), "image": f"{n % 6}.png", "caption": "x"} for n in range(12)]

    def sample(rows, **more):
        looked.clear()
        summary = Summary()
        findings(tmp_path, rows, text=True, summary=summary, **more)
        assert (summary.text_of, summary.text_done) == (len(looked), len(looked))
        assert summary.different == 6
        return sorted(looked)

    three = sample(rows, sample=3)
    assert len(three) == 3
    assert sample(rows[::-1], sample=3) == three
    assert {tuple(sample(rows, sample=3, seed=seed)) for seed in range(8)} != {tuple(three)}
    assert sample(rows) == sample(rows, sample=99) == [f"{n}.png" for n in range(6)]


def boxed(root, number, side):
    put(root / "a.png", drawing(1, (side, side)))
    boxes = [
        {"bbox": [number / 10, number / 10, number * 0.7, number * 0.8], "label": f"cyst {n}"}
        for n in range(5)
    ]
    put_lines(root / "train.jsonl", [{"image": "a.png", "boxes": boxes}])
    return [(one.level, one.code) for one in check(open_dataset("folder", root))]


def test_boxes_in_another_unit_than_pixels(tmp_path):
    assert boxed(tmp_path / "fractions", 1, 256) == [("error", "box_fraction")]
    assert boxed(tmp_path / "percent", 100, 256) == [("warning", "box_per_cent")]
    assert boxed(tmp_path / "pixels", 200, 256) == []


def test_what_ends_a_split_says_what_to_try(tmp_path):
    rows = [{"image": "../a.png", "caption": "x"}]
    ((code, _, what),) = findings(tmp_path, rows)
    assert code == "parse"
    assert "--images" in what
    assert what.endswith("reading of train stopped here")
