"""Bytes to a pydicom data set, with a bound on what a deflated one may become."""

from __future__ import annotations

import zlib
from io import BytesIO

import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from vesalius.cases.headers import is_bare_dicom
from vesalius.errors import ImageError

MAGIC = b"DICM"
DIRECTORY = "1.2.840.10008.1.3.10"


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins so is DICOM, with its preamble or without."""
    return head[128:132] == MAGIC or is_bare_dicom(head[:16])


def read(data: bytes, max_bytes: int) -> FileDataset:
    """The whole data set; ImageError, which quotes nothing, for what cannot be read."""
    try:
        dataset = _read(data, max_bytes)
        if not dataset.file_meta.get("TransferSyntaxUID"):
            implicit = dataset.original_encoding[0]
            dataset.file_meta.TransferSyntaxUID = (
                ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            )
        fields = len(dataset)
    except ImageError:
        raise
    except Exception:  # noqa: BLE001
        # ``from None``: parsers fail in many ways, and their messages may quote the header.
        raise ImageError("dicom_invalid", "the DICOM header cannot be read") from None
    if not fields:
        raise ImageError("dicom_invalid", "the DICOM file holds no data set")
    return dataset


def _read(data: bytes, max_bytes: int) -> FileDataset:
    whole = data[128:132] == MAGIC
    if whole:
        file = BytesIO(data)
        file.seek(132)
        meta = read_dataset(
            file,
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, _vr, _length: tag >> 16 != 2,
        )
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return _inflated(FileMetaDataset(meta), data[file.tell() :], max_bytes)
    return pydicom.dcmread(BytesIO(data), force=not whole)


def _inflated(meta: FileMetaDataset, data: bytes, max_bytes: int) -> FileDataset:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(data, max_bytes)
    if inflater.unconsumed_tail:
        raise ImageError("image_too_large", f"inflates to more than {max_bytes:,} bytes")
    dataset = read_dataset(BytesIO(content), is_implicit_VR=False, is_little_endian=True)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return FileDataset("", dataset, file_meta=meta, is_implicit_VR=False, is_little_endian=True)
