"""Rubrics: what a judge grades, as data."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from vesalius.cases.rating import ERROR_TAGS, FAULTS, SCALES, SEVERITY
from vesalius.errors import UnknownName
from vesalius.settings import Frozen, read_yaml, validated


class Axis(Frozen):
    """A question that a judge answers with a grade."""

    asks: str = Field(min_length=1, max_length=200)
    """What the grade is of, as a question."""
    grades: dict[str, int] = Field(default_factory=dict)
    """The words that a judge may answer with, and their grades; none: it answers with a number."""


class Rubric(Frozen):
    """What a judge grades: axes that a rating has, errors with their meaning, their levels."""

    axes: dict[str, Axis] = Field(default_factory=dict)
    errors: dict[str, str] = Field(default_factory=dict)
    levels: dict[str, float] = Field(default_factory=dict, max_length=len(SCALES[SEVERITY]) - 1)
    """How grave an error is, the least first, with a weight from 0 to 1. With levels the axis
    ``severity`` is that of the worst error."""

    @model_validator(mode="after")
    def _axes_of_ratings(self) -> Self:
        for name, axis in self.axes.items():
            if name not in SCALES or (name == SEVERITY and self.levels):
                raise ValueError(UnknownName("axis", name, set(SCALES) - {SEVERITY}).args[0])
            if beyond := [grade for grade in axis.grades.values() if grade not in SCALES[name]]:
                raise ValueError(f"axes.{name}: {beyond[0]} is not on its scale")
        if not (self.axes or self.levels):
            raise ValueError("grades nothing: name axes, or errors with levels")
        return self

    @model_validator(mode="after")
    def _errors_of_ratings(self) -> Self:
        for tag in self.errors:
            if tag not in FAULTS + ERROR_TAGS:
                raise ValueError(UnknownName("error", tag, FAULTS + ERROR_TAGS).args[0])
        weights = list(self.levels.values())
        if self.levels and not self.errors:
            raise ValueError("levels are of errors: name them, too")
        if any(not 0 <= weight <= 1 for weight in weights):
            raise ValueError("levels: a weight lies in [0, 1]")
        if any(first > second for first, second in pairwise(weights)):
            raise ValueError("levels: the least grave comes first")
        return self

    @property
    def graded(self) -> tuple[str, ...]:
        """The axes of the ratings that it leads to."""
        return (*self.axes, *((SEVERITY,) if self.levels else ()))

    def digest(self) -> str:
        """A hash of what it asks."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def rubric(name: str) -> Rubric:
    """The packaged rubric of that name, or the one in a YAML file.

    UnknownName for neither; RecipeError names the key of a file that is wrong.
    """
    if name.endswith((".yaml", ".yml")):
        return validated(Rubric, read_yaml(Path(name)), where=name)
    known = read_yaml(Path(str(files(__package__) / "rubrics.yaml")))
    if name not in known:
        raise UnknownName("rubric", name, known)
    return validated(Rubric, known[name], where=name)
