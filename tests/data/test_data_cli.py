"""The data commands, through Typer's runner."""

from __future__ import annotations

import json

import pytest
from layouts import brain_tumor, drawing, folder, put, vqa_rad
from typer.testing import CliRunner

from vesalius.errors import Leakage, RecipeError

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
