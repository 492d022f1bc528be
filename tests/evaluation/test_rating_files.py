"""Files of ratings: both forms hold the same, and what is wrong is named by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vesalius.cases.rating import Rating
from vesalius.errors import RunError
from vesalius.evaluation.rating_files import read_ratings

RATINGS = [
    Rating("first", "7/q", "own_a", {"accuracy": 4, "clarity": 5}, ("side", "unsafe"), "dark"),
    Rating("first", "7/q", "own_b", {}, (), None, None, 3.5),
]


def test_json_lines_and_csv_hold_the_same(tmp_path: Path) -> None:
    lines = tmp_path / "ratings.jsonl"
    lines.write_text("".join(json.dumps(one.to_row()) + "\n" for one in RATINGS))
    table = tmp_path / "ratings.csv"
    table.write_text(
        "\ufeffreview,id,rater,accuracy,clarity,errors,comment,seconds,cannot_judge\r\n"
        "first,7/q,own_a,4,5,wrong_side; unsafe,dark,,\r\n"
        "first,7/q,own_b,,,,,3.5,true\r\n"
    )
    assert read_ratings(lines) == read_ratings(table) == RATINGS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,rater,accuracy\n7/q,a,6\n", "line 2: not a rating row: accuracy is 1 to 5, not 6"),
        ("id,rater,accuracy\n7/q,a,good\n", "accuracy is 1 to 5, not 'good'"),
        ("id,rater,acuracy\n7/q,a,4\n", "there is no axis 'acuracy'"),
        ("id,rater,accuracy\n7/q,a,4\n8/q,,4\n", "line 3: not a rating row: rater is a text"),
        ("id,rater,accuracy\n7/q,a,4\n7/q,a,5\n", "line 3: a second rating of '7/q'"),
        ("id,rater,accuracy\n7/q,a\n", "another number of cells"),
        ("id,rater,accuracy\n7/q,a,4,5\n", "another number of cells"),
        ("id,rater,errors\n7/q,a,side;typo\n", "there is no fault 'typo'"),
        ("id,rater,seconds\n7/q,a,long\n", "seconds is a number"),
        ('id,rater\n7/q,"a\n', "cannot be read as CSV"),
        ("id,rater,accuracy\n", "holds no ratings"),
        ("", "holds no ratings"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(text)
    with pytest.raises(RunError, match=message) as caught:
        read_ratings(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    for name in ("gone.csv", "gone.jsonl"):
        with pytest.raises(RunError, match="cannot be read"):
            read_ratings(tmp_path / name)
    path = tmp_path / "utf16.csv"
    path.write_bytes("id,rater\n".encode("utf-16"))
    with pytest.raises(RunError, match="cannot be read as CSV"):
        read_ratings(path)
