"""Answers held against the questions that they are of: what is missing and invented has a name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius import Recipe, Run, fit, predict
from vesalius.cli.main import app
from vesalius.errors import RunError, UnknownName
from vesalius.run import read_predictions
from vesalius.steps.coverage import coverage_of
from vesalius.steps.evaluate import evaluate

CALL = CliRunner(env={"COLUMNS": "200"})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    options = {"cases": {"train": 4, "validation": 1, "test": 4}, "size": 40}
    recipe = {"name": "r", "data": {"dataset": "phantom", "options": options}}
    whole = recipe | {"model": {"name": "majority"}, "evaluation": {"resamples": 20}}
    run = fit(Recipe.model_validate(whole), tmp_path / "run")
    predict(run)
    return run


def altered(run: Run, target: Path) -> tuple[str, str]:
    """The run's answers without the first, and one more that answers nothing; both ids."""
    rows = [json.loads(line) for line in run.predictions_file().read_text().splitlines()]
    rows.append(rows[1] | {"id": "made-up/1"})
    target.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    return rows[0]["id"], "made-up/1"


def test_missing_and_invented_ids_of_a_file(run: Run, tmp_path: Path) -> None:
    file, recipe = tmp_path / "theirs.jsonl", run.path / "recipe.yaml"
    missing, invented = altered(run, file)
    n = len(list(run.predictions()))
    for questions in (run.path, recipe):
        held = coverage_of(list(read_predictions(file)), questions)
        assert (held.missing, held.invented, held.questions) == ((missing,), (invented,), n)
    assert list(coverage_of(list(run.predictions()), run.path).sentences()) == []


@pytest.mark.parametrize("more", [[], ["--protocol", "strict,squad_v2"]])
def test_the_command_names_them_where_it_is_told_the_questions(
    run: Run, tmp_path: Path, more: list[str]
) -> None:
    file, saved = tmp_path / "theirs.jsonl", tmp_path / "scores.json"
    missing, invented = altered(run, file)
    quick = ["evaluate", str(file), "--resamples", "0", *more]
    told = CALL.invoke(app, [*quick, "--questions", str(run.path), "--save", str(saved)])
    assert told.exit_code == 0, told.output
    assert f"questions of phantom (test) has no answer: {missing!r}." in told.output
    assert (
        f"1 answer is to no question of phantom (test), and scored all the same: {invented!r}"
        in (told.output)
    )
    if not more:
        assert json.loads(saved.read_text())["coverage"]["missing"] == [missing]
    assert "has no answer" not in CALL.invoke(app, quick).output


def test_a_run_whose_answers_were_changed_is_held_against_its_own_data(run: Run) -> None:
    assert evaluate(run).coverage == {}
    missing, invented = altered(run, run.predictions_file())
    coverage = evaluate(run).coverage
    assert (coverage["missing"], coverage["invented"]) == ((missing,), (invented,))
    told = CALL.invoke(app, ["evaluate", str(run.path)]).output
    assert f"has no answer: {missing!r}" in told
    page = run.path / "report.html"
    assert CALL.invoke(app, ["report", str(run.path)]).exit_code == 0
    assert "made-up/1" in page.read_text()


def test_answers_to_the_first_questions_miss_none_of_the_others(run: Run) -> None:
    run.predictions_file().unlink()
    run.note(predictions={})
    predict(run, limit=3)
    lines = run.predictions_file().read_text().splitlines(keepends=True)
    run.predictions_file().write_text("".join(lines[:2]))
    gone = json.loads(lines[2])["id"]
    assert evaluate(run).coverage["missing"] == (gone,)


def test_a_later_call_with_a_lower_limit_makes_no_answer_an_invented_one(run: Run) -> None:
    predict(run, limit=3)  # all were there before
    missing, invented = altered(run, run.predictions_file())
    coverage = evaluate(run).coverage
    assert (coverage["missing"], coverage["invented"]) == ((missing,), (invented,))


def test_answers_to_another_split_are_held_against_that(tmp_path: Path, run: Run) -> None:
    other = fit(run.recipe(), tmp_path / "other")
    predict(other, split="validation")
    missing, _ = altered(other, other.predictions_file())
    coverage = evaluate(other).coverage
    assert coverage["of"] == "phantom (validation)"
    assert coverage["missing"] == (missing,)


def test_where_the_data_are_gone_only_the_count_is_told(run: Run) -> None:
    altered(run, run.predictions_file())
    recipe = run.path / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("dataset: phantom", "dataset: vqa_rad"))
    text = recipe.read_text()
    assert "vqa_rad" in text
    assert evaluate(run, metrics=["squad"], resamples=0).coverage == {}


def test_what_is_no_run_recipe_or_set_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean phantom"):
        coverage_of([], "phantoms")
    file = tmp_path / "theirs.jsonl"
    altered(run, file)
    of_run = CALL.invoke(app, ["evaluate", str(run.path), "--questions", "phantom"])
    assert isinstance(of_run.exception, RunError)
    assert "a run knows its own questions" in str(of_run.exception)


def test_a_file_without_predictions_is_refused_not_scored_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    for more in ([], ["--protocol", "strict"]):
        done = CALL.invoke(app, ["evaluate", str(tmp_path / "empty.jsonl"), *more])
        assert isinstance(done.exception, RunError)
        assert "there are no predictions in it" in str(done.exception)


def test_a_claim_says_what_answers_it_is_checked_on(run: Run, tmp_path: Path) -> None:
    claims = [{"better_than": str(run.path), "metric": "squad.em"}]
    claimed = run.recipe().model_dump(mode="json") | {"claims": claims}
    second = fit(Recipe.model_validate(claimed), tmp_path / "second")
    predict(second)
    whole = CALL.invoke(app, ["claim", str(second.path)]).output
    assert "no answer" not in whole
    missing, _ = altered(second, second.predictions_file())
    assert f"has no answer: {missing!r}" in CALL.invoke(app, ["claim", str(second.path)]).output
