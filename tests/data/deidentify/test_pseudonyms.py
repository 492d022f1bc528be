"""Keyed pseudonyms: the same for the same key, another's for another."""

from __future__ import annotations

import io
import stat
from datetime import date

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import GREY, KEY, OTHER, done
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from scans import scan

from vesalius.data.deidentify.pseudonyms import VARIABLE, is_well_known, read_key, shifted
from vesalius.errors import VesaliusError


def test_a_uid_is_valid_and_the_keys() -> None:
    new = KEY.uid("1.2.840.113619.2.1")
    assert new == KEY.uid("1.2.840.113619.2.1") != KEY.uid("1.2.840.113619.2.2")
    assert new != OTHER.uid("1.2.840.113619.2.1")
    root, _, number = new.rpartition(".")
    assert (root, number.isdigit(), len(new) <= 64) == ("2.25", True, True)
    value = int(number)
    assert (value >> 76 & 0xF, value >> 62 & 0x3) == (4, 2)  # a UUID of version 4


def test_a_made_up_uid_below_the_standards_root_is_not_well_known() -> None:
    assert is_well_known("1.2.840.10008.1.2.1")
    assert not is_well_known("1.2.840.10008.19700101.12345")


def test_patients() -> None:
    assert KEY.patient("1") == KEY.patient("1") != KEY.patient("2")
    assert KEY.patient("1") != OTHER.patient("1")
    assert all(-3650 <= KEY.days(str(number)) <= -1 for number in range(500))
    assert len({KEY.days(str(number)) for number in range(500)}) > 400


@given(
    st.dates(date(1910, 1, 1), date(2100, 1, 1)),
    st.dates(date(1910, 1, 1), date(2100, 1, 1)),
    st.integers(-3650, -1),
)
def test_intervals_are_kept(first: date, second: date, days: int) -> None:
    moved = [shifted("DA", f"{one:%Y%m%d}", days) for one in (first, second)]
    assert all(len(one) == 8 for one in moved)
    there = [date(int(one[:4]), int(one[4:6]), int(one[6:])) for one in moved]
    assert there[1] - there[0] == second - first
    assert (there[0] - first).days == days


@pytest.mark.parametrize(
    ("representation", "said", "made"),
    [
        ("DA", "20200301", "20200229"),
        ("DA", "2020.03.01", "20200229"),
        ("DA", "20200230", ""),
        ("DA", "202003", ""),
        ("DA", "01 March 2020", ""),
        ("DA", "00010101", ""),
        ("DT", "20200301101500.25+0100", "20200229101500.25+0100"),
        ("DT", "20200301", "20200229"),
        ("DT", "2020", ""),
        ("DT", "20200301 Doe", ""),
        ("TM", "101500.25", "101500.25"),
        ("TM", "10:15:00", "10:15:00"),
        ("TM", "Doe", ""),
    ],
)
def test_shifts(representation: str, said: str, made: str) -> None:
    assert shifted(representation, said, -1) == made


def test_a_key_is_made_once_and_readable_by_its_owner_alone(tmp_path) -> None:
    path = tmp_path / "deep" / "a.key"
    first, where = read_key(None, path)
    assert where == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path, tmp_path / "other") == (first, path)
    assert len(first) == 64


def test_the_key_of_the_environment(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, "sixteen bytes at least")
    assert read_key(None, tmp_path / "none.key") == (b"sixteen bytes at least", None)
    assert not list(tmp_path.iterdir())
    named = tmp_path / "named.key"
    assert read_key(named, tmp_path / "none.key")[1] == named


@pytest.mark.parametrize("content", ["", "short", "\n" * 40])
def test_a_key_that_can_be_guessed_is_refused(tmp_path, content) -> None:
    path = tmp_path / "a.key"
    path.write_text(content)
    with pytest.raises(VesaliusError, match="too short"):
        read_key(path, path)


def test_one_number_of_two_issuers_is_two_patients() -> None:
    def patient(**fields: object) -> tuple[str, str]:
        out = done(scan(GREY, StudyInstanceUID="1.2.3.4", **fields), dates="shift")
        made = pydicom.dcmread(io.BytesIO(out.data))
        return str(made.PatientID), str(made.StudyDate)

    without = patient()
    assert without == patient(IssuerOfPatientID="") == patient(IssuerOfPatientID=" ")
    assert without[0] == KEY.patient("MRN0012345")
    north, south = patient(IssuerOfPatientID="NORTH"), patient(IssuerOfPatientID="SOUTH")
    assert len({without, north, south}) == 3
    assert north == patient(IssuerOfPatientID="NORTH ")
    qualified = Dataset()
    qualified.UniversalEntityID = "1.2.3.4.5"
    entity = Sequence([qualified])
    assert patient(IssuerOfPatientIDQualifiersSequence=entity) not in {without, north, south}
    assert patient(IssuerOfPatientID="NORTH", IssuerOfPatientIDQualifiersSequence=entity) == north
