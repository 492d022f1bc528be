"""An answer as HL7 FHIR resources: a preliminary DiagnosticReport about an ImagingStudy.

Nobody is named: patient, study and pictures are pseudonyms, and UIDs are made of these. Each
resource says that an algorithm asserts it, and for research (AIAST, HRESCH). Sources:
https://hl7.org/fhir/R4/diagnosticreport.html and https://hl7.org/fhir/R5/diagnosticreport.html.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Literal
from uuid import UUID, uuid5

from vesalius.cases.prediction import Prediction
from vesalius.steps.structured_report import (
    DISCLAIMER,
    Algorithm,
    answer_text,
    box_words,
    printable,
)

Version = Literal["R4", "R5"]
MEDIA_TYPES = {
    "R4": "application/fhir+json; fhirVersion=4.0",
    "R5": "application/fhir+json; fhirVersion=5.0",
}
OURS = "https://vesalius.readthedocs.io/fhir"
_UUIDS = UUID("1f0a3c52-7d53-4a86-9c0b-5a2f6e4b8d17")
_TERMS = "http://terminology.hl7.org/CodeSystem"
_SECONDARY_CAPTURE = "urn:oid:1.2.840.10008.5.1.4.1.1.7"
"""What is kept of a picture is one made anew, without the header of the first."""
_LABELS = [
    {"system": f"{_TERMS}/v3-ObservationValue", "code": "AIAST"},
    {"system": f"{_TERMS}/v3-ActReason", "code": "HRESCH"},
]


@dataclass(frozen=True, slots=True)
class PseudonymousImage:
    """A picture by names that lead to nobody; without a patient, study or series it is its own."""

    id: str
    modality: str | None = None
    patient: str | None = None
    study: str | None = None
    series: str | None = None


def fhir_bundle(
    prediction: Prediction,
    images: Sequence[PseudonymousImage],
    algorithm: Algorithm,
    *,
    version: Version,
    issued: datetime,
    frame: int | None = None,
) -> dict[str, Any]:
    """The prediction about ``images`` (at least one, of one patient) as a collection.

    DiagnosticReport, Observation, ImagingStudy and Device; the same answer gives the same ids.
    ``issued`` is aware; ``frame`` counts from 0 here, and from 1 in the observation.
    """
    prediction = prediction.at_operating_point()
    writer = _Writer(version, images[0].patient or images[0].id)
    device = writer.entry("Device", algorithm.name + algorithm.version, _device(algorithm, version))
    study = writer.entry("ImagingStudy", prediction.id, _study(images, version), subject=True)
    moment = {"issued": issued.isoformat(timespec="milliseconds")}
    observation = writer.entry(
        "Observation",
        prediction.id,
        {"status": "preliminary", "code": _own_code("answer", "Answer of a model")}
        | moment
        | {"device": device, "derivedFrom": [study]}
        | _value(prediction)
        | {"component": _components(prediction, frame)},
        subject=True,
    )
    text = printable(answer_text(prediction))
    conclusion = f"{DISCLAIMER} Answer of a model: {text}"
    report = {
        "status": "preliminary",
        "category": [{"coding": [{"system": f"{_TERMS}/v2-0074", "code": "IMG"}]}],
        "code": _own_code("document", "Answer of a model, for research"),
        **moment,
        "result": [observation],
        "study" if version == "R5" else "imagingStudy": [study],
        # Markdown in R5, where a model's words must not become a link or a picture.
        "conclusion": re.sub(r"([\\`*_\[\]<>#|!])", r"\\\1", conclusion)
        if version == "R5"
        else conclusion,
    }
    writer.entry("DiagnosticReport", prediction.id, report, subject=True)
    return {"resourceType": "Bundle", "type": "collection", "entry": writer.entries[::-1]}


class _Writer:
    """Entries of a bundle, each with its labels, its words and the subject's pseudonym."""

    def __init__(self, version: Version, patient: str) -> None:
        self.entries: list[dict[str, Any]] = []
        # One identifier is what a record system can look up; there is no resource behind it.
        identifier = {"system": f"{OURS}/pseudonym", "value": patient}
        self._subject = {"type": "Patient", "identifier": identifier}

    def entry(
        self, kind: str, name: str, content: dict[str, Any], *, subject: bool = False
    ) -> dict[str, str]:
        """Add a resource; a reference to it."""
        own = str(uuid5(_UUIDS, f"{kind} {name}"))
        words = f"{kind}. {DISCLAIMER} {content.get('conclusion', '')}".strip()
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{escape(words)}</div>'
        resource = {"resourceType": kind, "id": own, "meta": {"security": _LABELS}}
        resource |= {"text": {"status": "generated", "div": div}}
        resource |= {"subject": self._subject} if subject else {}
        self.entries.append({"fullUrl": f"urn:uuid:{own}", "resource": resource | content})
        return {"reference": f"urn:uuid:{own}"}


