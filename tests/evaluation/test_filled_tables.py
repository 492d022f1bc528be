"""A package's table that came back: strict, by line, whole or not at all."""

from __future__ import annotations

import pytest

from vesalius.errors import RunError
from vesalius.evaluation.filled_tables import COLUMNS, read_table
from vesalius.evaluation.review_sheet import ReviewSheet, SheetItem

ITEMS = {f"itm_{i}": SheetItem(f"itm_{i}", "r 1", f"q{i}", "what?", "ct", None) for i in (1, 2)}
SHEET = ReviewSheet("package 1", ITEMS, 0)
HEAD = ",".join(COLUMNS) + "\r\n"


def row(
    item: str = "itm_1", rater: str = "ana", grades: str = "4,4,4,4,4", rest: str = ",,"
) -> str:
    return f"package 1,{item},{rater},{grades},{rest}\r\n"


def test_ratings_by_item_and_rater_and_rows_that_were_left_empty() -> None:
    text = row(rest='side;number,"left, not right",') + row("itm_2", grades=",,,,", rest=",,true")
    read = read_table(HEAD + text + row(rater="bo") + row("itm_2", "", ",,,,"), SHEET)
    assert read.empty == 1
    assert set(read.ratings) == {("itm_1", "ana"), ("itm_2", "ana"), ("itm_1", "bo")}
    first = read.ratings["itm_1", "ana"]
    assert (first.errors, first.comment) == (("side", "number"), "left, not right")
    assert read.ratings["itm_2", "ana"].axes == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,rater,accuracy\r\n", "other columns: no review, no relevance"),
        (HEAD.replace("comment", "remark"), "no comment, an unknown 'remark'"),
        (HEAD.replace("clarity", "accuracy"), "no clarity"),
        (HEAD + row(grades="4,6,4,4,4"), "line 2: not a rating row: relevance is 1 to 5, not 6"),
        (HEAD + row(grades="4,x,4,4,4"), "relevance is 1 to 5, not 'x'"),
        (HEAD + row() + row("itm_9"), "line 3: there is no such answer in this review"),
        (HEAD + row() + row(), "line 3: a second rating of the same answer"),
        (HEAD + row().replace("package 1", "package 2"), "line 2: is of another review"),
        (HEAD + row(grades="4,,4,4,"), "line 2: relevance, helpfulness: not rated"),
        (HEAD + row(rest=",,true"), "cannot be judged, and yet there are grades"),
        (HEAD + row(rest=",,maybe"), "cannot_judge is true, or empty"),
        (HEAD + row(rest="ugly,,"), "there is no fault 'ugly'"),
        (HEAD + row(rater=""), "rater is a text"),
        (HEAD + row(rater="a" * 65), "at most 64 characters"),
        (HEAD + row(rest="")[:-3] + "\r\n", "another number of cells"),
        (HEAD + 'package 1,"itm_1', "cannot be read as CSV"),
        (HEAD + row("itm_2", "", ",,,,"), "holds no ratings"),
        (HEAD, "holds no ratings"),
        ("", "other columns"),
    ],
)
def test_what_is_wrong_is_one_line(text: str, message: str) -> None:
    with pytest.raises(RunError, match=message) as caught:
        read_table(text, SHEET)
    assert "\n" not in str(caught.value)
