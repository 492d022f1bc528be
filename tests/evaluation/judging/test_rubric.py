"""Rubrics as data: the packaged ones, one's own, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from vesalius.cases.rating import AXES, ERROR_TAGS, SCALES
from vesalius.errors import RecipeError, UnknownName
from vesalius.evaluation.judging.rubric import rubric

NAMES = ("correctness", "review", "error_tags", "severity")


def test_the_packaged_ones() -> None:
    assert rubric("correctness").graded == ("correctness",)
    assert rubric("review").graded == AXES
    assert set(rubric("error_tags").errors) == set(ERROR_TAGS)
    assert rubric("severity").graded == ("severity",)
    assert list(rubric("severity").levels.values()) == [0, 0.25, 0.5, 1]
    assert len({rubric(name).digest() for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_grade_of_a_packaged_one_is_on_a_rating_s_scale(name: str) -> None:
    for axis, one in rubric(name).axes.items():
        assert set(one.grades.values()) <= set(SCALES[axis])


def test_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("axes: {clarity: {asks: can a patient read it}}\n")
    assert rubric(str(path)).axes["clarity"].asks == "can a patient read it"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("axes: {}", "grades nothing"),
        ("axes: {beauty: {asks: is it}}", "no axis called 'beauty'"),
        ("axes: {correctness: {asks: is it, grades: {sure: 3}}}", "3 is not on its scale"),
        ("axes: {clarity: {asks: is it}}\nerrors: {typo: a slip}", "no error called 'typo'"),
        ("axes: {clarity: {asks: is it}}\nlevels: {bad: 1.0}", "levels are of errors"),
        ("errors: {side: other}\nlevels: {bad: 1.5}", "a weight lies in"),
        ("errors: {side: other}\nlevels: {bad: 1.0, mild: 0.5}", "least grave comes first"),
        ("errors: {side: other}\nlevels: {a: 0, b: 0, c: 0, d: 0, e: 0}", "at most 4"),
        (
            "axes: {clarity: {ask: is it}}",
            "did you mean axes.clarity.asks",
        ),
        ("- a list", "a mapping"),
    ],
)
def test_what_is_no_rubric_is_refused_in_one_line(
    content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=message) as caught:
        rubric(str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match="correctness"):
        rubric("corectness")
