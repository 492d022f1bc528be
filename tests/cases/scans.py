"""DICOM objects written with pydicom, each with a patient whose name must not come out again."""

from __future__ import annotations

import io

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SECRETS = ("DOE^JANE", "MRN0012345", "19700101", "ST ELSEWHERE", "suspicion of")


def scan(pixels: np.ndarray | None = None, **fields: object) -> Dataset:
    """A CT image of ``pixels`` (rows, columns) or (frames, rows, columns) with more ``fields``."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CT_IMAGE
    made.SOPInstanceUID = fields.pop("SOPInstanceUID", None) or generate_uid()
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.StudyID, made.SeriesNumber, made.InstanceNumber = "1", 1, 1
    made.PatientName, made.PatientID, made.PatientBirthDate = SECRETS[:3]
    made.StudyDate, made.StudyTime = "20200229", "101010"
    made.InstitutionName, made.StudyDescription = SECRETS[3], f"{SECRETS[4]} pneumonia"
    made.Modality = "CT"
    if pixels is not None:
        _fill(made, pixels)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def _fill(made: Dataset, pixels: np.ndarray) -> None:
    bits = 8 * pixels.dtype.itemsize
    made.Rows, made.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        made.NumberOfFrames = len(pixels)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    data = pixels.tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)


def colour_scan(pixels: np.ndarray, **fields: object) -> Dataset:
    """An RGB image of ``pixels``, shape (rows, columns, 3), 8 bit."""
    made = scan(pixels[..., 0], **fields)
    made.SamplesPerPixel, made.PhotometricInterpretation = 3, "RGB"
    made.PlanarConfiguration, made.PixelData = 0, pixels.tobytes()
    return made


def written(made: Dataset) -> bytes:
    """The object as the bytes of a DICOM file."""
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()
