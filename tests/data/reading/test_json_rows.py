from __future__ import annotations

import json

import pytest
from layouts import put, put_json, put_lines

from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError

ROWS = [{"image": "a.png", "caption": "x"}, {"image": "b.png", "caption": "y"}]


def rows(path):
    return [row for _, row in read_rows(path)]


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.ndjson", "X.JSON"])
def test_the_content_tells_lines_from_a_list(tmp_path, name):
    assert rows(put_lines(tmp_path / name, ROWS)) == ROWS
    assert rows(put_json(tmp_path / name, ROWS)) == ROWS
    assert rows(put(tmp_path / name, json.dumps(ROWS, indent=1))) == ROWS
    assert rows(put(tmp_path / name, "\ufeff" + json.dumps(ROWS))) == ROWS
    assert rows(put(tmp_path / name, json.dumps({"data": ROWS}, indent=1))) == ROWS


@pytest.mark.parametrize("orient", ["columns", "index", "split", "table", "records", "list"])
def test_what_pandas_writes(tmp_path, orient):
    import pandas as pd

    frame = pd.DataFrame(ROWS)
    path = tmp_path / "x.json"
    if orient == "list":
        put_json(path, frame.to_dict("list"))
    else:
        frame.to_json(path, orient=orient)
    assert [{k: row[k] for k in ROWS[0]} for row in rows(path)] == ROWS


def test_rows_by_their_id(tmp_path):
    assert rows(put_json(tmp_path / "x.json", {"c7": ROWS[0], "c8": ROWS[1]})) == [
        {"id": "c7", **ROWS[0]},
        {"id": "c8", **ROWS[1]},
    ]


def test_rows_of_the_wrong_width_beside_columns_are_refused(tmp_path):
    table = {"columns": ["image", "caption"], "index": [0, 1], "data": [["a.png", "x"], ["b.png"]]}
    with pytest.raises(DatasetError, match=r"x.json row 2: no list of as many cells"):
        rows(put_json(tmp_path / "x.json", table))
    table |= {"columns": ["image", "image"], "data": [["a.png", "x"]]}
    with pytest.raises(DatasetError, match=r"x.json: two columns"):
        rows(put_json(tmp_path / "x.json", table))


@pytest.mark.parametrize("content", ["3", '{"a": 1}', "{}", '"x"', '{"a": [1, 2], "b": [3]}'])
def test_what_is_no_table_is_told(tmp_path, content):
    with pytest.raises(DatasetError, match=r"x.json: "):
        rows(put(tmp_path / "x.json", content))


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
@pytest.mark.parametrize("shape", [put_json, put_lines])
def test_half_a_character_names_its_row(tmp_path, name, shape):
    whole = [{"image": "a.png", "caption": "\U0001f600"}, *ROWS]
    assert rows(shape(tmp_path / name, whole)) == whole
    with pytest.raises(DatasetError, match=r"row 4: half a character"):
        rows(shape(tmp_path / name, [*whole, {"image": "b.png", "n": [{"q": "\ud83d"}]}]))


def test_one_key_twice_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"row 1: not valid JSON: an object has one key twice"):
        rows(put(tmp_path / "x.jsonl", '{"patient": "p1", "patient": ""}\n'))


def test_a_broken_line_names_its_row(tmp_path):
    with pytest.raises(DatasetError, match=r"x.jsonl row 2: not valid JSON"):
        rows(put(tmp_path / "x.jsonl", '{"a": 1}\n{"a": \n'))
