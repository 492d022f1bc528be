"""What a DICOM header says that a viewer writes beside the picture; nothing of whose it is.

Sources: PS3.3 C.7.6.1.1.1 (patient orientation), C.7.6.2.1.1 (direction cosines), 10.7.1.3 (which
distances are those in a patient), C.7.6.5 (cine).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from pydicom.dataset import Dataset

from vesalius.cases.dicom_frames import stored_values
from vesalius.cases.dicom_grey import frame_item, own_window, range_without_window, rescaling
from vesalius.cases.display import Display, Pair

T = TypeVar("T")
_OPPOSITE = str.maketrans("RLAPHF", "LRPAFH")
_LETTERS = re.compile(r"[RLAPHF]{1,3}")
_AXES = ("LR", "PA", "HF")
"""Where a patient axis points to, and away from."""
_LEAST = 0.25
"""Of a direction's cosine: a side that is so little turned is not named."""
_SLOWEST, _FASTEST = 0.5, 60.0


def display_of(file: Dataset, frames: int, *, grey: bool) -> Display:
    """What a checked header says; what cannot be read is None, and never a reason to refuse."""
    return Display(
        window=_or_none(lambda: _finite(*window_of(file, frames // 2))) if grey else None,
        sides=_of_all(lambda frame: _sides(file, frame), frames),
        spacing=_of_all(lambda frame: _spacing(file, frame), frames),
        rate=_or_none(lambda: _rate(file)),
        inverted=file.PhotometricInterpretation == "MONOCHROME1",
    )


def window_of(file: Dataset, frame: int) -> Pair:
    """(centre, width) of a grey frame's own view: the header's window, else the range shown.

    Where a VOI table shows it, that is a curve, and this the range of the values below it.
    """
    own = own_window(frame_item(file, frame, "FrameVOILUTSequence"))
    if own is not None and own[1] > 0:
        return own
    scale, stored = rescaling(file, frame), stored_values(file, frame)
    shown, _ = range_without_window(file, scale, stored, scale.applied(stored), own)
    return (shown.low + shown.high) / 2, max(shown.high - shown.low, 1.0)


def _of_all(read: Callable[[int], T | None], frames: int) -> T | None:
    """What is the same in every frame."""
    first = _or_none(lambda: read(0))
    others = (_or_none(partial(read, frame)) for frame in range(1, frames))
    return first if all(other == first for other in others) else None


def _sides(file: Dataset, frame: int) -> tuple[str, str, str, str] | None:
    plane = frame_item(file, frame, "PlaneOrientationSequence")
    cosines = _numbers(plane.get("ImageOrientationPatient"), 6)
    if cosines is None:
        right, lower = (str(part) for part in file.PatientOrientation)
    else:
        right, lower = _direction(cosines[:3]), _direction(cosines[3:])
    if not (_LETTERS.fullmatch(right) and _LETTERS.fullmatch(lower)):
        return None
    return right.translate(_OPPOSITE), right, lower.translate(_OPPOSITE), lower


def _direction(cosines: list[float]) -> str:
    """The letters that a direction goes towards, the foremost first."""
    length = math.hypot(*cosines)
    if not 0.5 < length < 2:
        return ""
    parts = sorted(zip(cosines, _AXES, strict=True), key=lambda part: -abs(part[0]))
    return "".join(
        ends[0 if cosine > 0 else 1] for cosine, ends in parts if abs(cosine) > _LEAST * length
    )


def _spacing(file: Dataset, frame: int) -> Pair | None:
    """In the patient: a projection's spacing is that of its detector, unless it was calibrated."""
    measures = frame_item(file, frame, "PixelMeasuresSequence")
    if "ImagerPixelSpacing" in file and not file.get("PixelSpacingCalibrationType"):
        return None
    spacing = _numbers(measures.get("PixelSpacing"), 2)
    return None if spacing is None or min(spacing) <= 0 else (spacing[0], spacing[1])


def _rate(file: Dataset) -> float | None:
    """Frames a second, as recommended or as taken."""
    for name in ("RecommendedDisplayFrameRate", "CineRate"):
        if file.get(name):
            rate = float(file[name].value)
            break
    else:
        rate = 1000.0 / float(file.FrameTime)
    return rate if _SLOWEST <= rate <= _FASTEST else None


def _numbers(value: Any, count: int) -> list[float] | None:
    numbers = [float(one) for one in value or ()]
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _finite(centre: float, width: float) -> Pair | None:
    return (centre, width) if math.isfinite(centre) and 0 < width < 1e9 > abs(centre) else None


def _or_none(read: Callable[[], T | None]) -> T | None:
    """What is read, or None: pydicom raises errors of many kinds where an element is broken."""
    try:
        return read()
    except Exception:  # noqa: BLE001
        return None
