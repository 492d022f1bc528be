from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import drawing, put, put_lines, put_parquet

from vesalius.cases.case import Source
from vesalius.data.open import open_dataset
from vesalius.data.reading.rows import Cell
from vesalius.data.reading.stored import name_or_cell
from vesalius.errors import DatasetError

WHERE = Source("rows.csv", 4)
PNG, JPEG = drawing(1), drawing(1, kind="JPEG")


def encoded(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("data", [PNG, JPEG])
def test_a_picture_in_a_cell_is_itself(data):
    text = encoded(data)
    forms = [
        data,
        {"bytes": data, "path": "no matter.png"},
        {"bytes": text, "path": None},
        text,
        text.rstrip("="),
        "\n".join(text[at : at + 76] for at in range(0, len(text), 76)),
        base64.urlsafe_b64encode(data).decode(),
        f"data:image/png;base64,{text}",
        f"DATA:;base64,{text}",
        f"data:image/png,{quote(data)}",
    ]
    assert {name_or_cell(form, WHERE).read() for form in forms} == {data}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (" a/b.png ", "a/b.png"),
        ({"bytes": None, "path": "a.png"}, "a.png"),
        ({"path": "a.png"}, "a.png"),
        (17, "17"),
        ("", None),
        (None, None),
        ({"bytes": None, "path": None}, None),
        ("QkABC0123456789abcdef", "QkABC0123456789abcdef"),
        ("a/" * 200 + "b.png", "a/" * 200 + "b.png"),
    ],
)
def test_names_stay_names(value, name):
    assert name_or_cell(value, WHERE) == name


@pytest.mark.parametrize(
    "value",
    [
        3.5,
        True,
        {"x": 1},
        "data:image/png;base64,iVBOR*&w0KGgo",
        "iVBORw0KGgo*",
        encoded(PNG)[:400] + "...",
        encoded(JPEG)[:400] + "*",
    ],
)
def test_what_is_no_picture_names_its_row_alone(value):
    with pytest.raises(DatasetError, match=r"rows.csv row 4: (an image|the picture)") as told:
        name_or_cell(value, WHERE)
    assert not any(part in str(told.value) for part in ("iVBOR", "/9j/"))


@given(st.binary(min_size=200, max_size=300))
def test_any_bytes_come_back_from_base64(data):
    held = name_or_cell(f"data:;base64,{encoded(data)}", WHERE)
    assert isinstance(held, Cell)
    assert held.read() == data


@pytest.mark.parametrize("form", ["lines", "csv", "parquet"])
def test_rows_with_pictures_in_them_are_cases(tmp_path, form):
    rows = [{"image": encoded(drawing(n)), "question": "what?", "answer": "x"} for n in (0, 0, 1)]
    if form == "lines":
        put_lines(tmp_path / "train.jsonl", rows)
    elif form == "parquet":
        put_parquet(tmp_path / "train.parquet", rows)
    else:
        table = "\n".join(",".join(row.values()) for row in rows)
        put(tmp_path / "train.csv", f"image,question,answer\n{table}\n")
    first, second = open_dataset("folder", tmp_path).cases("train")
    assert (len(first.questions), second.pictures[0].read()) == (2, drawing(1))
