"""``vesalius agree``: by axis, with what is not measured said, and preference pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius import Recipe
from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.cli.main import app
from vesalius.evaluation.rated_systems import System, review_name
from vesalius.run import Run


def made(path: Path) -> Run:
    recipe = {"name": path.name, "data": {"dataset": "phantom"}, "model": {"name": "majority"}}
    run = Run.create(path, Recipe.model_validate(recipe))
    texts = ["ct", "ct of the head", "mr", "us"] * 5
    run.append(
        [
            Prediction(f"q{i}", Answer(f"{text} {path.name}"), references=(Answer("ct"),))
            for i, text in enumerate(texts)
        ]
    )
    return run


def written(path: Path, run: Run, rater: str, shift: int = 0) -> Path:
    rows = [f"{review_name(run)},q{i},{rater},{3 + (i % 2) + shift}\n" for i in range(20)]
    path.write_text("review,id,rater,accuracy\n" + "".join(rows))
    return path


def invoke(*words: object) -> tuple[int, str, str]:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["agree", *map(str, words)])
    return done.exit_code, done.output, str(done.exception or "")


def test_figures_by_axis(tmp_path: Path) -> None:
    run = made(tmp_path / "one")
    files = written(tmp_path / "a.csv", run, "ana"), written(tmp_path / "b.csv", run, "bo", 1)
    save = tmp_path / "figures.json"
    code, out, error = invoke(*files, "--run", run.path, "--save", save)
    assert code == 0, error
    assert "agreement (ordinal alpha)" in out
    assert "squad.f1: Kendall's tau-b" in out
    figures = json.loads(save.read_text())["accuracy"]
    assert "bo: above the others by" in out
    gaps = [one["value"] for name, one in figures.items() if name.endswith("above the others by")]
    assert gaps == [1, -1]
    assert not {"ana", "bo"} & {name.partition(":")[0] for name in figures}  # hashes in files
    assert figures["in groups"] == 20
    wide, listed = written(tmp_path / "c.csv", run, "cy", -2), tmp_path / "disputed.jsonl"
    code, out, error = invoke(files[0], wide, "--run", run.path, "--disputed", listed)
    assert code == 0, error
    assert "20 to adjudicate in" in out
    assert sorted(json.loads(listed.read_text().splitlines()[0])["grades"].values()) == [1, 3]
    assert "ana" not in listed.read_text()
    code, out, _ = invoke(files[0])
    assert code == 0
    assert "not measured" in out
    assert "accuracy: there is one rater, and agreement needs two" in out


def test_errors_of_page_package_and_judge_read_alike(tmp_path: Path) -> None:
    path, save = tmp_path / "a.csv", tmp_path / "figures.json"
    rows = ("q0,ana,2,wrong_side", "q1,ana,5,", "q0,judge:x,1,side;number", "q1,judge:x,4,")
    path.write_text("id,rater,accuracy,errors\n" + "\n".join(rows) + "\n")
    code, out, error = invoke(path, "--save", save)
    assert code == 0, error
    assert "side: agreement (AC1)" in out
    errors = json.loads(save.read_text())["errors"]
    assert (errors["side: marked"], errors["side: of answers"]) == (1, 2)
    assert errors["side: agreement (AC1)"]["value"] == 1
    assert errors["number: agreement (AC1)"]["value"] < 1


def test_references_and_runs_beside_one_another(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    experts = System.of_references(one.predictions()).review
    assert experts == System.of_references(two.predictions()).review
    path, save = tmp_path / "a.csv", tmp_path / "figures.json"
    graded = ((review_name(one), 2), (review_name(two), 3), (experts, 5))
    rows = [f"{name},q{i},ana,{grade - i % 2}" for name, grade in graded for i in range(20)]
    path.write_text("review,id,rater,accuracy\n" + "\n".join(rows) + "\n")
    code, out, error = invoke(path, "--run", one.path, "--run", two.path, "--save", save)
    assert code == 0, error
    facts = json.loads(save.read_text())["accuracy"]
    assert facts["references: mean grade"]["value"] == 4.5
    assert facts["two minus one"] == {"value": 1, "low": 1, "high": 1}
    assert facts["references: answers graded"] == 20
    assert "two minus one: least shown 4 times in 5" in out
    assert "squad.f1: Spearman's rho" in facts
    code, _, error = invoke(path, "--run", two.path, "--save", save)
    assert code == 0, error
    facts = json.loads(save.read_text())["accuracy"]
    assert facts["answers"] == 40  # and none of the other run's


def test_final_grades_are_used_where_asked(tmp_path: Path) -> None:
    one, save = made(tmp_path / "one"), tmp_path / "figures.json"
    a = written(tmp_path / "a.csv", one, "ana")
    final = tmp_path / "final.jsonl"
    row = {"id": "q0", "rater": "cy", "accuracy": 5, "adjudication": True}
    final.write_text(json.dumps(row | {"review": review_name(one)}) + "\n")
    for words, mean in (((), 3.5), (("--adjudicated",), 3.6)):  # q0: 3, and 5 in its place
        code, out, error = invoke(a, final, "--run", one.path, "--save", save, *words)
        assert code == 0, error
        facts = json.loads(save.read_text())["accuracy"]
        assert facts["one: mean grade"]["value"] == pytest.approx(mean)
        assert facts["raters"] == 1  # an adjudicator is none
        assert ("adjudicated (not used)" in out) == (not words)


def test_preference_pairs(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    files = written(tmp_path / "a.csv", one, "ana"), written(tmp_path / "b.csv", two, "ana", -1)
    out = tmp_path / "pairs.jsonl"
    code, words, error = invoke(*files, "--run", one.path, "--run", two.path, "--pairs", out)
    assert code == 0, error
    assert "20 preference pairs" in words
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["chosen_run"] for row in rows} == {"one"}
    assert "ana" not in out.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{a}", "{a}"), "a second rating of 'q0' by the same rater"),
        (("{a}", "--run", "{two}"), "of a review of this run's answers"),
        (("{a}", "--run", "{one}", "--run", "{two}"), "of a review of this run's answers"),
        (("{a}", "--run", "{one}", "--run", "{one}"), "same answers"),
        (("{a}", "--run", "{one}", "--pairs", "pairs.jsonl"), "two runs or more"),
        (("gone.csv",), "cannot be read"),
    ],
)
def test_bad_input_is_one_line(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    a = written(tmp_path / "a.csv", one, "ana")
    code, _, error = invoke(*(word.format(a=a, one=one.path, two=two.path) for word in words))
    assert code == 1
    assert message in error
    assert "\n" not in error
