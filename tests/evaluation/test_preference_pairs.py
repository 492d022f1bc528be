"""Preference pairs: the better answer by one rater, who is hashed and not found by guessing."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.cases.rating import Rating
from vesalius.errors import NotComparable, RunError, UnknownName
from vesalius.evaluation.preference_pairs import preference_pairs
from vesalius.evaluation.rated_systems import review_name
from vesalius.recipe import Recipe
from vesalius.run import Run


def made(path: Path, *texts: str, question: str = "modality?") -> Run:
    recipe = {"name": path.name, "data": {"dataset": "phantom"}, "model": {"name": "majority"}}
    run = Run.create(path, Recipe.model_validate(recipe))
    run.append([Prediction(f"q{i}", Answer(t), question=question) for i, t in enumerate(texts)])
    return run


def rated(run: Run, rater: str, *grades: int) -> list[Rating]:
    name = review_name(run)
    return [Rating(name, f"q{i}", rater, {"accuracy": grade}) for i, grade in enumerate(grades)]


def test_the_higher_graded_answer_is_chosen(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one", "ct", "mr", "x-ray"), made(tmp_path / "two", "mr", "mr", "us")
    ratings = rated(one, "ana", 5, 4, 2) + rated(two, "ana", 1, 5, 2) + rated(two, "bo", 1, 1, 1)
    # q0: 5 over 1; q1: the same words; q2: the same grade; bo rated one of the two only
    (row,) = preference_pairs([one, two], ratings)
    assert row | {"rater": ""} == {
        "id": "q0", "prompt": "modality?", "picture": None, "chosen": "ct", "rejected": "mr",
        "chosen_run": "one", "rejected_run": "two", "axis": "accuracy", "margin": 4, "rater": "",
    }  # fmt: skip


def test_raters_are_told_apart_and_not_found(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one", "ct", "mr"), made(tmp_path / "two", "mr", "ct")
    ratings = [
        rating
        for rater in ("ana", "bo")
        for run, grades in ((one, (5, 5)), (two, (1, 2)))
        for rating in rated(run, rater, *grades)
    ]
    rows, again = (preference_pairs([one, two], ratings) for _ in range(2))
    assert len(rows) == 4
    hashes = {row["rater"] for row in rows}
    assert len(hashes) == 2
    assert hashes.isdisjoint({row["rater"] for row in again})
    assert not any(sha256(name.encode()).hexdigest()[:16] in hashes for name in ("ana", "bo"))


def test_what_makes_no_pairs_is_refused(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one", "ct"), made(tmp_path / "two", "mr")
    ratings = rated(one, "ana", 5) + rated(two, "ana", 1)
    with pytest.raises(RunError, match="two runs or more"):
        preference_pairs([one], ratings)
    with pytest.raises(RunError, match="of a review of this run's answers"):
        preference_pairs([one, two], rated(one, "ana", 5))
    with pytest.raises(RunError, match="of a review of this run's answers"):
        preference_pairs([one, two], [Rating("", "q0", "ana", {"accuracy": 5})])
    with pytest.raises(UnknownName, match="accuracy"):
        preference_pairs([one, two], ratings, "acuracy")
    other = made(tmp_path / "other", "mr", question="plane?")
    with pytest.raises(NotComparable, match="other questions for it"):
        preference_pairs([one, other], rated(one, "ana", 5) + rated(other, "ana", 1))
