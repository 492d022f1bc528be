from __future__ import annotations

import codecs
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import put

from vesalius.data.reading.tables import read_rows
from vesalius.data.reading.texts import SIGNATURES, text
from vesalius.errors import DatasetError

TABLE = "image;caption\r\na.png;nódulo 左\r\n"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (b"", "utf-8"),
    ],
)
def test_a_byte_order_mark_says_the_encoding(tmp_path, mark, encoding):
    path = put(tmp_path / "x.csv", mark + TABLE.encode(encoding))
    assert [row for _, row in read_rows(path)] == [{"image": "a.png", "caption": "nódulo 左"}]
    assert [row for _, row in read_rows(path, "utf-8")] == [row for _, row in read_rows(path)]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_known(tmp_path, encoding):
    path = put(tmp_path / "x.csv", "image,caption\na.png,nódulo\n".encode(encoding))
    assert [row["caption"] for _, row in read_rows(path)] == ["nódulo"]


@pytest.mark.parametrize("encoding", ["cp1252", "cp1251", "gb18030", "cp932"])
def test_code_pages_are_read_where_named_and_else_told_with_the_line(tmp_path, encoding):
    word = {"cp1252": "nódulo", "cp1251": "узел"}.get(encoding, "左")
    path = put(tmp_path / "x.csv", f"image,caption\na.png,x\nb.png,{word}\n".encode(encoding))
    assert [row["caption"] for _, row in read_rows(path, encoding)] == ["x", word]
    with pytest.raises(DatasetError, match=r"x.csv line 3: not UTF-8.*--encoding: cp1252") as told:
        list(read_rows(path))
    assert word not in str(told.value)


def test_a_wrong_encoding_is_told(tmp_path):
    path = put(tmp_path / "x.csv", b"image,caption\na.png,n\xf3\xff\n")
    with pytest.raises(DatasetError, match=r"x.csv: not gb18030 text"):
        list(read_rows(path, "gb18030"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_line_ends_of_all_systems_and_in_quotes(tmp_path, end, mark):
    lines = ["image caption patient", 'a.png "two|lines" p1', "b.png one p2"]
    table = (end.join(lines) + end).replace(" ", mark).replace("|", end)
    path = put(tmp_path / "x.csv", table)
    assert [(row["caption"].split(), row["patient"]) for _, row in read_rows(path)] == [
        (["two", "lines"], "p1"),
        (["one"], "p2"),
    ]


@pytest.mark.parametrize(("signature", "what", "hint"), SIGNATURES)
def test_what_is_no_text_is_named_with_the_way_out(tmp_path, signature, what, hint):
    path = put(tmp_path / "x.csv", signature + b"\x00\xff" * 40)
    with pytest.raises(DatasetError) as told:
        list(read_rows(path))
    assert what in str(told.value)
    assert hint in str(told.value)


@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_a_dataset_error(tmp_path_factory, content):
    path = put(tmp_path_factory.mktemp("any") / "x.csv", content)
    with suppress(DatasetError):
        assert isinstance(text(path), str)


def test_marks_of_files_put_one_behind_the_other_are_no_text(tmp_path):
    path = put(tmp_path / "x.csv", "\ufeff\ufeffimage,caption\na.png,x\n\ufeffb.png,y\n")
    assert [row["image"] for _, row in read_rows(path)] == ["a.png", "b.png"]
