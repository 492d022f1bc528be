"""A study as its reader sees it: which series, which picture of it, what is shown beside it."""

from __future__ import annotations

from collections.abc import Sequence

from vesalius.service.http.study_schemas import SeriesOut, StudyOut

ALONE = "This picture"


def first_look(study: StudyOut) -> str:
    """The picture to begin with: the middle one of the last series, which is a current one."""
    image_ids = study.series[-1].image_ids
    return image_ids[len(image_ids) // 2]


def series_with(study: StudyOut, image_id: str) -> SeriesOut | None:
    """The series that a picture stands in; None where it is no longer in the study."""
    return next((one for one in study.series if image_id in one.image_ids), None)


def counterpart(image_id: str, series: SeriesOut, other: SeriesOut) -> str:
    """The picture of another series at the same share of its length."""
    share = (series.image_ids.index(image_id) + 0.5) / len(series.image_ids)
    return other.image_ids[int(share * len(other.image_ids))]


def label(series: SeriesOut) -> str:
    """``CT, 30 pictures, prior, 365 days before``."""
    count = len(series.image_ids)
    facts = (
        series.modality,
        "1 picture" if count == 1 else f"{count} pictures",
        series.role,
        _days(series.days),
    )
    return ", ".join(fact for fact in facts if fact)


def title(study: StudyOut) -> str:
    """``CT study``."""
    modalities = dict.fromkeys(one.modality for one in study.series if one.modality)
    return f"{' and '.join(modalities)} study" if modalities else "Study"


def choices(study: StudyOut, image_id: str, most: int) -> dict[str, list[str]]:
    """What may be shown to a model of at most ``most`` pictures, by how it is called.

    The picture alone, with the nearest prior's, with its series, with its study: priors first, as
    the study has them. Choices of the same pictures stand once.
    """
    series = series_with(study, image_id)
    if series is None:
        return {ALONE: [image_id]}
    offers = {ALONE: [image_id]}
    if prior := _prior(study, series):
        when = f" of {_days(prior.days)}" if prior.days else ""
        offers[f"With the prior{when}"] = [counterpart(image_id, series, prior), image_id]
    offers[f"All {len(series.image_ids)} of this series"] = series.image_ids
    offers[f"All {len(study.image_ids)} of the study"] = study.image_ids
    chosen: dict[str, list[str]] = {}
    for name, image_ids in offers.items():
        if len(image_ids) <= most and image_ids not in chosen.values():
            chosen[name] = image_ids
    return chosen


def _prior(study: StudyOut, series: SeriesOut) -> SeriesOut | None:
    """The latest prior examination of the same modality; None for a series that is one itself."""
    if series.role != "current":
        return None
    priors = [one for one in study.series if one.role == "prior"]
    same = [one for one in priors if one.modality == series.modality]
    return _last(same or priors)


def _last(series: Sequence[SeriesOut]) -> SeriesOut | None:
    return series[-1] if series else None


def _days(days: int | None) -> str | None:
    if not days:
        return None
    count = "1 day" if abs(days) == 1 else f"{abs(days):,} days"
    return f"{count} {'before' if days < 0 else 'after'}"