def _device(algorithm: Algorithm, version: Version) -> dict[str, Any]:
    name = printable(algorithm.name)
    if version == "R5":
        named: dict[str, Any] = {"name": [{"value": name, "type": "user-friendly-name"}]}
    else:
        named = {"deviceName": [{"name": name, "type": "user-friendly-name"}]}
    parts = (algorithm.version, *algorithm.parameters)
    return {"status": "active"} | named | {"version": [{"value": printable(p)} for p in parts]}


def _study(images: Sequence[PseudonymousImage], version: Version) -> dict[str, Any]:
    """Every series of the pictures, under UIDs made of their pseudonyms."""
    by_series: dict[str, list[PseudonymousImage]] = {}
    for image in images:
        by_series.setdefault(image.series or image.id, []).append(image)
    series = []
    for name, some in by_series.items():
        coding = {"system": "http://dicom.nema.org/resources/ontology/DCM"}
        coding |= {"code": some[0].modality or "OT"}
        instances = [
            {
                "uid": _uid("instance", one.id),
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": _SECONDARY_CAPTURE},
            }
            for one in some
        ]
        series.append(
            {
                "uid": _uid("series", name),
                "modality": {"coding": [coding]} if version == "R5" else coding,
                "numberOfInstances": len(some),
                "instance": instances,
            }
        )
    uid = _uid("study", images[0].study or images[0].id)
    return {
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}],
        "status": "available",
        "numberOfSeries": len(series),
        "numberOfInstances": len(images),
        "series": series,
    }


def _uid(kind: str, name: str) -> str:
    """A UID of a pseudonym (PS3.5 B.2: 2.25 and a UUID as a number)."""
    return f"2.25.{uuid5(_UUIDS, f'{kind} {name}').int}"


def _value(prediction: Prediction) -> dict[str, Any]:
    if prediction.abstained:
        coding = {"system": f"{_TERMS}/data-absent-reason", "code": "unknown"}
        return {"dataAbsentReason": {"coding": [coding], "text": "the model abstained"}}
    return {"valueString": printable(answer_text(prediction))}


def _components(prediction: Prediction, frame: int | None) -> list[dict[str, Any]]:
    """Question, confidence with its method, regions, concepts and frame, whatever there is."""
    answer, sure = prediction.answer, prediction.confidence
    parts = [("disclaimer", "Limits of use", "String", DISCLAIMER)]
    if prediction.question.strip():
        parts.append(("question", "Question to a model", "String", printable(prediction.question)))
    rows: list[tuple[str, str, str, Any]] = [*parts]
    if sure is not None:
        percent = {"value": round(100 * sure.value, 2), "unit": "%"}
        percent |= {"system": "http://unitsofmeasure.org", "code": "%"}
        rows.append(("confidence", "Confidence of a model", "Quantity", percent))
        rows.append(("method", "Method of confidence", "String", printable(sure.method)))
    if not prediction.abstained:
        regions = [printable(box_words(box)) for box in answer.boxes or ()]
        rows += [("region", "Region marked by a model", "String", words) for words in regions]
        named = [printable(concept) for concept in answer.concepts or ()]
        rows += [("concept", "Concept named by a model", "String", words) for words in named]
    if frame is not None:
        rows.append(("frame", "Frame that was looked at", "Integer", frame + 1))
    return [{"code": _own_code(code, name), f"value{of}": value} for code, name, of, value in rows]


def _own_code(code: str, name: str) -> dict[str, Any]:
    """A code of our own, so that no system takes an answer of a model for a finding."""
    return {"coding": [{"system": f"{OURS}/codes", "code": code, "display": name}], "text": name}
