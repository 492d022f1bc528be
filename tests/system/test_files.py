"""Files of JSON lines that others wrote, and targets that are no files."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from vesalius.errors import RunError
from vesalius.system.files import read_lines, write_atomic

ROW = {"id": "1", "answer": "é"}


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(ROW) + "\n", encoding="utf-8-sig")
    assert list(read_lines(path)) == [(1, ROW)]


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"PK\x03\x04\x14\x00\xff", "Excel workbook"),
        (json.dumps(ROW).encode("utf-16"), "save it as UTF-8"),
        (json.dumps([ROW]).encode(), "a JSON list"),
        (json.dumps([ROW], indent=1).encode(), "a JSON list"),
        (json.dumps(ROW).encode() + b",\n", "remove it"),
        (json.dumps(ROW, indent=1).encode(), "in one line"),
        (b"id,answer\n1,yes\n", "a table's rows"),
        (b"id\tanswer\n1\tyes\n", "a table's rows"),
    ],
)
def test_a_file_of_another_form_says_what_to_do(tmp_path: Path, content: bytes, hint: str) -> None:
    path = tmp_path / "theirs"
    path.write_bytes(content)
    with pytest.raises(RunError, match=hint) as told:
        list(read_lines(path))
    assert "line 1 is not" in str(told.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe with a name is POSIX's")
def test_a_pipe_is_written_into_and_stays_one(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_atomic(pipe, "scores")
    reader.join(timeout=10)
    assert got == [b"scores"]
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
