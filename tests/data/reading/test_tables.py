from __future__ import annotations

import pyarrow as pa
import pytest
from layouts import drawing, put, put_parquet
from pyarrow import parquet

from vesalius.data.reading.delimited import named_rows, sniff_delimiter
from vesalius.data.reading.rows import Cell, gathered, text_in
from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError, ImageError

COLUMNS = {"id": ("ID", "image"), "caption": ("Caption",)}


@pytest.mark.parametrize(
    ("line", "delimiter"), [("a\tb, c; d", "\t"), ("a|b, c", "|"), ("a,b;c", ","), ("a;b", ";")]
)
def test_the_delimiter_least_likely_in_a_caption_wins(tmp_path, line, delimiter):
    assert sniff_delimiter(put(tmp_path / "x.csv", line + "\n")) == delimiter


def test_rows_are_numbered_without_the_header(tmp_path):
    path = put(tmp_path / "x.csv", "Caption,ID\nfirst,a\n\nsecond,b\n")
    found = [(where.row, row) for where, row in named_rows(path, COLUMNS)]
    assert found == [(1, {"caption": "first", "id": "a"}), (2, {"caption": "second", "id": "b"})]


def test_a_file_without_header_is_read_from_its_first_row(tmp_path):
    path = put(tmp_path / "x.csv", "a\tfirst\nb\tsecond\twith a tab\n")
    found = [(where.row, row["caption"]) for where, row in named_rows(path, COLUMNS)]
    assert found == [(1, "first"), (2, "second\twith a tab")]


def test_byte_order_mark_and_quoted_newline(tmp_path):
    path = put(tmp_path / "x.csv", '\ufeffID,Caption\r\na,"two\nlines"\r\n')
    assert [row for _, row in named_rows(path, COLUMNS)] == [{"id": "a", "caption": "two\nlines"}]


def test_tab_files_keep_quotation_marks_that_are_not_csv_quoting(tmp_path):
    path = put(tmp_path / "x.csv", 'ID\tCaption\na\t"Crazy" paving\nb\t"say ""ah"""\n')
    assert [row["caption"] for _, row in named_rows(path, COLUMNS)] == [
        '"Crazy" paving',
        'say "ah"',
    ]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_an_unquoted_delimiter_shifts_no_column(tmp_path, name, mark):
    rows = ["image caption patient", "a.png knee p1", "b.png mass left p2"]
    path = put(tmp_path / name, "\n".join(row.replace(" ", mark) for row in rows) + "\n")
    with pytest.raises(DatasetError, match=r"row 2: 4 fields where 3 .*quote the field"):
        list(read_rows(path))
    # quoted it is one field ("b.png", "mass left", "p2"); a tab file has no such quoting
    if mark != "\t":
        put(path, path.read_text().replace(f"mass{mark}left", f'"mass{mark}left"'))
        assert [row["patient"] for _, row in read_rows(path)] == ["p1", "p2"]


def test_only_a_text_in_the_last_column_is_glued(tmp_path):
    path = put(tmp_path / "x.csv", "ID,Caption\na,left, upper\n")
    assert [row["caption"] for _, row in named_rows(path, COLUMNS)] == ["left, upper"]
    put(path, "Caption,ID\nleft, upper,a\n")
    with pytest.raises(DatasetError, match="row 1: 3 fields where 2"):
        list(named_rows(path, COLUMNS))


def test_nan_is_an_empty_cell(tmp_path):
    lines = put(tmp_path / "x.jsonl", '{"caption": NaN, "n": [1, Infinity]}\n')
    assert [row for _, row in read_rows(lines)] == [{"caption": None, "n": [1, None]}]
    table = put_parquet(tmp_path / "x.parquet", [{"age": 3.5}, {"age": float("nan")}])
    assert [row["age"] for _, row in read_rows(table)] == [3.5, None]
    assert text_in({"age": float("nan"), "other": 2}, "age", "other") == "2"


@pytest.mark.parametrize("statistics", [True, False])
def test_a_null_picture_is_none(tmp_path, statistics):
    stored = [{"bytes": drawing(n), "path": None} for n in range(3)]
    columns = {"image": [stored[0], None, stored[2]], "bare": [None, drawing(1), None]}
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=2, write_statistics=statistics)
    rows = [row for _, row in read_rows(path)]
    assert [row["image"] and row["image"].read() for row in rows] == [drawing(0), None, drawing(2)]
    assert [row["bare"] and row["bare"].read() for row in rows] == [None, drawing(1), None]


def test_a_picture_without_bytes_is_its_path(tmp_path):
    path = tmp_path / "x.parquet"
    stored = [{"bytes": None, "path": "a.png"}, {"bytes": drawing(1), "path": None}]
    parquet.write_table(pa.table({"image": stored, "images": [stored, None]}), path)
    first, second = (row for _, row in read_rows(path))
    assert (first["image"], second["image"].read()) == ("a.png", drawing(1))
    assert first["images"][0] == "a.png"
    assert (first["images"][1].read(), second["images"]) == (drawing(1), None)


@pytest.mark.parametrize("kind", [pa.list_(pa.binary()), pa.large_list(pa.binary())])
def test_lists_of_pictures_are_read_one_by_one(tmp_path, kind):
    column = pa.array([[drawing(0), drawing(1)], [], [drawing(2)]], kind)
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"images": column}), path, row_group_size=2)
    found = [[cell.read() for cell in row["images"]] for _, row in read_rows(path)]
    assert found == [[drawing(0), drawing(1)], [], [drawing(2)]]


def test_parquet_pictures_are_cells_read_by_row(tmp_path):
    rows = [{"image": drawing(n), "n": n} for n in range(5)]  # three row groups of two
    path = put_parquet(tmp_path / "x.parquet", rows)
    found = list(read_rows(path))
    assert [row["n"] for _, row in found] == list(range(5))
    assert found[3][1]["image"].read() == drawing(3)
    assert found[0][1]["image"].read() == drawing(0)


def test_a_cell_opens_no_path(tmp_path):
    secret = put(tmp_path / "secret", "x")
    with pytest.raises(ImageError, match="no picture bytes"):
        Cell.of({"bytes": None, "path": str(secret)}).read()


def test_unknown_ending_and_missing_file(tmp_path):
    with pytest.raises(DatasetError, match=r"not a table.*\.parquet"):
        read_rows(tmp_path / "x.doc")
    with pytest.raises(DatasetError, match=r"gone.csv: cannot be read"):
        list(read_rows(tmp_path / "gone.csv"))


def test_gathering_holds_only_what_is_open(tmp_path):
    path = put(tmp_path / "x.csv", "k,v\na,1\na,2\nb,3\na,4\nc,5\n")
    found = [(k, [r["v"] for _, r in rows])
             for k, rows in gathered(lambda: read_rows(path), lambda w, r: r["k"])]  # fmt: skip
    assert found == [("b", ["3"]), ("a", ["1", "2", "4"]), ("c", ["5"])]
