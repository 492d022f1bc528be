"""Cross-fitting: every case is answered once, by a run that learnt of no case of its group."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius.cli.main import app
from vesalius.data.open import open_dataset
from vesalius.errors import RecipeError, RunError
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.steps.cross_fit import cross_fit
from vesalius.steps.mix import opened
from vesalius.system.files import write_atomic

CASES = {"train": 12, "validation": 4, "test": 5}
DATA = {"dataset": "phantom", "options": {"cases": CASES, "groups": "near-duplicates"}}


def recipe() -> Recipe:
    return Recipe.model_validate(
        {"name": "vote", "seed": 3, "data": DATA, "model": {"name": "majority"}}
    )


def groups_by_case() -> dict[str, str]:
    dataset = open_dataset("phantom", options=DATA["options"])
    return {case.id: case.group for split in dataset.splits() for case in dataset.cases(split)}


def test_each_case_is_answered_by_a_run_that_did_not_learn_of_its_group(tmp_path: Path) -> None:
    groups = groups_by_case()
    runs = cross_fit(recipe(), tmp_path / "folds", 3)
    answered: list[str] = []
    for run in runs:
        dataset = opened(run.recipe().data)
        learnt, own = ({case.id for case in dataset.cases(split)} for split in ("train", "test"))
        assert own == {row.case for row in run.predictions()}
        assert not {groups[one] for one in own} & {groups[one] for one in learnt}
        answered += own
    assert sorted(answered) == sorted(groups)
    again = cross_fit(recipe(), tmp_path / "folds", 3)  # nothing is left to do
    assert [run.status()["finished"] for run in again] == [run.status()["finished"] for run in runs]


def test_another_recipe_is_refused_and_breaks_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "folds"
    cross_fit(recipe(), folder, 3)
    before = {file: file.read_bytes() for file in folder.glob("*.jsonl")}
    with pytest.raises(RunError, match=r"seed 3 -> 4 \(choose another folder"):
        cross_fit(recipe().model_copy(update={"seed": 4}), folder, 3)
    cross_fit(recipe(), folder, 4)  # beside the others
    assert {file: file.read_bytes() for file in before} == before
    cross_fit(recipe(), folder, 3)


def test_two_folds_leave_nothing_to_validate_on(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="at least 3 folds, not 2"):
        cross_fit(recipe(), tmp_path / "folds", 2)
    with pytest.raises(RecipeError, match=r"groups \(patients\), fewer than 90 folds"):
        cross_fit(recipe(), tmp_path / "folds", 90)


@pytest.mark.slow
def test_labels_are_audited_by_a_recipe(tmp_path: Path) -> None:
    training = "{epochs: 1, batch: 8}"
    write_atomic(
        tmp_path / "a.yaml",
        "name: a\ndata: {dataset: phantom, task: detect}\n"
        f"model: {{name: nanodet, size: tiny, image_size: 64, training: {training}}}\n",
    )
    options = ["--set", "cases={train: 9, validation: 3, test: 3}", "--folds", "3"]
    files = ["--labels", str(tmp_path / "a.yaml"), "--out", str(tmp_path / "labels.html")]
    done = CliRunner().invoke(app, ["data", "audit", "phantom", *options, *files])
    assert done.exit_code == 0, done.output
    assert "of 15 pictures" in done.output
    folds = sorted((tmp_path / "labels-folds").glob("fold-?-of-?"))
    assert [Run.open(fold).status()["state"] for fold in folds] == ["fitted"] * 3
