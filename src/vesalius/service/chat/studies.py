"""Pictures of one study in order: series, positions, what is prior and what is current.

Nothing is left out: what does not fit (a slice that is missing, another size) is a warning. One
thing is refused: pictures of two patients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Literal

from vesalius.cases.series import SeriesPlace
from vesalius.errors import Refusal
from vesalius.service.store.records import Image

Role = Literal["prior", "current"]
GAP = 1.5
"""How many times the usual distance of two slices says that one is missing between them."""
TOLD = 3
"""Gaps of one series that are told one by one."""
NOWHERE = SeriesPlace()


@dataclass(frozen=True, slots=True)
class Series:
    """Pictures in the order of their positions; ``days`` from the current examination (0)."""

    images: tuple[Image, ...]
    days: int | None = None
    role: Role | None = None
    warnings: tuple[str, ...] = ()

    @property
    def place(self) -> SeriesPlace:
        """That of its first picture, whose study and day are those of all."""
        return _place(self.images[0])

    @property
    def examination(self) -> Hashable:
        """What two series of one visit share."""
        return self.place.study or self.place.day


@dataclass(frozen=True, slots=True)
class Arranged:
    """The series of a study, priors first; the last one is current, if that is known."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...]


def arranged(images: Sequence[Image], current: str | None = None) -> Arranged:
    """The pictures by series, and in each by position; none is lost.

    ``current``: a picture of the current examination; by default that of the last day, where every
    series has one. Refusal ``two_patients``.
    """
    require_one_patient(images)
    groups: dict[Hashable, list[Image]] = {}
    for image in images:
        groups.setdefault(_place(image).series, []).append(image)
    series = [_ordered(group) for group in groups.values()]
    now = _current(series, current)
    warnings = list(_unknown_patients(images))
    if now is None and len(series) > 1:
        what = "which examination is the current one is not known, for their days are not"
        warnings.append(f"{what}: name one of its pictures as current")
    dated = [_dated(one, now) for one in series]
    if later := max((one.days or 0 for one in dated), default=0):
        warnings.append(f"a series is of {later} days after the current one, as it was named")
    # Python's sort is stable: series of one day stay in the order in which they were named.
    dated.sort(key=lambda one: (one.role == "current", one.days is not None, one.days or 0))
    return Arranged(tuple(dated), tuple(warnings))


def require_one_patient(images: Sequence[Image]) -> None:
    """Refusal where the headers named more than one patient; by hashes, so it names none."""
    patients = {place.patient for place in map(_place, images) if place.patient}
    if len(patients) > 1:
        what = f"a study is of one patient, and these pictures are of {len(patients)}"
        raise Refusal("two_patients", what, hint="make a study of each patient's pictures")


def _place(image: Image) -> SeriesPlace:
    return image.place or NOWHERE


def _unknown_patients(images: Sequence[Image]) -> list[str]:
    places = [_place(image) for image in images if image.kind == "dicom"]
    nameless = sum(place.patient is None for place in places)
    if not nameless or len(images) < 2:
        return []
    what = f"{nameless} of {len(images)} pictures name no patient"
    return [f"{what}: whether all are of one was not compared"]


def _ordered(images: list[Image]) -> Series:
    """One series, by position, else by number, else as it was named."""
    places = [_place(image) for image in images]
    warnings = list(_sizes(images))
    if len(images) == 1:
        return Series(tuple(images), warnings=tuple(warnings))
    if all(p.position is not None for p in places) and len({p.normal for p in places}) == 1:
        images = sorted(images, key=lambda one: _place(one).position or 0.0)
        warnings += _gaps([_place(image).position or 0.0 for image in images])
    elif all(place.number is not None for place in places):
        images = sorted(images, key=lambda one: _place(one).number or 0)
        warnings.append("not every picture has a position in one direction: ordered by number")
    elif any(image.kind == "dicom" for image in images):
        warnings.append("neither positions nor numbers are there: ordered as they were named")
    return Series(tuple(images), warnings=tuple(warnings))


def _sizes(images: Sequence[Image]) -> list[str]:
    sizes = Counter((image.width, image.height) for image in images).most_common()
    if len(sizes) == 1:
        return []
    each = ", ".join(f"{width} x {height} ({count})" for (width, height), count in sizes[:4])
    more = f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""
    return [f"its pictures have {len(sizes)} sizes: {each}{more}"]


def _gaps(positions: Sequence[float]) -> list[str]:
    """Where slices seem to be missing, or lie in one place; pictures are counted from 1."""
    steps = [after - before for before, after in pairwise(positions)]
    apart = [step for step in steps if step > 0]
    warnings = []
    if same := len(steps) - len(apart):
        warnings.append(f"{same} of its pictures lie where another one does")
    usual = median(apart) if len(apart) > 1 else 0.0
    gaps = [(at, step) for at, step in enumerate(steps, 1) if usual and step > GAP * usual]
    for at, step in gaps[:TOLD]:
        missing = max(1, round(step / usual) - 1)
        slices = "1 slice seems" if missing == 1 else f"{missing} slices seem"
        where = f"between pictures {at} and {at + 1}, {slices} to be missing"
        warnings.append(f"{where}: they are {step:.4g} mm apart, others {usual:.4g}")
    if len(gaps) > TOLD:
        warnings.append(f"and so at {len(gaps) - TOLD} more places")
    return warnings


def _current(series: Sequence[Series], named: str | None) -> Series | None:
    """A series of the current examination: the one named, or the last day's; None: not known."""
    if named is not None:
        return next(one for one in series if named in {image.id for image in one.images})
    if len({one.examination for one in series}) == 1:
        return series[0]
    if any(one.place.day is None for one in series):
        return None
    return max(series, key=lambda one: one.place.day or 0, default=None)


def _dated(one: Series, now: Series | None) -> Series:
    if now is None:
        return one
    day, today = one.place.day, now.place.day
    days = None if day is None or today is None else day - today
    same = one is now or (one.examination is not None and one.examination == now.examination)
    # Two examinations of one day have no order: neither is the other's prior.
    if same or days == 0:
        return replace(one, days=days, role="current")
    return replace(one, days=days, role="prior" if days is None or days < 0 else None)
