from __future__ import annotations

import pytest

from vesalius.data.folder_format import FIELDS
from vesalius.data.reading.headings import _headings, headed, headings, require_distinct, suggested
from vesalius.errors import DatasetError


def test_every_suggestion_is_a_field():
    assert set(_headings().values()) <= set(FIELDS)


@pytest.mark.parametrize(
    "name", ["patient_id", "PatientID", "subject_id", "study_id", "mrn", "Patient-Nr", "patientt"]
)
def test_columns_that_are_called_like_a_patient(name):
    assert suggested(name) == "patient"


def test_other_usual_names():
    assert [suggested(name) for name in ("Report", "img_path", "Qestion", "phase", "zzz")] == [
        "caption", "image", "question", "split", None,
    ]  # fmt: skip


@pytest.mark.parametrize("names", [["a", "a"], ["Patient", "patient "], ["a", "b", "A"]])
def test_two_of_one_name_are_refused(names):
    with pytest.raises(DatasetError, match=r"t\.csv: .*(called|have one name).*rename"):
        require_distinct(names, "t.csv")


def test_columns_without_a_name_may_be_several():
    require_distinct(["a", "", " ", "b"], "t.csv")


def test_a_long_name_is_cut():
    assert len(headed("x" * 300)) < 50
    assert headings(["a", "", "b"]) == "a, without a name, b"
