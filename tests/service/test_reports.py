"""An answer as a DICOM report: filed under the patient of the file that is sent again."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from serving import Serving, png, serving

from hostile import SECRETS, scan, written

pytest.importorskip("highdicom", reason="the extra results is not installed")

import pydicom

SCAN = written(scan(np.arange(64, dtype=np.uint16).reshape(8, 8)))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    state = tmp_path_factory.mktemp("state")
    with serving(state, text_in_dicom="off", rate_per_minute=9999) as running:
        yield running


def report(api: Serving, answer_id: str, data: bytes):
    return api.client.post(f"/answers/{answer_id}/report", files={"image_file": data})


def test_an_answer_is_reported_about_its_picture_and_patient(api: Serving) -> None:
    asked = api.ask(image_id=api.image_id(SCAN), question="Is there a nodule?").json()
    answer = report(api, asked["answer_id"], SCAN)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom")
    made, source = pydicom.dcmread(BytesIO(answer.content)), pydicom.dcmread(BytesIO(SCAN))
    assert made.Modality == "SR"
    assert (made.PatientID, made.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)
    texts = [element.value for element in made.iterall() if element.keyword == "TextValue"]
    assert {"Is there a nodule?", asked["answer"]} <= set(texts)
    assert made.CompletionFlag == "COMPLETE"
    assert made.VerificationFlag == "UNVERIFIED"
    folder: Path = api.service.settings.state
    stored = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert not any(secret.encode() in stored for secret in SECRETS)


def test_another_file_is_refused(api: Serving) -> None:
    asked = api.ask(image_id=api.image_id(SCAN), question="so?").json()
    other = report(api, asked["answer_id"], written(scan(np.ones((8, 8), np.uint16))))
    assert (other.status_code, other.json()["code"]) == (422, "another_picture")
    assert not any(secret in other.text for secret in SECRETS)


ODD = {
    "PatientBirthDate": ("19530607", "ROE^RICH", 422),
    "PatientSex": ("QQQQQQQQQQQQ", "ROE^RICHARD ", 422),
    "StudyTime": ("131415.12345", "ROE^RICHARD ", 422),
    "PatientName": ("QQQQQQQQ", "\x1b$B\xff\xfe\x80a\\", 422),
    "AccessionNumber": ("QQQQQQQQQQQQ", "ROE^RICHARD\n", 200),
    "StudyInstanceUID": ("1.2.3.4.5.77", "ROE^RICHARD\0", 200),
}
"""A plain value, one as long that is none, and what a report about it is answered with."""


@pytest.mark.parametrize("name", ODD)
def test_a_header_that_no_report_can_repeat_is_refused_and_nothing_of_it_told(
    api: Serving, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    plain, odd, status = ODD[name]
    source = scan(np.arange(64, dtype=np.uint16).reshape(8, 8))
    setattr(source, name, plain)
    data = written(source).replace(plain.encode(), odd.encode("latin-1"))
    assert odd.encode("latin-1") in data
    asked = api.ask(image_id=api.image_id(data), question="so?").json()
    answer = report(api, asked["answer_id"], data)
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["code"] == "dicom_invalid"
        assert "ROE" not in answer.text
    assert not any(word in text for text in capfd.readouterr() for word in ("ROE", "Warning"))


def test_a_picture_that_is_no_dicom_has_no_report(api: Serving) -> None:
    asked = api.ask(image_id=api.image_id(png(1)), question="so?").json()
    refused = report(api, asked["answer_id"], png(1))
    assert (refused.status_code, refused.json()["code"]) == (422, "dicom_invalid")
    missing = report(api, "ans_nobody", SCAN)
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    none = api.client.post(f"/answers/{asked['answer_id']}/report", json={})
    assert (none.status_code, none.json()["code"]) == (415, "unsupported_body")
