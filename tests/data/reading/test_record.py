from __future__ import annotations

import pytest

from vesalius.cases.case import Source
from vesalius.data.reading.record import Record, answer_text, beside, id_of, text_of
from vesalius.errors import DatasetError

WHERE = Source("t.jsonl", 3)


def remarks(record, *, has_patient=False):
    return [(one.code, one.what) for one in record.remarks(has_patient=has_patient)]


def test_what_nobody_read_is_remarked_at_any_depth():
    record = Record(
        {"a": 1, "b": "x", "c": None, "d": "", "e": {"f": 1, "g": 2}, "h": float("nan")}
    )
    assert record.get("a") == 1
    part = record.part(record["e"], "e", WHERE)
    assert part["f"] == 1
    assert list(record.unread()) == ["b", "e.g"]
    assert "x" in dict(record).values()


def test_a_patients_column_is_suggested_unless_there_is_a_patient():
    record = Record({"patient id": "7", "zzz": 1})
    (code, what), other = remarks(record)
    assert code == "unread_patient"
    assert what == (
        "the column or key 'patient id' is not read; if it is the patient: "
        "--column patient='patient id'"
    )
    assert other == ("unread_column", "the column or key 'zzz' is not read")
    assert {code for code, _ in remarks(record, has_patient=True)} == {"unread_column"}


def test_what_cannot_be_mapped_is_not_suggested():
    record = Record({"question": "q", "patient.id": "7", "turns": [{"q": "x"}]})
    record.part(record["turns"][0], "turns", WHERE)
    hinted = {what.split("'")[1]: "--column" in what for _, what in remarks(record)}
    assert hinted == {"question": False, "patient.id": True, "turns.q": False}


@pytest.mark.parametrize(
    ("value", "name", "code"),
    [
        (12, "12", None), (12.0, "12", "number_id"), ("12.0", "12", "number_id"),
        ("-12.0", "-12", "number_id"),
        (-12.0, "-12", "number_id"),
        ("12.50", "12.50", None), ("P1.0", "P1.0", None), ("007", "007", None),
        ("1.23E+11", "1.23E+11", "rounded_id"), (1e22, "1e+22", "rounded_id"),
        ("nan", None, "na_id"), ("<NA>", None, "na_id"), (None, None, None), ("  ", None, None),
    ],
)  # fmt: skip
def test_ids(value, name, code):
    record = Record({"patient": value})
    assert id_of(record, WHERE, "patient", "group") == name
    assert [one for one, _ in remarks(record)] == ([] if code is None else [code])


def test_a_missing_patient_gives_way_to_the_group():
    assert id_of(Record({"patient": "nan", "group": "g"}), WHERE, "patient", "group") == "g"


def test_truth_values_are_yes_and_no():
    record = Record({})
    assert [answer_text(record, value) for value in (True, False, "True", 3)] == [
        "yes", "no", "True", "3",
    ]  # fmt: skip
    assert [code for code, _ in remarks(record)] == ["boolean_answer"]


@pytest.mark.parametrize("value", [["a", "b"], {"a": 1}, True])
def test_what_is_no_text_is_refused_without_quoting_it(value):
    with pytest.raises(DatasetError, match=r"t.jsonl row 3: caption is no text but") as info:
        text_of(Record({"caption": value}), WHERE, "caption")
    assert "'a'" not in str(info.value)


def test_a_list_of_one_text_is_the_text():
    assert text_of(Record({"caption": [" a "]}), WHERE, "caption") == "a"


def test_columns_that_a_published_set_does_not_have():
    rows = [(WHERE, {"a": 1, "b": 2, "patient_id": "", "c": None}), (WHERE, {"b": 3, "subject": 4})]
    assert [one.what.split("'")[1] for one in beside(rows, {"a"})] == ["b", "subject"]
    assert {one.code for one in beside(rows, {"a"})} == {"unread_column"}
