from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import put

from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError


def rows(tmp_path, table, name="x.csv"):
    return [row for _, row in read_rows(put(tmp_path / name, table))]


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;;;", "\ufeffsep=;\r", "\n\nsep=;"])
def test_excels_sep_line_is_no_row(tmp_path, line):
    (row,) = rows(tmp_path, f"{line}\nimage;caption\na.png;1,5 cm\n")
    assert row == {"image": "a.png", "caption": "1,5 cm"}


def test_the_delimiter_splits_all_rows_alike(tmp_path):
    table = "image,caption,sex m|f\na.png,knee,f\nb.png,hip,m\n"
    assert rows(tmp_path, table)[1] == {"image": "b.png", "caption": "hip", "sex m|f": "m"}
    table = "image;caption;size (cm, mm)\na.png;knee;1,5\nb.png;hip;2,0\n"
    assert rows(tmp_path, table)[1]["size (cm, mm)"] == "2,0"
    table = "image\tcaption, report\na.png\tknee, left, old\n"
    assert rows(tmp_path, table) == [{"image": "a.png", "caption, report": "knee, left, old"}]


@pytest.mark.parametrize("heading", ["image,caption", "image,caption,", "image,caption,,"])
def test_empty_fields_behind_the_last_heading_are_none(tmp_path, heading):
    table = f"{heading}\na.png,knee,\nb.png,hip,,\nc.png,toe\n"
    assert rows(tmp_path, table)[1] == {"image": "b.png", "caption": "hip"}
    with pytest.raises(DatasetError, match="row 2: 3 fields where 2"):
        rows(tmp_path, f"{heading}\na.png,knee\nb.png,hip,left\n")


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(
        DatasetError, match=r"x.csv header: two columns or keys are called 'patient'"
    ):
        rows(tmp_path, "image,caption,patient,patient\na.png,knee,p1,\n")


def test_a_mark_in_a_tab_file_opens_a_field_only_where_the_row_is_short(tmp_path):
    table = 'image\tcaption\tpatient\na.png\t"two\nlines"\tp1\nb.png\t"Crazy paving\tp2\n'
    assert [row["caption"] for row in rows(tmp_path, table)] == ["two\nlines", '"Crazy paving']
    with pytest.raises(DatasetError, match=r"row 1: 2 fields where 3 .*holds a line end"):
        rows(tmp_path, 'image\tcaption\tpatient\na.png\t"never closed\n')


def test_long_fields_are_read_and_not_repeated(tmp_path):
    (row,) = rows(tmp_path, f"image,caption\n{'A' * 200_000},x\n")
    assert len(row["image"]) == 200_000
    with pytest.raises(DatasetError) as told:
        rows(tmp_path, f"image,{'A' * 200_000}\nb.png\n")
    assert len(str(told.value)) < 400


@pytest.mark.parametrize("name", ["x.txt", "x.tab", "X.CSV"])
def test_endings_of_text_tables(tmp_path, name):
    assert rows(tmp_path, "image\tcaption\na.png\tx\n", name) == [
        {"image": "a.png", "caption": "x"}
    ]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("x.xlsx", "an Excel workbook (save its sheet as CSV (UTF-8))"),
        ("x.zip", "an archive (unpack it"),
        ("x.csv.gz", "compressed (unpack it first)"),
        ("x.pkl", "a file of Python objects"),
    ],
)
def test_what_is_not_read_is_named_with_the_way_out(tmp_path, name, what):
    with pytest.raises(DatasetError) as told:
        rows(tmp_path, "x", name)
    assert what in str(told.value)


@given(st.text(st.sampled_from('ab,;\t|"\n\r \0é'), max_size=60))
def test_any_text_is_rows_or_a_dataset_error(tmp_path_factory, table):
    path = put(tmp_path_factory.mktemp("any") / "x.csv", table)
    with suppress(DatasetError):
        assert all(len(row) > 0 for _, row in read_rows(path))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_of_delimiters_alone_are_none(tmp_path, delimiter):
    rows = [["image", "caption"], ["a.png", "x"], ["", ""], [" ", ""], ["b.png", "y"], ["", ""]]
    path = put(tmp_path / "x.csv", "".join(f"{delimiter.join(row)}\n" for row in rows))
    assert [(at.row, row["image"]) for at, row in read_rows(path)] == [(1, "a.png"), (2, "b.png")]


def test_a_title_above_the_heading_is_told_as_what_it_is(tmp_path):
    path = put(tmp_path / "x.csv", "Export of 2024\n\nimage,caption\na.png,x\n")
    with pytest.raises(DatasetError, match="remove what stands above it"):
        list(read_rows(path))
