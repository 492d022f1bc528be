"""What is told of texts that are nearly JSON."""

from __future__ import annotations

import json

import pytest
from layouts import put

from vesalius.data.reading.json_hints import json_hint
from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ('[{"a": 1},\n]', "remove the comma"),
        ('{"a": 1, }', "remove the comma"),
        ('{"a": 1},\n', "remove the comma"),
        ("[{'a': 1}]", "json.dumps"),
        ('{"a": True}', "json.dumps"),
        ('{"a": None}', "json.dumps"),
        ('{"a": 1', None),
        ("left", None),
        ('{"a": 1} {"b": 2}', None),
    ],
)
def test_a_hint_by_where_the_parser_stopped(content, hint):
    with pytest.raises(json.JSONDecodeError) as fault:
        json.loads(content)
    told = json_hint(content, fault.value)
    assert told is None if hint is None else hint in told


def test_it_stands_behind_file_and_row(tmp_path):
    path = put(tmp_path / "x.jsonl", '{"image": "a.png"}\n{"image": "b.png"},\n')
    with pytest.raises(DatasetError, match=r"x\.jsonl row 2: not valid JSON.*remove the comma"):
        list(read_rows(path))
