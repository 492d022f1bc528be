"""DICOM objects in which identities are planted where they have been found in the wild."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit
from scans import scan, written

from vesalius.data.deidentify.options import Options
from vesalius.data.deidentify.pseudonyms import Pseudonyms
from vesalius.data.deidentify.single import Done, deidentify_object

KEY = Pseudonyms(b"a key that only this test knows")
OTHER = Pseudonyms(b"a key that nobody else knows")
GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
SECRET = "PLANTED"
"""In every planted text; nothing that a policy keeps says so."""


def done(data: bytes | Dataset, key: Pseudonyms = KEY, **options: object) -> Done:
    """The object de-identified; a data set is written first."""
    raw = written(data) if isinstance(data, Dataset) else data
    made = deidentify_object(raw, Options.model_validate(options), key)
    assert made is not None
    return made


def full(pixels: np.ndarray = GREY, **fields: object) -> Dataset:
    """An image with planted text in every place that a text can stand."""
    made = scan(pixels, **fields)
    for name in ("InstitutionAddress", "OperatorsName", "PatientComments", "ImageComments"):
        setattr(made, name, f"{SECRET} {name}")
    made.ReferringPhysicianName = f"{SECRET}^Physician"
    made.AccessionNumber = f"{SECRET}ACC1"
    made.DeviceSerialNumber = fields.get("DeviceSerialNumber", f"{SECRET}SN1")
    made.AcquisitionDate, made.AcquisitionTime = "20200301", "111213.5"
    made.AcquisitionDateTime = "20200301111213.500000+0100"
    made.PatientAge, made.PatientSex, made.PatientWeight = "093Y", "F", "61.5"
    made.add_new(0x00091001, "LO", SECRET)
    made.add_new(0x00090010, "LO", f"{SECRET} CREATOR")
    made.add_new(0x60000022, "LO", f"{SECRET} overlay")
    made.add_new(0x60003000, "OW", SECRET.encode() + b" ")
    made.add_new(0x50003000, "OW", SECRET.encode() + b" ")
    made.add_new(0xFFFCFFFC, "OB", SECRET.encode() + b" ")
    made.IconImageSequence = Sequence([_item(BitsAllocated=8, PixelData=SECRET.encode() + b" ")])
    made.SourceImageSequence = Sequence([deep(3)])
    return made


def deep(levels: int) -> Dataset:
    """Items in items, each with a name, a private element, a UID and a date."""
    item = _item(
        PatientName=f"{SECRET}^Deep",
        ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        ReferencedSOPInstanceUID=f"1.2.3.444.55555.{levels}",
        StudyDate="20191231",
        ImageComments=f"{SECRET} at {levels}",
    )
    item.add_new(0x00110010, "LO", f"{SECRET} CREATOR")
    item.add_new(0x00111001, "UN", SECRET.encode() + b" ")
    if levels > 1:
        item.PurposeOfReferenceCodeSequence = Sequence([code("121324", "DCM", "Source Image")])
        item.SourceImageSequence = Sequence([deep(levels - 1)])
    return item


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence."""
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _item(**fields: object) -> Dataset:
    item = Dataset()
    for name, value in fields.items():
        setattr(item, name, value)
    return item


def jpeg(comment: bytes, frames: int = 1) -> Dataset:
    """A JPEG Baseline image whose frames have a comment, Exif data and bytes past the end."""
    made = full(np.zeros((frames, 16, 16), np.uint8) if frames > 1 else GREY)
    stored = []
    for number in range(frames):
        file = io.BytesIO()
        exif = b"Exif\0\0" + comment
        Image.fromarray(np.roll(GREY, number)).save(file, "JPEG", comment=comment, exif=exif)
        stored.append(file.getvalue() + comment)
    made.PixelData = encapsulate(stored)
    made["PixelData"].is_undefined_length = True
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return made


def report() -> Dataset:
    """A structured report with an item of each kind that may tell of a patient."""
    made = scan()
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    made.Modality, made.ValueType, made.ContinuityOfContent = "SR", "CONTAINER", "SEPARATE"
    made.ConceptNameCodeSequence = Sequence([code("126000", "DCM", "Imaging Measurement Report")])
    made.ContentSequence = Sequence(
        [
            _content("TEXT", "121071", TextValue=f"{SECRET} is ill"),
            _content("PNAME", "121008", PersonName=f"{SECRET}^Observer"),
            _content("DATE", "111060", Date="20200229"),
            _content("UIDREF", "121012", UID="1.2.3.444.55555.9"),
            _content(
                "CODE", "121058", ConceptCodeSequence=Sequence([code("1", "99LOCAL", SECRET)])
            ),
            _content("CODE", "121049", ConceptCodeSequence=Sequence([code("en", "RFC5646", "E")])),
            _content("NUM", "121206", MeasuredValueSequence=Sequence([_measured()])),
            _content("CONTAINER", "125007", ContentSequence=Sequence([_nested()])),
        ]
    )
    return made


def _content(kind: str, concept: str, **fields: object) -> Dataset:
    item = _item(ValueType=kind, RelationshipType="CONTAINS", **fields)
    item.ConceptNameCodeSequence = Sequence([code(concept, "DCM", "A concept")])
    return item


def _nested() -> Dataset:
    return _content("TEXT", "121071", TextValue=f"{SECRET} below")


def _measured() -> Dataset:
    units = Sequence([code("mm", "UCUM", "millimeter")])
    return _item(NumericValue="12.5", MeasurementUnitsCodeSequence=units)
