"""Smaller sets of members beside the whole: nobody is fitted or asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vesalius import Recipe, Run
from vesalius.errors import RunError
from vesalius.models.majority import Majority
from vesalius.steps.ablate import ablate, subsets
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.predict import predict

CASES = {"train": 6, "validation": 1, "test": 3}
DATA = {"dataset": "phantom", "task": "caption", "options": {"cases": CASES, "size": 32}}
MEMBERS = {name: {"name": "majority"} for name in ("a", "b", "c")}
FUSER = {"name": "fuser", "tiny": True, "kind": "seq2seq", "training": {"max_steps": 1}}


def fitted(folder: Path, model: dict[str, Any], split: str | None = None, **more: Any) -> Run:
    content = {"name": "whole", "data": DATA, "model": model, "decoding": {"max_new_tokens": 4}}
    scores = {"metrics": ["rouge"], "watch": "rouge.L", "resamples": 20}
    run = fit(Recipe.model_validate({**content, "evaluation": scores, **more}), folder)
    predict(run, split=split)
    return run


def test_every_smaller_set_the_larger_ones_first() -> None:
    assert list(subsets(["a", "b", "c"], 1)) == [
        ("a", "b"), ("a", "c"), ("b", "c"), ("a",), ("b",), ("c",),
    ]  # fmt: skip
    assert len(list(subsets("abcd", 2))) == 4 + 6


@pytest.mark.slow
def test_a_fuser_without_some_members_is_fitted_on_the_same_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fitted(tmp_path / "run", {**FUSER, "members": MEMBERS}, folds=2)
    before = {path: path.stat().st_mtime_ns for path in (run.path / "members").rglob("*.json*")}

    def never(*_: Any) -> None:
        raise AssertionError("a member is fitted again")

    monkeypatch.setattr(Majority, "fit", never)
    table = ablate(run)
    assert [row.name for row in table.rows] == ["run", "a+b", "a+c", "b+c"]
    assert table.baseline == "run"
    assert table.shared == 3
    assert before == {path: path.stat().st_mtime_ns for path in before}
    part = Run.open(run.path / "subsets" / "a+c")
    assert part.status()["candidates"] == 2 * run.status()["candidates"] / 3
    for whole, some in zip(run.predictions(), part.predictions(), strict=True):
        told = {one.member: one.answer for one in whole.member_answers}
        assert {one.member: one.answer for one in some.member_answers} == {
            key: told[key] for key in ("a", "c")
        }
    # It is a run like any other: its members are the whole's.
    again = load(part).predict([], part.recipe().decoding)
    assert again == []
    assert ablate(run).rows[1].name == "a+b"  # nothing is fitted twice


@pytest.mark.slow
def test_what_learns_nothing_and_what_cannot_be_left_out(tmp_path: Path) -> None:
    whole = fitted(tmp_path / "run", {"name": "consensus", "members": MEMBERS})
    assert [row.name for row in ablate(whole).rows] == ["run", "a+b", "a+c", "b+c"]
    with pytest.raises(RunError, match="there is no smaller set of at least 3"):
        ablate(whole, least=3)
    whole.predictions_file("").unlink()
    with pytest.raises(RunError, match="has no predictions"):
        ablate(whole)
    with pytest.raises(RunError, match="majority wraps no members"):
        ablate(Run.open(whole.path / "members" / "a"))


def test_smaller_sets_answer_the_split_that_the_whole_answered(tmp_path: Path) -> None:
    whole = fitted(tmp_path / "run", {"name": "consensus", "members": MEMBERS}, "validation")
    table = ablate(whole)
    assert table.shared == 1  # the one validation case; none of the three of the test split
