"""What may be known of a DICOM file before its pixels: pseudonyms, frames, modality; no names.

Only the few fields listed here are ever held, as the bytes they are in the file: nothing is
decoded that a parser could quote in a warning, and raw identifiers do not leave this module.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from io import BytesIO
from typing import Any, BinaryIO, cast

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from vesalius.cases.decoded import DEFAULT_LIMITS, quietly
from vesalius.cases.dicom_elements import frame_count
from vesalius.cases.inflation import inflated
from vesalius.errors import DatasetError, ImageError
from vesalius.system.tables import packaged_table

MAGIC = b"DICM"
_META = 132
_PIXELS = frozenset(
    int(Tag(name)) for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
)
_FIELDS = (
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "Modality",
    "NumberOfFrames",
)
_RESAVE = "save it as Explicit VR Little Endian, or set skip_unreadable: true"


@dataclass(frozen=True, slots=True)
class Header:
    """A DICOM picture under pseudonyms.

    ``instance``, ``series`` and ``study`` are keyed hashes of the three UIDs; ``group`` is the
    patient's, or the study's where the header names no patient. ``frames`` is at least 1, and 1
    where the header's number is none: decoding the picture says so.
    """

    instance: str
    series: str
    study: str
    group: str
    frames: int
    modality: str | None


def is_dicom(file: BinaryIO) -> bool:
    """Whether the file carries DICOM's mark after its preamble (PS3.10, 7.1)."""
    file.seek(128)
    return file.read(4) == MAGIC


def read_header(file: BinaryIO, key: bytes) -> Header | None:
    """The header of an open DICOM file, or None for an object without a picture.

    Reads up to the pixels, passing over all other fields. ``key`` (at most 64 bytes) keys the
    hashes. Raises DatasetError, which quotes nothing from the file.
    """
    whole = _Bounded(file)
    try:
        with quietly():
            if _syntax(whole) == DeflatedExplicitVRLittleEndian:
                whole = _Bounded(BytesIO(_inflated(file)))
            header, pixels = _up_to_pixels(whole)
    except DatasetError:
        raise
    except Exception:  # noqa: BLE001
        # Parsers fail in many ways on broken bytes, and their messages may quote the patient.
        raise DatasetError("the DICOM header cannot be read", hint=_RESAVE) from None
    if whole.cut or not header:
        raise DatasetError("the DICOM header is cut short", hint=_RESAVE)
    return _pseudonymous(header, key) if pixels else None


def is_directory(file: BinaryIO) -> bool:
    """Whether an open DICOM file is a DICOMDIR: a list of files, with the patients' names."""
    try:
        with quietly():
            return bool(
                _meta(_Bounded(file), "MediaStorageSOPClassUID") == MediaStorageDirectoryStorage
            )
    except Exception:  # noqa: BLE001
        # read_header says what is wrong with such a file.
        return False


def listed_files(file: BinaryIO) -> list[tuple[str, ...]]:
    """The file IDs of a DICOMDIR in its order, each a path in parts (PS3.3 F.3)."""
    try:
        with quietly():
            file.seek(0)
            content = read_partial(
                cast("BinaryIO", _Bounded(file)), specific_tags=[Tag("DirectoryRecordSequence")]
            )
            records = content.get("DirectoryRecordSequence") or ()
            return [_parts(record.ReferencedFileID) for record in records if _names_a_file(record)]
    except Exception:  # noqa: BLE001
        raise DatasetError("the DICOMDIR cannot be read") from None


def modality_words(code: str) -> str | None:
    """A modality code (CT, DX ...) in plain words (ct, x-ray ...); None where it has none."""
    return _modalities().get(code)


class _Bounded:
    """A file of which no more is asked for than there is, and which notes where that fell short.

    A length field may claim 4 GiB in a file of 160 bytes, and ``read`` would allocate them.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self.cut = False
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._file.tell(), 0)
        self.cut |= 0 < left < size
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        at = self._file.seek(offset, whence)
        self.cut |= at > self._size
        return at

    def tell(self) -> int:
        return self._file.tell()


def _meta(file: _Bounded, name: str) -> str | None:
    file.seek(_META)
    meta = read_dataset(
        cast("BinaryIO", file),
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag >> 16 != 2,
    )
    value = _value(meta, name)
    return value.decode("ascii", "replace") or None


def _syntax(file: _Bounded) -> str:
    syntax = _meta(file, "TransferSyntaxUID")
    if syntax is None:
        raise DatasetError("the DICOM header is cut short or names no syntax", hint=_RESAVE)
    return syntax


def _inflated(file: BinaryIO) -> bytes:
    most = DEFAULT_LIMITS.max_bytes
    file.seek(0)
    data = file.read(most + 1)
    try:
        DEFAULT_LIMITS.check_bytes(data)
        return inflated(data, most)[0]
    except ImageError as error:
        raise DatasetError(error.what, hint=_RESAVE) from None


def _up_to_pixels(file: _Bounded) -> tuple[Dataset, bool]:
    reached = False

    def at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal reached
        reached = int(tag) in _PIXELS
        return reached

    file.seek(0)
    tags: list[Any] = [Tag(name) for name in _FIELDS]
    return read_partial(cast("BinaryIO", file), at_pixels, specific_tags=tags), reached


def _pseudonymous(header: Dataset, key: bytes) -> Header:
    values = {name: _value(header, name) for name in _FIELDS}
    if not values["SOPInstanceUID"]:
        raise DatasetError("the DICOM header has no SOP Instance UID", hint=_RESAVE)
    study = _pseudonym("study", values["StudyInstanceUID"] or values["SOPInstanceUID"], key)
    patient = values["PatientID"]
    return Header(
        instance=_pseudonym("instance", values["SOPInstanceUID"], key),
        series=_pseudonym("series", values["SeriesInstanceUID"], key),
        study=study,
        group=_pseudonym("patient", patient, key) if patient else study,
        frames=_frames(values["NumberOfFrames"]),
        modality=modality_words(values["Modality"].decode("ascii", "replace")),
    )


def _value(header: Dataset, name: str) -> bytes:
    """A field's bytes without their padding; empty where it is missing."""
    value = header.get_item(name).value if name in header else b""
    return value.strip(b" \0") if isinstance(value, bytes) else str(value or "").strip().encode()


def _pseudonym(kind: str, value: bytes, key: bytes) -> str:
    # ``person`` keeps the kinds apart: the same text as a patient and as a study differs.
    return blake2b(value, key=key, person=kind.encode(), digest_size=16).hexdigest()


def _frames(count: bytes) -> int:
    try:
        return frame_count(count)
    except ImageError:
        # Whoever decodes the picture says so, of this file alone.
        return 1


def _names_a_file(record: Dataset) -> bool:
    return bool(record.get("ReferencedFileID"))


def _parts(file_id: Any) -> tuple[str, ...]:
    return (file_id,) if isinstance(file_id, str) else tuple(map(str, file_id))


@lru_cache(maxsize=1)
def _modalities() -> dict[str, str]:
    return cast("dict[str, str]", packaged_table(__package__, "modalities.yaml"))
