"""The data commands, through Typer's runner."""

from __future__ import annotations

import json

import pytest
from layouts import brain_tumor, drawing, folder, put, vqa_rad
from typer.testing import CliRunner

from vesalius.errors import DatasetError, Leakage, RecipeError

data = pytest.importorskip("vesalius.cli.data")
RUNNER = CliRunner()


def call(*words):
    return RUNNER.invoke(data.app, [str(word) for word in words])


def test_list_shows_what_is_found(tmp_path, monkeypatch):
    vqa_rad(tmp_path / "vqa_rad")
    monkeypatch.setenv("VESALIUS_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    result = call("list")
    assert result.exit_code == 0
    assert str(tmp_path / "vqa_rad") in result.output
    card = call("list", "slake").output
    assert "language = 'en'" in card
    assert "split_file" in card


def test_check_exits_1_on_errors_and_names_the_row(tmp_path):
    folder(tmp_path)
    assert call("check", "folder", "--root", tmp_path).exit_code == 0
    put(tmp_path / "images" / "b.png", "junk")
    result = call("check", "folder", "--root", tmp_path, "--no-text")
    assert result.exit_code == 1
    assert "test.jsonl row 1" in result.output


def test_check_says_once_that_text_is_not_looked_for(tmp_path, monkeypatch):
    folder(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = "burned-in text is not looked for: pip install 'vesalius[ocr]'"
    result = call("check", "folder", "--root", tmp_path)
    assert result.exit_code == 0
    assert result.output.count(said) == 1
    assert said not in call("check", "folder", "--root", tmp_path, "--no-text").output


def test_check_says_in_how_many_pictures_it_looked_for_text(tmp_path, monkeypatch):
    folder(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("vesalius.data.burned_in.text_in", lambda picture: ())
    words = ("check", "folder", "--root", tmp_path)
    assert (
        "looked for in 1 of 2 different pictures (a seeded sample"
        in call(*words, "--text-sample", "1").output
    )
    assert call(*words, "--text-sample", "all").output.count("2 of 2 different pictures\n") == 1
    assert "looked for" not in call(*words, "--no-text").output
    bad = call(*words, "--text-sample", "some")
    assert "a number of pictures, or all, not 'some'" in str(bad.exception)


def test_show_writes_html_and_png(tmp_path):
    brain_tumor(tmp_path / "set")
    for name, start in (("a.html", b"<!doctype"), ("b.png", b"\x89PNG")):
        out = tmp_path / name
        assert call("show", "brain_tumor", "--root", tmp_path / "set", "--out", out).exit_code == 0
        assert out.read_bytes().startswith(start)


def test_split_then_audit(tmp_path):
    vqa_rad(tmp_path / "set")
    found = call("audit", "vqa_rad", "--root", tmp_path / "set")
    assert isinstance(found.exception, Leakage)
    assert call("audit", "vqa_rad", "--root", tmp_path / "set", "--allow-leaks").exit_code == 0
    out = tmp_path / "splits.jsonl"
    made = call("split", "vqa_rad", "--root", tmp_path / "set", "--set", "split=all", "--out", out)
    assert made.exit_code == 0
    assert len({json.loads(line)["split"] for line in out.read_text().splitlines()}) == 1


def test_import_own_rows(tmp_path):
    put(tmp_path / "mine" / "rows.csv", "path,report\na.png,A knee.\nb.png,A hip.\n")
    for number, name in enumerate("ab"):
        put(tmp_path / "mine" / f"{name}.png", drawing(number))
    columns = ["--column", "image=path", "--column", "caption=report"]
    shares = ["--fractions", "train=0.5,test=0.5"]
    result = call("import", tmp_path / "mine", tmp_path / "out", *columns, *shares)
    assert result.exit_code == 0
    assert (tmp_path / "out" / "train.jsonl").is_file()
    bad = call("import", tmp_path / "mine", tmp_path / "o2", "--column", "image")
    assert isinstance(bad.exception, RecipeError)


def test_get_says_where_a_set_is_offered(tmp_path):
    result = call("get", "image_clef", "--root", tmp_path)
    assert "imageclef.org" in result.output


def table(root, rows, heading="image,caption,patient"):
    for name in {row.split(",")[0] for row in rows if row.split(",")[0].endswith(".png")}:
        put(root / name, drawing(sum(name.encode())))
    return put(root / "t.csv", "\n".join([heading, *rows]) + "\n")


def test_import_names_what_was_not_read_and_how_to_read_it(tmp_path):
    rows = [f"p{n}.png,nodule {n},{n // 4},left" for n in range(8)]
    path = table(tmp_path / "in", rows, "image,caption,patient_id,side")
    result = call("import", path, tmp_path / "out")
    assert result.exit_code == 0
    assert "1 x warning unread_patient" in result.output
    assert "--column patient=patient_id; 8 cases, the next at" in result.output
    assert "1 x warning unread_column" in result.output
    mended = call("import", path, tmp_path / "new", "--column", "patient=patient_id")
    assert "unread_patient" not in mended.output
    words = ("check", "folder", "--root", path, "--no-text")
    assert "warning unread_patient" in call(*words).output
    assert "unread_patient" not in call(*words, "--set", "columns={patient: patient_id}").output


@pytest.mark.parametrize(
    "heading", ["image,caption,patient,patient", "image,caption,Patient ,patient"]
)
def test_two_columns_of_one_name_are_refused(tmp_path, heading):
    result = call("import", table(tmp_path / "in", ["a.png,x,1,"], heading), tmp_path / "out")
    assert isinstance(result.exception, DatasetError)
    assert "patient" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_split_and_audit_say_what_was_not_read(tmp_path):
    rows = [f"p{n}.png,nodule {n},{n // 4}" for n in range(8)]
    path = table(tmp_path / "in", rows, "image,caption,subject_id")
    for words in (("split", "--out", tmp_path / "s.jsonl"), ("audit",)):
        result = call(words[0], "folder", "--root", path, *words[1:])
        assert result.exit_code == 0
        assert "--column patient=subject_id; 8 cases" in result.output


def test_a_key_that_stands_twice_is_refused_by_row(tmp_path):
    lines = (
        '{"image": "a.png", "caption": "x"}\n{"image": "a.png", "caption": "x", "caption": "y"}\n'
    )
    path = put(tmp_path / "t.jsonl", lines)
    for words in (("import", path, tmp_path / "out"), ("show", "folder", "--root", path)):
        result = call(*words)
        assert "t.jsonl row 2: not valid JSON: an object has one key twice" in str(result.exception)


def test_headings_in_capitals_are_ours(tmp_path):
    path = table(
        tmp_path / "in", ["a.png,x,P1,test", "b.png,y,P2,train"], "Image, CAPTION,Patient,Split"
    )
    result = call("import", path, tmp_path / "out")
    assert "train: 1 cases\ntest: 1 cases\n0 findings" in result.output


def test_a_table_without_words_is_refused_with_its_columns(tmp_path):
    path = table(tmp_path / "in", [f"{n}.png,x{n},{n}" for n in range(3)], "image,report,patient")
    for words in ((), ("--allow-errors",)):
        result = call("import", path, tmp_path / "out", *words)
        assert "'report' is not read; if it is the caption: --column caption=report" in str(
            result.exception
        )
    assert call("check", "folder", "--root", path, "--no-text").exit_code == 1


@pytest.mark.parametrize(("patients", "empty"), [(1, "validation and test are"), (5, "test is")])
def test_a_split_that_stays_empty_is_told(tmp_path, patients, empty):
    path = table(tmp_path / "in", [f"p{n}.png,nodule,P{n % patients}" for n in range(20)])
    result = call("import", path, tmp_path / "out")
    assert f"{patients} patients or groups of pictures are too few" in result.output
    assert f"{empty} empty" in result.output
    words = ("split", "folder", "--root", path, "--out", tmp_path / "s.jsonl")
    assert f"{empty} empty" in call(*words).output
    assert "empty_split" not in call(*words, "--fractions", "train=1.0").output


def test_a_patient_called_nan_groups_nothing(tmp_path):
    rows = [f"p{n}.png,nodule {n},{'nan' if n % 2 else n}" for n in range(8)]
    result = call("import", table(tmp_path / "in", rows), tmp_path / "out")
    assert "1 x warning na_id" in result.output
    assert "4 cases" in result.output
    text = "".join(path.read_text() for path in (tmp_path / "out").glob("*[a-z].jsonl"))
    assert '"group": "nan"' not in text


def test_a_number_with_point_nought_is_the_number(tmp_path):
    rows = ["p1.png,x,12", "p2.png,y,12.0", "p3.png,z,13"]
    result = call(
        "import", table(tmp_path / "in", rows), tmp_path / "out", "--fractions", "train=1.0"
    )
    assert "1 x warning number_id" in result.output
    lines = [
        json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()
    ]
    assert [line["group"] for line in lines] == ["12", "12", "13"]
