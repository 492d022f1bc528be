"""One DICOM object: bytes in, de-identified bytes out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, UID_dictionary

from vesalius.cases.decoded import quietly
from vesalius.data.deidentify import operators
from vesalius.data.deidentify.clean import Cleaner
from vesalius.data.deidentify.options import Options
from vesalius.data.deidentify.persons import persons
from vesalius.data.deidentify.pixel_classes import CAPTURE, pixel_classes
from vesalius.data.deidentify.pixels import copy_pixels
from vesalius.data.deidentify.policy import Policy, tables
from vesalius.data.deidentify.pseudonyms import Pseudonyms
from vesalius.data.deidentify.reading import DIRECTORY, read
from vesalius.errors import ImageError, VesaliusError
from vesalius.system.version import __version__

IMPLEMENTATION = "2.25.216308174562046103183024387653254126587"
"""Ours, a UUID drawn once: it stands in every file that this module writes."""


@dataclass(frozen=True, slots=True)
class Done:
    """An object without its identity.

    ``path`` is where it belongs, from pseudonyms alone: patient/study/series/instance.dcm.
    ``tally`` counts elements by action and keyword; ``dates`` are the dates that may stand in it,
    ``cleared`` is how many elements by keyword lost a person's name, ``shows`` the classes of what
    its pixels show, which were allowed.
    """

    data: bytes
    path: str
    tally: Counter[tuple[str, str]]
    dates: frozenset[str]
    cleared: Counter[str]
    shows: list[str]


class Unwanted(ImageError):
    """An object that is refused as a whole: its kind, or what is burned into it."""


def deidentify_object(data: bytes, options: Options, pseudonyms: Pseudonyms) -> Done | None:
    """The object in ``data`` under pseudonyms; None for a DICOMDIR, which lists names.

    Raises Unwanted for objects that are words or films, ImageError for broken ones.
    """
    with quietly():
        try:
            return _deidentify(read(data, options.max_bytes), options, pseudonyms)
        except (VesaliusError, MemoryError):
            raise
        except Exception as error:
            # Parsers fail in many ways on broken bytes, and their messages may quote the patient.
            raise ImageError("dicom_invalid", "the DICOM object cannot be rewritten") from error


def _deidentify(source: FileDataset, options: Options, pseudonyms: Pseudonyms) -> Done | None:
    kind = str(source.get("SOPClassUID", "") or source.file_meta.get("MediaStorageSOPClassUID", ""))
    if kind == DIRECTORY or "DirectoryRecordSequence" in source:
        return None
    _refuse(source, kind, options)
    shows = _pixel_classes(source, kind, options)
    patient = _patient(source)
    days = pseudonyms.days(patient)
    cleaner = Cleaner(Policy(options), pseudonyms, days, persons(source))
    output = cleaner.clean(source)
    syntax = copy_pixels(source, output, cleaner)
    if options.clean_pixels:
        from vesalius.data.deidentify.redaction import redact_text

        syntax = redact_text(output, syntax, cleaner, bool(_WITH_CODES & set(shows)))
    _sign(output, pseudonyms.patient(patient), cleaner.policy)
    names = [
        pseudonyms.uid(str(source.get(name, "") or ""))
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    ]
    path = "/".join([pseudonyms.patient(patient), *names]) + ".dcm"
    return Done(
        _written(output, syntax), path, cleaner.tally, _dates(output), +cleaner.cleared, shows
    )


def _refuse(source: Dataset, kind: str, options: Options) -> None:
    rules = tables()["policy"]
    known = UID_dictionary.get(kind)
    if not known or known[1] != "SOP Class" or not source.get("SOPInstanceUID"):
        raise Unwanted("class_unknown", "no standard SOP class, or no instance UID")
    report = "ContentSequence" in source or _is_among(kind, rules["reports"])
    if report and not options.keep_reports:
        raise Unwanted("report", "a structured report", hint="--keep-reports cleans it")
    if _is_among(kind, rules["refused"]) or "EncapsulatedDocument" in source:
        raise Unwanted("document", "a document, raw data or annotations: not to be cleaned")
    if source.file_meta.TransferSyntaxUID not in tables()["syntaxes"]:
        raise Unwanted("transfer_syntax", "video, or a compression that is not known to be clean")
    if str(source.get("BurnedInAnnotation", "")).upper() == "YES" and not options.clean_pixels:
        hint = "--clean-pixels blacks it out"
        raise Unwanted("burned_in", "the header says that text is burned in", hint=hint)


def _pixel_classes(source: Dataset, kind: str, options: Options) -> list[str]:
    found = pixel_classes(source, kind)
    for one in found:
        if one != CAPTURE and one not in options.allow:
            raise Unwanted(f"shows_{one}", _SHOWS[one], hint=f"--allow {one} lets it through")
    return found


_WITH_CODES = frozenset(("label", "overview", "screen", "document"))
"""Classes in which all that looks like a code is one; elsewhere it may be anatomy."""
_SHOWS = {
    "label": "a slide's label, with the patient's number or name",
    "overview": "an overview of a slide, with its label",
    "screen": "a picture of a screen",
    "document": "a scanned document",
    "film": "a film or a print, with what is written on it",
    "face": "the header says that a person can be recognised",
}


def _is_among(kind: str, listed: list[str]) -> bool:
    """Whether a class is listed, or is below a listed root, which ends in a dot."""
    return kind in listed or kind.startswith(tuple(one for one in listed if one.endswith(".")))


def _patient(source: Dataset) -> str:
    """What tells patients apart: the number and who gave it, or the study where there is none.

    Two hospitals may give one number. Where no issuer is named the number stands alone.
    """
    number = str(source.get("PatientID", "") or "").strip()
    if not number:
        return f"study {source.get('StudyInstanceUID', '')}"
    issuer = str(source.get("IssuerOfPatientID", "") or "").strip()
    for item in source.get("IssuerOfPatientIDQualifiersSequence") or ():
        issuer = issuer or str(item.get("UniversalEntityID", "") or "").strip()
    return f"{number}\0{issuer}" if issuer else number


def _sign(output: Dataset, patient: str, policy: Policy) -> None:
    """Say who the patient is not, and what was done (PS3.3 C.12.1.1, PS3.15 E.1.1)."""
    output.PatientName, output.PatientID = patient, patient
    output.PatientIdentityRemoved = "YES"
    output.DeidentificationMethod = [
        f"Vesalius {__version__}",
        "PS3.15 2026d, allow-list",
    ]
    output.DeidentificationMethodCodeSequence = Sequence([_code(*item) for item in policy.codes()])
    moved = policy.options.dates == "shift"
    output.LongitudinalTemporalInformationModified = "MODIFIED" if moved else "REMOVED"


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _written(output: Dataset, syntax: UID) -> bytes:
    if not all(_is_ascii(element) for element in output.iterall()):
        output.add(operators.element(0x00080005, "CS", "ISO_IR 192"))
    output.file_meta = FileMetaDataset()
    output.file_meta.TransferSyntaxUID = syntax
    output.file_meta.MediaStorageSOPClassUID = output.SOPClassUID
    output.file_meta.MediaStorageSOPInstanceUID = output.SOPInstanceUID
    output.file_meta.ImplementationClassUID = IMPLEMENTATION
    output.file_meta.ImplementationVersionName = "VESALIUS"
    file = BytesIO()
    pydicom.dcmwrite(file, output, enforce_file_format=True)
    return file.getvalue()


def _is_ascii(element: pydicom.DataElement) -> bool:
    return isinstance(element.value, bytes) or element.VR == "SQ" or str(element.value).isascii()


def _dates(output: Dataset) -> frozenset[str]:
    """Every date that the object now holds, as YYYYMMDD: moved ones and dummies."""
    dates = [
        str(value)[:8]
        for element in output.iterall()
        if element.VR in {"DA", "DT"}
        for value in operators.values(element)
    ]
    return frozenset(dates)
