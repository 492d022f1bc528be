"""An answer as a DICOM Structured Report, filed under the patient and study of the picture.

The report is identifiable: it carries the source's patient and study, or an archive could not file
it. It says of itself that it is unverified, and for research only (PS3.3 A.35, C.17).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from vesalius.cases.case import Box
from vesalius.cases.decoded import quietly
from vesalius.cases.prediction import Prediction
from vesalius.errors import DatasetError, ImageError, MissingExtra, VesaliusError
from vesalius.run import Run
from vesalius.steps.report_regions import measurement_report, own_code
from vesalius.system.files import write_atomic
from vesalius.system.version import __version__

Form = Literal["comprehensive", "basic"]
"""Comprehensive SR, with the confidence as a number; or Basic Text SR, all in words."""
DISCLAIMER = "Research use only; not a medical device. Not reviewed by a physician."
_DEVICE = "2.25.216308174562046103183024387653254126587"
_BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"
_PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
_STUDY = ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName")
_SERIES = 9900
"""Series number of reports: far from those that scanners give."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What answered: a model's name, its version, and how it was made, each in a few words."""

    name: str
    version: str
    parameters: tuple[str, ...] = ()


def algorithm_of(run: Run) -> Algorithm:
    """A fitted run's model, by name, and the hashes of its weights and its recipe."""
    recipe = run.recipe()
    weights, described = sha256(), sha256(recipe.model_dump_json().encode()).hexdigest()
    for path in sorted(path for path in run.weights.rglob("*") if path.is_file()):
        weights.update(path.relative_to(run.weights).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            weights.update(file_digest(file, "sha256").digest())
    return Algorithm(
        name=f"{recipe.name} ({recipe.model['name']})",
        version=f"vesalius {__version__}, weights sha256 {weights.hexdigest()}",
        parameters=(f"recipe sha256 {described}",),
    )


def report(
    prediction: Prediction,
    source: Dataset,
    algorithm: Algorithm,
    *,
    frame: int | None = None,
    form: Form = "comprehensive",
) -> Dataset:
    """The prediction as a report about the image ``source``, whose header is enough.

    With boxes a comprehensive report is an Imaging Measurement Report (PS3.16 TID 1500), each box
    a planar region of interest (TID 1410); of a detector those at its operating point.
    ``frame`` counts from 0, and is the middle one where it is None, as everywhere here; the
    report's own references count from 1. Raises DatasetError for an image without its UIDs,
    MissingExtra without the extra ``results``.
    """
    try:
        from highdicom.sr import ComprehensiveSR, EnhancedSR
    except ImportError as error:
        raise MissingExtra("highdicom", "results") from error
    evidence = _evidence(source)
    prediction = prediction.at_operating_point()
    root = _content(prediction, evidence, algorithm, frame, numbers=form == "comprehensive")
    with quietly():
        made: Dataset = (ComprehensiveSR if form == "comprehensive" else EnhancedSR)(
            evidence=[evidence],
            content=root,
            series_instance_uid=generate_uid(prefix=None),
            series_number=_SERIES,
            sop_instance_uid=generate_uid(prefix=None),
            instance_number=1,
            manufacturer="Vesalius",
            is_complete=True,
            is_final=False,
            is_verified=False,
            specific_character_set="ISO_IR 192",
            series_description="Research use only: answer of a model",
            manufacturer_model_name=algorithm.name[:64],
            software_versions=__version__,
        )
    if form == "basic":
        # Nothing in it that Basic Text SR lacks (PS3.3 A.35.1.3.1).
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = _BASIC_TEXT
    made.ContentQualification = "RESEARCH"
    made.TimezoneOffsetFromUTC = datetime.now(UTC).astimezone().strftime("%z")
    return made


def write_report(
    path: Path,
    prediction: Prediction,
    picture: bytes,
    algorithm: Algorithm,
    *,
    frame: int | None = None,
    form: Form = "comprehensive",
) -> None:
    """Write the prediction about the DICOM file ``picture`` to a new file.

    Raises ImageError where the picture is no DICOM, DatasetError where ``path`` exists.
    """
    refuse_report(path, picture)
    write_atomic(path, encoded(prediction, picture, algorithm, frame=frame, form=form))


def encoded(
    prediction: Prediction,
    picture: bytes,
    algorithm: Algorithm,
    frame: int | None = None,
    *,
    form: Form = "comprehensive",
) -> bytes:
    """The prediction about the DICOM file ``picture`` as a DICOM file; raises as :func:`report`.

    ImageError where the picture is no DICOM, or its header has what no report can repeat.
    """
    _require_dicom(picture)
    file = BytesIO()
    try:
        with quietly():  # the library warns with a patient's values
            source = pydicom.dcmread(BytesIO(picture), stop_before_pixels=True)
            made = report(prediction, source, algorithm, frame=frame, form=form)
            made.save_as(file, enforce_file_format=True)
    except (VesaliusError, MemoryError):
        raise
    except Exception as error:  # of many kinds, for each date, sex or name that is none
        what = "the picture's header has values that no report can repeat"
        hint = "a date, time, sex or name in it is none"
        raise ImageError("dicom_invalid", what, hint=hint) from error
    return file.getvalue()


def refuse_report(path: Path, picture: bytes) -> None:
    """Say before anything is asked that no report can be written: its file, or the picture."""
    if path.exists():
        raise DatasetError("exists, and is not overwritten", where=path, hint="name another file")
    _require_dicom(picture)


def _require_dicom(picture: bytes) -> None:
    if picture[128:132] != b"DICM":
        hint = "reports are filed under a DICOM picture's patient and study"
        raise ImageError("dicom_invalid", "a report needs a DICOM picture", hint=hint)


def _evidence(source: Dataset) -> Dataset:
    """The source's patient, study and identity, with what the standard wants there but is not."""
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        if not source.get(name):
            raise DatasetError(f"the picture has no {name}, so no report can refer to it")
    evidence = Dataset()
    with quietly():
        source.decode()
    for element in source:
        if element.tag.group in {0x0008, 0x0010, 0x0020} and element.VR != "SQ":
            evidence.add(element)
    evidence.SpecificCharacterSet = "ISO_IR 192"
    for name in (*_PATIENT, *_STUDY):
        if name not in evidence:
            setattr(evidence, name, None)
    if source.get("NumberOfFrames"):
        evidence.NumberOfFrames = source.NumberOfFrames
    return evidence


def _content(
    prediction: Prediction,
    source: Dataset,
    algorithm: Algorithm,
    frame: int | None,
    *,
    numbers: bool,
) -> Dataset:
    from highdicom.sr import (
        AlgorithmIdentification,
        CodedConcept,
        ContainerContentItem,
        ContentSequence,
        DeviceObserverIdentifyingAttributes,
        ImageContentItem,
        ObserverContext,
        TextContentItem,
    )

    def text(concept: Any, said: str) -> Any:
        return TextContentItem(concept, printable(said), relationship_type="CONTAINS")

    boxes, concepts = prediction.answer.boxes or (), prediction.answer.concepts or ()
    number = _frame_number(source, frame)
    device = DeviceObserverIdentifyingAttributes(
        uid=_DEVICE, name="Vesalius", manufacturer_name="Vesalius", model_name=algorithm.name
    )
    observer = ObserverContext(CodedConcept("121007", "DCM", "Device"), device)
    made_by = AlgorithmIdentification(
        name=algorithm.name, version=algorithm.version, parameters=list(algorithm.parameters)
    )
    parts: list[Any] = [*made_by]
    parts.append(text(own_code("disclaimer", "Limits of use"), DISCLAIMER))
    parts.append(
        ImageContentItem(
            CodedConcept("121324", "DCM", "Source Image"),
            source.SOPClassUID,
            source.SOPInstanceUID,
            referenced_frame_numbers=number,
            relationship_type="CONTAINS",
        )
    )
    if prediction.question:
        parts.append(text(own_code("question", "Question to a model"), prediction.question))
    meaning = "Answer of a model" if prediction.question else "Caption by a model"
    parts.append(text(own_code("answer", meaning), answer_text(prediction)))
    parts += _confidence(prediction, text, numbers)
    if prediction.abstained:
        boxes = concepts = ()
    parts += [text(own_code("concept", "Concept named by a model"), one) for one in concepts]
    if boxes and numbers:
        root = measurement_report(boxes, source, number, observer, made_by)
        root.ContentSequence.extend(parts)
        return root
    parts += [text(own_code("region", "Region marked by a model"), box_words(box)) for box in boxes]
    plain = ContainerContentItem(own_code("document", "Answer of a model, for research"))
    plain.ContentSequence = ContentSequence([*observer, *parts])
    return plain


def answer_text(prediction: Prediction) -> str:
    """What the model answered, in words also where it only marked or named something."""
    if prediction.abstained:
        return "(no answer: the model abstained)"
    if prediction.text:
        return prediction.text
    answer = prediction.answer
    parts = []
    if answer.boxes is not None:
        parts.append(f"{len(answer.boxes) or 'no'} region{'s' * (len(answer.boxes) != 1)} marked")
    if answer.concepts is not None:
        count = len(answer.concepts)
        parts.append(f"{count or 'no'} concept{'s' * (count != 1)} named")
    return f"({', '.join(parts)})" if parts else "(no answer)"


def box_words(box: Box) -> str:
    """A box in words; pixels count from the upper left corner of the first one."""
    sure = "" if box.score is None else f", score {box.score:.2f}"
    place = f"left {box.x:g}, top {box.y:g}, width {box.width:g}, height {box.height:g} pixels"
    return f"{box.label}: {place}{sure}"


def _frame_number(source: Dataset, frame: int | None) -> int | None:
    frames = int(source.get("NumberOfFrames") or 0)
    if not frames:
        return None
    return 1 + (frames // 2 if frame is None else frame)


def _confidence(prediction: Prediction, text: Any, numbers: bool) -> list[Any]:
    """How sure the model says it is, in per cent, and how that number was made."""
    from highdicom.sr import CodedConcept, NumContentItem

    if prediction.confidence is None:
        return []
    percent = round(100 * prediction.confidence.value, 2)
    method = text(own_code("method", "Method of confidence"), prediction.confidence.method)
    name = CodedConcept("111012", "DCM", "Certainty of Finding")
    if not numbers:
        return [text(name, f"{percent:g} %"), method]
    unit = CodedConcept("%", "UCUM", "Percent")
    return [NumContentItem(name, percent, unit, relationship_type="CONTAINS"), method]


def printable(said: str) -> str:
    """The text without control characters but line ends."""
    # UT may hold line ends; other control characters would switch character sets.
    return "".join(letter for letter in said if letter.isprintable() or letter in "\n\r")
