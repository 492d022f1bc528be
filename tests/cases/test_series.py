"""Where a picture stands among others: hashes that compare, days that differ, nobody's name."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from hostile import SECRETS, SOURCE_UID, scan, written
from vesalius.cases.reencode import reencode
from vesalius.cases.series import SeriesPlace

KEY = b"k" * 32
AXIAL = [1, 0, 0, 0, 1, 0]


def place(key: bytes = KEY, **fields: object) -> SeriesPlace:
    made = scan(np.arange(64, dtype=np.int16).reshape(8, 8))
    for name, value in fields.items():
        setattr(made, name, value)
    told = reencode(written(made), key=key).place
    assert told is not None
    return pickle.loads(pickle.dumps(told))  # as it comes from a worker


def test_one_patient_is_the_same_under_one_key_and_nobody_under_another() -> None:
    first = place()
    assert first.patient == place(PatientName="Someone^Else").patient
    assert first.patient != place(PatientID="another").patient
    assert first.patient != place(key=b"x" * 32).patient
    assert first.patient != first.study  # an id is another thing as a study's than as a patient's
    assert len({first.patient, first.study, first.series}) == 3


def test_nothing_that_names_somebody_or_a_day_is_told() -> None:
    told = json.dumps(place(StudyDate="20240131", ImagePositionPatient=[1, 2, 3]).to_row())
    for secret in (*SECRETS, SOURCE_UID, "2024"):
        assert str(secret) not in told


def test_days_between_two_studies_of_a_patient_stay() -> None:
    # 31 January to 1 March 2024, a leap year: 1 + 29 = 30 days.
    before, after = place(StudyDate="20240131"), place(StudyDate="20240301")
    assert (after.day or 0) - (before.day or 0) == 30
    assert place(StudyDate="20240131", PatientID="another").day != before.day
    assert place(StudyDate="20240131", key=b"x" * 32).day != before.day


@pytest.mark.parametrize("fields", [{"StudyDate": ""}, {"StudyDate": "20240230"}])
def test_a_day_that_is_none_is_not_made_up(fields: dict[str, object]) -> None:
    assert place(**fields).day is None


def test_without_a_patient_nothing_is_compared() -> None:
    nameless = place(PatientID=" ", StudyDate="20240131")
    assert (nameless.patient, nameless.day) == (None, None)


def test_positions_are_along_the_slices_normal() -> None:
    at = {"ImagePositionPatient": [-100.0, 20.0, 37.5]}
    assert place(ImageOrientationPatient=AXIAL, **at).position == 37.5
    assert place(ImageOrientationPatient=AXIAL, **at).normal == (0.0, 0.0, 1.0)
    # sagittal: rows go to the back (y), columns to the feet (-z); y x -z = -x
    sagittal = place(ImageOrientationPatient=[0, 1, 0, 0, 0, -1], **at)
    assert (sagittal.position, sagittal.normal) == (100.0, (-1.0, 0.0, 0.0))
    # turned by 60 degrees about x: (0, .5, .866) x ... normal (0, -.866, .5)
    turned = place(ImageOrientationPatient=[1, 0, 0, 0, 0.5, 0.8660254], **at)
    assert turned.position == pytest.approx(0.5 * 37.5 - 0.8660254 * 20, abs=1e-3)


@pytest.mark.parametrize("axes", [None, [1, 0, 0, 1, 0, 0], [1, 0, 0], [0] * 6])
def test_axes_of_no_plane_give_no_position(axes: list[int] | None) -> None:
    told = place(ImagePositionPatient=[1, 2, 3], ImageOrientationPatient=axes, InstanceNumber="7")
    assert (told.position, told.normal, told.number) == (None, None, 7)


def test_it_is_told_where_it_is_asked_for_alone() -> None:
    data = written(scan(np.zeros((8, 8), np.int16)))
    assert reencode(data).place is None
    assert SeriesPlace.from_row(json.loads(json.dumps(place().to_row()))) == place()
