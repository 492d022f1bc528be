"""Where a picture stands among others of a patient: order and time, without who or when.

What DICOM names a patient, a study and a series by is kept as keyed hashes, a study's day as a
number of days from a day of the patient's own that nobody is told. So two pictures can be compared
(of one patient? how many days apart?), and neither says anything alone. Source: PS3.15 E.3.6,
longitudinal information with modified dates; PS3.3 C.7.6.2 for positions.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self, TypeVar

from pydicom.dataset import Dataset

T = TypeVar("T")
_DAYS = 100 * 365
"""How far a patient's days are moved, at most."""


@dataclass(frozen=True, slots=True)
class SeriesPlace:
    """Of one picture; None where its header does not say.

    ``patient``, ``study``, ``series``: hashes under a key. ``day``: comparable among pictures of
    one patient only. ``position``: mm along ``normal``, the direction in which slices follow each
    other (PS3.3 C.7.6.2.1.1: patient axes). ``number``: the instance number.
    """

    patient: str | None = None
    study: str | None = None
    series: str | None = None
    day: int | None = None
    position: float | None = None
    normal: tuple[float, float, float] | None = None
    number: int | None = None

    def to_row(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """From :meth:`to_row`."""
        normal = row.get("normal")
        return cls(**row | {"normal": None if normal is None else tuple(normal)})


def series_place(file: Dataset, key: bytes) -> SeriesPlace:
    """The place of a DICOM object of one frame; of one of several, whose it is and its day.

    What cannot be read is None: nothing here decides whether a picture is taken.
    """
    patient = _text(file, "PatientID")

    def hashed(kind: str, name: str) -> str | None:
        text = _text(file, name)
        return _mac(key, kind, text).hex()[:40] if text else None

    position, normal = (None, None) if _several(file) else _position(file)
    return SeriesPlace(
        patient=hashed("patient", "PatientID"),
        study=hashed("study", "StudyInstanceUID"),
        series=hashed("series", "SeriesInstanceUID"),
        day=_day(file, _mac(key, "days", patient)) if patient else None,
        position=position,
        normal=normal,
        number=_or_none(lambda: int(str(file.InstanceNumber))),
    )


def _mac(key: bytes, kind: str, text: str) -> bytes:
    return hmac.digest(key, f"{kind}\0{text}".encode("utf-8", "replace"), hashlib.sha256)


def _several(file: Dataset) -> bool:
    return (_or_none(lambda: int(str(file.get("NumberOfFrames") or 1))) or 1) > 1


def _text(file: Dataset, name: str) -> str:
    return _or_none(lambda: str(file.get(name) or "").strip("\0 ")) or ""


def _day(file: Dataset, mac: bytes) -> int | None:
    """The study's day, moved by as many days as the patient's hash says."""
    text = _text(file, "StudyDate").replace(".", "")
    day = _or_none(lambda: datetime.strptime(text, "%Y%m%d").toordinal())  # noqa: DTZ007  # a day
    return None if day is None else day - int.from_bytes(mac[:4], "big") % _DAYS


def _position(file: Dataset) -> tuple[float | None, tuple[float, float, float] | None]:
    """(mm along the normal, the normal): the scalar product with the plane's cross product."""
    at = _numbers(file, "ImagePositionPatient", 3)
    axes = _numbers(file, "ImageOrientationPatient", 6)
    if at is None or axes is None:
        return None, None
    (a, b, c), (d, e, f) = axes[:3], axes[3:]
    cross = (b * f - c * e, c * d - a * f, a * e - b * d)
    length = math.hypot(*cross)
    if not 0.5 < length < 2:  # axes of no plane
        return None, None
    x, y, z = (round(value / length, 3) + 0.0 for value in cross)
    return round(sum(p * n for p, n in zip(at, cross, strict=True)) / length, 4), (x, y, z)


def _numbers(file: Dataset, name: str, count: int) -> list[float] | None:
    values = _or_none(lambda: [float(value) for value in file.get(name) or ()])
    right = values is not None and len(values) == count and all(map(math.isfinite, values))
    return values if right else None


def _or_none(read: Callable[[], T]) -> T | None:
    """What is read, or None: pydicom raises errors of many kinds where an element is broken."""
    try:
        return read()
    except Exception:  # noqa: BLE001
        return None
