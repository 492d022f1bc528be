"""An answer as FHIR: read by a library of the standard, preliminary, and about nobody by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import import_module

import pytest

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.steps.fhir import PseudonymousImage, fhir_bundle
from vesalius.steps.structured_report import DISCLAIMER, Algorithm

VERSIONS = pytest.mark.parametrize("version", ["R4", "R5"])
MODEL = Algorithm("small (generative)", "vesalius 1, weights sha256 00", ("recipe sha256 11",))
IMAGE = PseudonymousImage("img_1", "CT", "p" * 40, "s" * 40, "r" * 40)
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ANSWER = Prediction(
    "ans_1",
    Answer("a nodule", (Box(1, 2, 3, 4, "nodule", score=0.9),), ("C0028259",)),
    question="Is there a nodule?",
    confidence=Confidence(0.8125, "sequence"),
)


def made(prediction=ANSWER, images=(IMAGE,), version="R4", **how):
    return fhir_bundle(prediction, images, MODEL, version=version, issued=WHEN, **how)


def resource(bundle, kind):
    (found,) = (e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind)
    return found


def validated(bundle, version):
    """Read by fhir.resources, whose R4B has these resources as R4 has them."""
    place = "fhir.resources.R4B" if version == "R4" else "fhir.resources"
    pytest.importorskip("fhir.resources", reason="validated by fhir.resources (extra dev)")
    text = json.dumps(bundle)
    import_module(f"{place}.bundle").Bundle.model_validate_json(text)
    for entry in bundle["entry"]:
        kind = entry["resource"]["resourceType"]
        model = getattr(import_module(f"{place}.{kind.lower()}"), kind)
        model.model_validate_json(json.dumps(entry["resource"]))


@VERSIONS
@pytest.mark.parametrize(
    ("prediction", "images"),
    [
        (ANSWER, [IMAGE]),
        (Prediction("a", Answer("")), [PseudonymousImage("img_2")]),
        (Prediction("a", Answer("x"), abstained=True), [PseudonymousImage("img_2")]),
        (Prediction("a", Answer(boxes=())), [IMAGE, PseudonymousImage("img_3", "MR", "p" * 40)]),
        (Prediction("a", Answer("so\x00 <b>&amp;"), question=" "), [IMAGE]),
    ],
)
def test_the_standards_library_reads_every_kind_of_answer(version, prediction, images):
    validated(made(prediction, images, version, frame=2), version)


@VERSIONS
def test_it_is_preliminary_says_who_asserts_it_and_what_it_is_for(version):
    bundle = made(version=version)
    report, observation = resource(bundle, "DiagnosticReport"), resource(bundle, "Observation")
    assert report["status"] == observation["status"] == "preliminary"
    for entry in bundle["entry"]:
        labels = {label["code"] for label in entry["resource"]["meta"]["security"]}
        assert labels == {"AIAST", "HRESCH"}
        assert DISCLAIMER in entry["resource"]["text"]["div"]
    assert report["conclusion"].startswith(DISCLAIMER)
    assert observation["valueString"] == "a nodule"
    parts = {one["code"]["coding"][0]["code"]: one for one in observation["component"]}
    assert parts["confidence"]["valueQuantity"]["value"] == 81.25  # 100 x 0.8125
    assert parts["method"]["valueString"] == "sequence"
    assert "nodule: left 1, top 2" in parts["region"]["valueString"]
    assert parts["concept"]["valueString"] == "C0028259"
    assert resource(bundle, "Device")["version"][1]["value"] == "recipe sha256 11"


@VERSIONS
def test_every_reference_leads_to_an_entry_or_is_the_pseudonym(version):
    bundle = made(version=version)
    known = {entry["fullUrl"] for entry in bundle["entry"]}
    report = resource(bundle, "DiagnosticReport")
    study = report["study" if version == "R5" else "imagingStudy"]
    observation = resource(bundle, "Observation")
    named = [*report["result"], *study, *observation["derivedFrom"], observation["device"]]
    assert {one["reference"] for one in named} <= known
    for kind in ("DiagnosticReport", "Observation", "ImagingStudy"):
        assert resource(bundle, kind)["subject"]["identifier"]["value"] == IMAGE.patient
        assert "reference" not in resource(bundle, kind)["subject"]


def test_series_and_uids_are_of_the_pseudonyms_and_the_same_again():
    two = [IMAGE, PseudonymousImage("img_2", "CT", "p" * 40, "s" * 40, "r" * 40)]
    other = PseudonymousImage("img_3", "MR", "p" * 40, "s" * 40, "q" * 40)
    study = resource(made(images=[*two, other]), "ImagingStudy")
    assert [one["numberOfInstances"] for one in study["series"]] == [2, 1]
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (2, 3)
    uids = [one["uid"] for series in study["series"] for one in (series, *series["instance"])]
    assert len(set(uids)) == len(uids)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)
    assert made() == made()


def test_a_model_that_abstains_states_nothing():
    whole = Prediction("a", ANSWER.answer, question="so?", abstained=True)
    observation = resource(made(whole), "Observation")
    assert "valueString" not in observation
    assert observation["dataAbsentReason"]["text"] == "the model abstained"
    codes = {one["code"]["coding"][0]["code"] for one in observation["component"]}
    assert codes == {"disclaimer", "question"}


def test_words_of_a_model_become_neither_markup_nor_markdown():
    bundle = made(Prediction("a", Answer("<img src=x> ![](http://x) *b*")), version="R5")
    report = resource(bundle, "DiagnosticReport")
    assert "<img" not in report["text"]["div"]
    assert r"\!\[\](http://x) \*b\*" in report["conclusion"]


def test_frames_count_from_one():
    parts = resource(made(frame=0), "Observation")["component"]
    assert parts[-1]["valueInteger"] == 1
