"""The policy against the standard's table, and that nothing is kept which no rule names."""

from __future__ import annotations

import pytest
from pydicom.datadict import DicomDictionary, tag_for_keyword

from vesalius.data.deidentify.options import Options
from vesalius.data.deidentify.policy import Policy, fingerprint, tables

BASIC = Policy(Options())
SHIFT = Policy(Options(dates="shift"))
# PS3.15 2026d, Table E.1-1, column "Basic Prof.", entered by hand.
STANDARD = {
    "AccessionNumber": "Z",
    "AcquisitionComments": "X",
    "AcquisitionDate": "X/Z",
    "AcquisitionDateTime": "X/Z/D",
    "AdditionalPatientHistory": "X",
    "AdmissionID": "X",
    "BranchOfService": "X",
    "ClinicalTrialSponsorName": "D",
    "ClinicalTrialSiteName": "Z",
    "ContentDate": "Z/D",
    "ContrastBolusAgent": "Z/D",
    "CountryOfResidence": "X",
    "CurrentPatientLocation": "X",
    "DerivationDescription": "X",
    "DeviceSerialNumber": "X/Z/D",
    "EthnicGroup": "X",
    "FillerOrderNumberImagingServiceRequest": "Z",
    "FrameOfReferenceUID": "U",
    "ImageComments": "X",
    "InstitutionAddress": "X",
    "InstitutionName": "X/Z/D",
    "IssuerOfPatientID": "X",
    "MedicalRecordLocator": "X",
    "OperatorsName": "X/Z/D",
    "OtherPatientIDs": "X",
    "PatientAddress": "X",
    "PatientAge": "X",
    "PatientBirthDate": "Z",
    "PatientBirthName": "X",
    "PatientComments": "X",
    "PatientID": "Z/D",
    "PatientMotherBirthName": "X",
    "PatientName": "Z",
    "PatientSex": "Z",
    "PatientTelephoneNumbers": "X",
    "PatientWeight": "X",
    "PerformingPhysicianName": "X",
    "ProtocolName": "X/D",
    "ReferencedSOPInstanceUID": "U",
    "ReferringPhysicianName": "Z",
    "RequestAttributesSequence": "X",
    "SOPInstanceUID": "U",
    "SeriesDate": "X/D",
    "SeriesDescription": "X",
    "SeriesInstanceUID": "U",
    "SourceImageSequence": "X/Z/U*",
    "StationName": "X/Z/D",
    "StudyDate": "Z",
    "StudyDescription": "X",
    "StudyID": "Z",
    "StudyInstanceUID": "U",
    "StudyTime": "Z",
    "TextString": "X",
    "VerifyingObserverName": "D",
}


def tag(keyword: str) -> int:
    found = tag_for_keyword(keyword)
    assert found is not None, keyword
    return found


@pytest.mark.parametrize(("keyword", "action"), STANDARD.items())
def test_the_table_is_the_standards(keyword: str, action: str) -> None:
    assert tables()["attributes"][tag(keyword)][1] == action


def test_every_row_of_the_table_is_applied() -> None:
    assert len(tables()["attributes"]) == 653
    for number, (keyword, basic, *_) in tables()["attributes"].items():
        allowed = set(basic.replace("*", "").split("/"))
        said = BASIC.action(number)
        known = DicomDictionary.get(number)
        if known is None:
            assert said == "X", keyword  # unknown here, though the standard has it
        elif keyword == "ContentSequence":
            assert said == "X"
        elif known[0] == "UI" and allowed == {"D"}:
            assert said == "U", keyword
        elif known[0] == "SQ" and "D" in allowed:
            assert said == "Z", keyword  # an empty sequence in the place of a dummy item
        elif known[0] in {"DA", "TM", "DT"} and len(allowed) > 1:
            assert said == "Z", keyword
        else:
            assert said in allowed, keyword


def test_no_name_and_no_date_is_kept() -> None:
    for number, (representation, *_, keyword) in DicomDictionary.items():
        if representation == "PN":
            assert BASIC.action(number) in {"X", "Z", "D"}, keyword
        if representation in {"DA", "TM", "DT"}:
            assert BASIC.action(number) in {"X", "Z", "D"}, keyword
            assert SHIFT.action(number) in {"X", "Z", "D", "C"}, keyword


def test_text_and_bytes_are_kept_by_name_alone() -> None:
    listed = set(tables()["policy"]["keep"]) | set(tables()["policy"]["instead"])
    safe = set(tables()["policy"]["representations"])
    kept = {
        keyword: representation
        for number, (representation, *_, keyword) in DicomDictionary.items()
        if BASIC.action(number) == "K" and not set(representation.split(" or ")) & safe
    }
    assert set(kept) <= listed
    assert not set(kept.values()) & {"PN", "DA", "TM", "DT", "AE", "AS", "UN", "LT", "ST", "UT"}


@pytest.mark.parametrize(
    "number",
    [
        0x00091001,
        0x00090010,
        0x60003000,
        0x60023000,
        0x50003000,
        0x00089999,
        0x00080000,
        0xFFFCFFFC,
    ],
)
def test_private_unknown_and_overlaid_elements_are_removed(number: int) -> None:
    everything = Options(
        dates="shift",
        retain_uids=True,
        retain_device=True,
        retain_characteristics=True,
        keep_reports=True,
    )
    assert BASIC.action(number) == Policy(everything).action(number) == "X"


@pytest.mark.parametrize(
    ("option", "keyword", "without", "with_it"),
    [
        ({"dates": "shift"}, "StudyDate", "Z", "C"),
        ({"dates": "shift"}, "AcquisitionDateTime", "Z", "C"),
        ({"dates": "shift"}, "PatientBirthDate", "Z", "Z"),
        ({"retain_device": True}, "DeviceSerialNumber", "D", "K"),
        ({"retain_device": True}, "InstitutionName", "D", "D"),
        ({"retain_characteristics": True}, "PatientAge", "X", "K"),
        ({"retain_characteristics": True}, "PatientSex", "Z", "K"),
        ({"retain_characteristics": True}, "EthnicGroup", "X", "X"),
        ({"keep_reports": True}, "ContentSequence", "X", "K"),
    ],
)
def test_options(option: dict, keyword: str, without: str, with_it: str) -> None:
    assert BASIC.action(tag(keyword)) == without
    assert Policy(Options(**option)).action(tag(keyword)) == with_it


def test_what_was_done_is_coded() -> None:
    everything = Options(
        dates="shift", retain_uids=True, retain_device=True, retain_characteristics=True,
        keep_reports=True, clean_pixels=True,
    )  # fmt: skip
    assert [value for value, _ in BASIC.codes()] == ["113100"]
    assert {value for value, _ in Policy(everything).codes()} == {
        "113100", "113101", "113104", "113107", "113108", "113109", "113110",
    }  # fmt: skip


def test_the_fingerprint_is_of_both_tables() -> None:
    assert len(fingerprint()) == 16
