"""A study as its reader sees it: where to begin, what is beside it, what a model is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("pydantic", reason="the extra serve is not installed")

from vesalius.service.http.study_schemas import SeriesOut, StudyOut
from vesalius.service.web import series

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def of(
    name: str, count: int, role: Any = None, days: int | None = None, modality="CT"
) -> SeriesOut:
    ids = [f"{name}{n}" for n in range(count)]
    return SeriesOut(image_ids=ids, modality=modality, role=role, days=days, warnings=[])


def study(*parts: SeriesOut) -> StudyOut:
    ids = [one for part in parts for one in part.image_ids]
    return StudyOut(
        study_id="std_1", files=len(ids), image_ids=ids, series=list(parts), warnings=[],
        created_at=NOW, expires_at=NOW,
    )  # fmt: skip


def test_one_begins_in_the_middle_of_what_is_current() -> None:
    assert series.first_look(study(of("p", 4, "prior", -9), of("c", 5, "current", 0))) == "c2"


def test_a_picture_of_another_series_lies_at_the_same_share() -> None:
    long, short = of("c", 10), of("p", 5)
    assert [series.counterpart(f"c{n}", long, short) for n in (0, 4, 9)] == ["p0", "p2", "p4"]
    assert [series.counterpart(f"p{n}", short, long) for n in (0, 4)] == ["c1", "c9"]
    assert series.counterpart("c7", long, of("x", 1)) == "x0"


def test_what_a_series_is_called() -> None:
    assert series.label(of("c", 30, "prior", -365)) == "CT, 30 pictures, prior, 365 days before"
    assert series.label(of("c", 1, "current", 0, None)) == "1 picture, current"
    assert series.label(of("c", 2, None, 1)) == "CT, 2 pictures, 1 day after"
    assert series.title(study(of("a", 1), of("b", 1, modality="MR"))) == "CT and MR study"
    assert series.title(study(of("a", 2, modality=None))) == "Study"


def test_a_model_is_offered_what_it_can_look_at_priors_first() -> None:
    whole = study(of("o", 4, "prior", -900), of("p", 4, "prior", -365), of("c", 4, "current", 0))
    assert series.choices(whole, "c3", 8) == {
        "This picture": ["c3"],
        "With the prior of 365 days before": ["p3", "c3"],
        "All 4 of this series": ["c0", "c1", "c2", "c3"],
    }
    assert list(series.choices(whole, "c3", 2)) == [
        "This picture", "With the prior of 365 days before",
    ]  # fmt: skip
    assert series.choices(whole, "c3", 1) == {"This picture": ["c3"]}
    assert "All 12 of the study" in series.choices(whole, "p1", 12)
    assert not any("prior" in name for name in series.choices(whole, "p1", 12))


def test_the_prior_is_of_the_same_modality_where_one_is() -> None:
    parts = of("m", 2, "prior", -3, "MR"), of("p", 2, "prior", -99), of("c", 2, "current", 0)
    assert series.choices(study(*reversed(parts[:2]), parts[2]), "c0", 2)[
        "With the prior of 99 days before"
    ] == ["p0", "c0"]
    undated = study(of("m", 2, "prior", None, "MR"), parts[2])
    assert series.choices(undated, "c0", 2)["With the prior"] == ["m0", "c0"]


def test_equal_choices_stand_once_and_a_picture_that_went_stands_alone() -> None:
    whole = study(of("a", 3))
    assert list(series.choices(whole, "a0", 8)) == ["This picture", "All 3 of this series"]
    assert series.choices(whole, "gone", 8) == {"This picture": ["gone"]}
