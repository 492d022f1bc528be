"""Pictures of a study in order: what is told of it, and the one thing that is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vesalius.cases.series import SeriesPlace
from vesalius.errors import Refusal
from vesalius.service.chat.studies import arranged
from vesalius.service.store.records import Image

NOW = datetime(2030, 1, 2, tzinfo=UTC)
UP = (0.0, 0.0, 1.0)


def image(name: str, size: tuple[int, int] = (8, 8), kind: str = "dicom", **at: object) -> Image:
    place = SeriesPlace(**{"patient": "p", "study": "s", "series": "a"} | at)  # type: ignore[arg-type]
    return Image(
        id=name, owner="ada", sha256="", content="", variant="", suffix=".dcm", size=1,
        width=size[0], height=size[1], kind=kind, frames=1, modality="CT", warnings=(),
        burned_in=None, created_at=NOW, expires_at=NOW, place=place if kind == "dicom" else None,
    )  # fmt: skip


def slices(*positions: float, **at: object) -> list[Image]:
    return [image(f"at {mm:g}", position=mm, normal=UP, **at) for mm in positions]


def ids(images: tuple[Image, ...]) -> list[str]:
    return [one.id for one in images]


def test_slices_are_in_the_order_of_their_positions() -> None:
    (series,) = arranged(slices(10, -5, 0, 5)).series
    assert ids(series.images) == ["at -5", "at 0", "at 5", "at 10"]
    assert (series.role, series.warnings) == ("current", ())


def test_a_missing_slice_is_told_with_its_place() -> None:
    # 0 5 10 _ _ 25 30: 15 mm where 5 are usual, so two are missing behind the third
    (series,) = arranged(slices(30, 0, 5, 10, 25)).series
    assert series.warnings == (
        "between pictures 3 and 4, 2 slices seem to be missing: they are 15 mm apart, others 5",
    )
    (series,) = arranged(slices(0, 5, 10, 10)).series
    assert series.warnings == ("1 of its pictures lie where another one does",)
    # gaps of 10, 10, 10, 10 among 1, 1, 1, 1, 1: three are told one by one
    (series,) = arranged(slices(0, 1, 11, 12, 22, 23, 33, 34, 44, 45)).series
    assert len(series.warnings) == 4
    assert series.warnings[-1] == "and so at 1 more places"


def test_mixed_sizes_are_told_and_nothing_is_left_out() -> None:
    pictures = [*slices(0, 5), image("odd", (4, 4), position=10, normal=UP)]
    (series,) = arranged(pictures).series
    assert len(series.images) == 3
    assert series.warnings == ("its pictures have 2 sizes: 8 x 8 (2), 4 x 4 (1)",)


def test_without_positions_the_numbers_order_and_it_is_told() -> None:
    (series,) = arranged([image("b", number=2), image("a", number=1)]).series
    assert ids(series.images) == ["a", "b"]
    assert "ordered by number" in series.warnings[0]
    (series,) = arranged([image("b"), image("a")]).series
    assert ids(series.images) == ["b", "a"]
    assert "as they were named" in series.warnings[0]
    tilted = image("tilted", position=1.0, normal=(0.0, 1.0, 0.0), number=3)
    (series,) = arranged([tilted, *slices(0, number=1)]).series
    assert ids(series.images) == ["at 0", "tilted"]  # two directions: positions do not compare


def test_pictures_without_a_header_stay_as_they_were_named() -> None:
    whole = arranged([image("b", kind="png"), image("a", kind="png")])
    assert ids(whole.series[0].images) == ["b", "a"]
    assert (whole.series[0].warnings, whole.warnings) == ((), ())


def test_the_last_day_is_current_and_those_before_are_prior() -> None:
    now = image("now", study="s2", series="b", day=1100)
    then = image("then", study="s1", series="a", day=1000)
    both = arranged([now, then])
    assert [(ids(s.images), s.role, s.days) for s in both.series] == [
        (["then"], "prior", -100), (["now"], "current", 0),
    ]  # fmt: skip
    same = image("again", study="s2", series="c", day=1100)
    assert [s.role for s in arranged([same, then, now]).series] == ["prior", "current", "current"]


def test_who_sends_them_says_what_is_current() -> None:
    now, then = image("b", study="s2", series="b"), image("a", study="s1", series="a")
    unknown = arranged([now, then])
    assert [s.role for s in unknown.series] == [None, None]
    assert "name one of its pictures as current" in unknown.warnings[0]
    assert [ids(s.images) for s in arranged([now, then], "b").series] == [["a"], ["b"]]
    late = image("late", study="s2", series="b", day=1100)
    early = image("early", study="s1", series="a", day=1000)
    against = arranged([late, early], "early")
    assert [(s.role, s.days) for s in against.series] == [(None, 100), ("current", 0)]
    assert against.warnings == ("a series is of 100 days after the current one, as it was named",)


def test_two_patients_are_refused_by_the_rule() -> None:
    pictures = [image("a"), image("b", patient="q" * 40)]
    with pytest.raises(Refusal) as caught:
        arranged(pictures)
    assert caught.value.code == "two_patients"
    assert "q" * 40 not in str(caught.value)
    nameless = arranged([image("a"), image("b", patient=None)])
    assert nameless.warnings == (
        "1 of 2 pictures name no patient: whether all are of one was not compared",
    )
