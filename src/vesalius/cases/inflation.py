"""DICOM's deflated transfer syntax unpacked, no further than is allowed (PS3.5 A.5)."""

from __future__ import annotations

import zlib
from io import BytesIO

from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from vesalius.cases.headers import is_bare_dicom
from vesalius.errors import ImageError

_META = 132  # after the preamble and its mark
NOT_DEFLATED = "the header names the deflated transfer syntax, but the data are not deflated"


def inflated(data: bytes, most: int) -> tuple[bytes, tuple[str, ...]]:
    """A DICOM file as Explicit VR Little Endian where it is deflated, and what is odd about that.

    Any other file is returned as it is. Raises ImageError (image_too_large) where what is
    unpacked has more than ``most`` bytes, and image_corrupt where it cannot be unpacked.
    """
    start = _end_of_meta(data)
    if start is None:
        return data, ()
    packed = data[start:]
    bare = is_bare_dicom(packed[:16])
    plain = packed if bare else _unpacked(packed, most)
    # Of the same length, so that no other length in the header changes.
    plain_syntax = ExplicitVRLittleEndian.encode().ljust(len(DeflatedExplicitVRLittleEndian), b"\0")
    meta = data[:start].replace(DeflatedExplicitVRLittleEndian.encode(), plain_syntax)
    return meta + plain, (NOT_DEFLATED,) if bare else ()


def _end_of_meta(data: bytes) -> int | None:
    """Where the data set begins, if the header names the deflated syntax; else None."""
    file = BytesIO(data)
    file.seek(_META)
    try:
        meta = read_dataset(file, False, True, stop_when=_beyond_meta)
        syntax = meta.get("TransferSyntaxUID")
    except Exception:  # noqa: BLE001
        # Whoever reads the header next says what is wrong with it.
        return None
    return file.tell() if syntax == DeflatedExplicitVRLittleEndian else None


def _beyond_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return bool(tag >> 16 != 2)


def _unpacked(packed: bytes, most: int) -> bytes:
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = unpacking.decompress(packed, most + 1)
    except zlib.error as error:
        raise ImageError("image_corrupt", "the deflated DICOM data cannot be unpacked") from error
    if len(plain) > most:
        raise ImageError(
            "image_too_large",
            f"unpacked, the DICOM data have more than the {most:,} bytes allowed",
            hint="save it as Explicit VR Little Endian, with fewer frames",
        )
    if not unpacking.eof:
        raise ImageError("image_truncated", "the deflated DICOM data are cut short")
    return plain
