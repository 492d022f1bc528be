"""An answer as FHIR by the service: of its owner, under pseudonyms, and gone with the picture."""

from __future__ import annotations

import numpy as np
import pytest
from serving import Serving, png, serving

from hostile import SECRETS, scan, written

SCAN = written(scan(np.arange(64, dtype=np.uint16).reshape(8, 8)))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    state = tmp_path_factory.mktemp("state")
    with serving(state, text_in_dicom="off", rate_per_minute=9999) as running:
        yield running


def asked(api: Serving, data: bytes, question: str = "Is there a nodule?") -> dict:
    return api.ask(image_id=api.image_id(data), question=question).json()


def fhir(api: Serving, answer_id: str, **params: str):
    return api.client.get(f"/answers/{answer_id}/fhir", params=params)


@pytest.mark.parametrize(("version", "number"), [("R4", "4.0"), ("R5", "5.0")])
def test_an_answer_is_a_bundle_about_a_pseudonym(api: Serving, version: str, number: str) -> None:
    said = asked(api, SCAN)
    answer = fhir(api, said["answer_id"], version=version)
    kind = f"application/fhir+json; fhirVersion={number}"
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    resources = {e["resource"]["resourceType"]: e["resource"] for e in answer.json()["entry"]}
    assert resources["Observation"]["valueString"] == said["answer"]
    assert resources["DiagnosticReport"]["status"] == "preliminary"
    assert len(resources["ImagingStudy"]["subject"]["identifier"]["value"]) == 40
    assert not any(secret in answer.text for secret in SECRETS)


def test_two_pictures_of_a_patient_have_one_pseudonym_and_others_another(api: Serving) -> None:
    def subject(data: bytes) -> str:
        entries = fhir(api, asked(api, data, "so?")["answer_id"]).json()["entry"]
        (found,) = (
            e["resource"] for e in entries if e["resource"]["resourceType"] == "ImagingStudy"
        )
        return found["subject"]["identifier"]["value"]

    other = written(scan(np.ones((8, 8), np.uint16)))
    assert subject(SCAN) == subject(other)
    assert subject(png(1)) != subject(png(2))


def test_what_cannot_be_reported_is_a_problem(api: Serving) -> None:
    said = asked(api, png(5))
    odd = fhir(api, said["answer_id"], version="R3")
    assert (odd.status_code, odd.json()["code"]) == (422, "invalid_request")
    missing = fhir(api, "ans_" + "0" * 40)
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    image_id = api.image_id(png(6))
    last = api.ask(image_id=image_id, question="so?").json()
    api.client.delete(f"/images/{image_id}")
    gone = fhir(api, last["answer_id"])
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
