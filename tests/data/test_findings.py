"""The list of codes, and that source and guide know the same ones."""

from __future__ import annotations

import re
from pathlib import Path

import vesalius.data
from vesalius.cases.case import Remark
from vesalius.data.findings import Remarks, code_of, codes, finding, summary_lines

ROOT = Path(__file__).parents[2]
SOURCE = Path(vesalius.data.__file__).parent


def test_the_guides_table_is_the_list():
    page = (ROOT / "docs" / "guide" / "not-read.md").read_text()
    table = page.split("## All codes")[1]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \| (.+) \|$", table, re.MULTILINE)
    assert rows == [(name, c.level, c.meaning, c.mend) for name, c in codes().items()]


def test_every_code_of_the_source_is_listed_and_every_listed_one_is_used():
    text = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    used = set(re.findall(r'(?:finding|remark|Remark)\(\s*"(\w+)"', text))
    assert used <= set(codes())
    cases = SOURCE.parent / "cases"
    decoding = "\n".join(path.read_text() for path in cases.glob("*.py"))
    assert set(codes()) - used <= {
        name for name in codes() if re.search(rf'"(image_)?{name}"', text + decoding)
    }


def test_a_decoders_own_code_is_an_error():
    assert finding("dicom_of_tomorrow", "a", "b").level == "error"
    assert not code_of("dicom_of_tomorrow").whole


def test_remarks_that_say_the_same_are_one_finding():
    remarks = Remarks()
    for row in range(1, 6):
        remarks.add([Remark("unread_column", "x")], f"t.csv row {row}")
    remarks.add([Remark("na_id", "patient")], "t.csv row 9")
    first, second = remarks.findings()
    assert (first.level, first.where) == ("warning", "t.csv row 1")
    assert first.what == "x; 5 cases, the next at t.csv row 2, t.csv row 3"
    assert (second.code, second.where, second.what) == ("na_id", "t.csv row 9", "patient")


def test_summary_lines_name_the_first_places_of_each_code():
    lines = summary_lines([finding("blank", f"row {n}", "grey") for n in range(5)])
    assert lines[0].startswith("5 x warning blank: nearly one grey level")
    assert lines[1:] == ["  row 0: grey", "  row 1: grey", "  row 2: grey", "  and 2 more"]
