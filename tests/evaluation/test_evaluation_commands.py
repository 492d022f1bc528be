"""evaluate and compare on the command line."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.cli import evaluation
from vesalius.errors import RecipeError, RunError, UnknownName
from vesalius.evaluation.probe_results import Probes, save_probes
from vesalius.evaluation.probes import unmeasured
from vesalius.evaluation.score import Score
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.system.files import append_lines


@pytest.fixture
def call():
    app = typer.Typer()
    evaluation.register(app)
    # wide enough that no table is cut
    return lambda *args: CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(a) for a in args])


def rows(right):
    return [
        Prediction(
            f"q{i}",
            Answer("yes" if i < right else "no"),
            references=(Answer("yes"),),
            group=f"g{i}",
        )
        for i in range(8)
    ]


@pytest.fixture
def run(tmp_path):
    recipe = {
        "name": "r",
        "data": {"dataset": "phantom"},
        "model": {"name": "majority"},
        "evaluation": {"metrics": ["squad"], "resamples": 20},
    }
    made = Run.create(tmp_path / "r", Recipe.model_validate(recipe))
    made.append(rows(6))
    made.append(rows(3), "blank")
    return made


def test_sets_that_probes_tell_of_are_not_scored_once_more(call, run):
    row = unmeasured(SimpleNamespace(name="x", what="", quantity="flips", sentence=""), "no")
    one = Score("flips", "squad", 1, 1, 1, 8, 8)
    rows = (replace(row, name="blank", scores={"before": one, "flips": one}, reason=""), row)
    sets = {"blank": "blank", "x": "reworded"}
    save_probes(run, Probes("squad.em", "squad", "test", rows, sets))
    run.append([Prediction("q", Answer("x"), references=(Answer("x"),))], "reworded")
    done = call("evaluate", run.path)
    assert done.exit_code == 0, done.output
    assert "r reworded" in done.output  # it was not measured as a probe
    assert "r blank" not in done.output
    assert "not scored here, as probes tell of them: blank" in done.output


def test_evaluate_a_run_writes_every_set(call, run):
    done = call("evaluate", run.path)
    assert done.exit_code == 0, done.output
    assert "squad.em" in done.output
    assert "0.750 [" in done.output
    scores = json.loads(run.scores_file("blank").read_text())
    assert scores["scores"][0]["value"] == 0.375
    assert run.scores_file().exists()


def test_scores_are_saved_also_where_all_sets_have_names(call, run, tmp_path):
    run.predictions_file().unlink()
    out = tmp_path / "scores.json"
    assert call("evaluate", run.path, "--save", out).exit_code == 0
    assert json.loads(out.read_text())["scores"][0]["value"] == 0.375  # 3 of 8: the blank set


def test_evaluate_a_file(call, tmp_path):
    file = tmp_path / "anyone.jsonl"
    append_lines(file, [{"id": "1", "answer": "left", "references": ["Left."]}])
    out = tmp_path / "scores.json"
    done = call("evaluate", file, "-m", "squad", "-m", "rouge:stemmed=true", "--save", out)
    assert done.exit_code == 0, done.output
    assert "rouge.1.stemmed" in done.output
    assert {s["metric"] for s in json.loads(out.read_text())["scores"]} >= {"squad.em", "squad.f1"}


def test_compare(call, run):
    done = call("compare", run.predictions_file("blank"), run.path, "--by", "")
    assert done.exit_code == 0, done.output
    assert "+0.375" in done.output
    assert "8 shared predictions, 3 answers differ" in done.output


def test_compare_as_a_table(call, run, tmp_path):
    file, out = run.predictions_file("blank"), [tmp_path / "t.md", tmp_path / "t.csv"]
    done = call("compare", "--table", file, run.path, "--out", out[0], "--out", out[1])
    assert done.exit_code == 0, done.output
    assert "8 shared cases" in done.output
    assert "+0.375 p" in done.output
    assert "against predictions-blank" in done.output
    assert "| r | 8 | 0.750 [" in out[0].read_text()
    assert out[1].exists()


def test_two_are_compared_and_more_make_a_table(call, run):
    done = call("compare", run.path)
    assert isinstance(done.exception, RunError)
    assert "--table" in str(done.exception)
    assert isinstance(call("compare", run.path, run.path, "--members").exception, RunError)
    wrong = call("compare", "--table", run.path, run.path, "--out", "t.txt")
    assert isinstance(wrong.exception, UnknownName)
    sliced = call("compare", "--table", run.path, run.path, "--by", "kind")
    assert "a table has no slices" in str(sliced.exception)


def test_without_is_never_read_and_ignored(call, run, tmp_path):
    both = call("evaluate", run.path, "--histories", "--without", run.path)
    assert "two questions" in str(both.exception)
    append_lines(tmp_path / "plain.jsonl", [row.to_row() for row in rows(2)])
    run.predictions_file().unlink()  # what is left has a name
    named = call("evaluate", run.path, "--without", tmp_path / "plain.jsonl")
    assert "'blank' is not held against" in str(named.exception)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["-m", "sqad"], UnknownName),
        (["-m", "rouge:stemmed"], RecipeError),
        (["-m", "bleu:tokenize=["], RecipeError),
        (["--by", "colour"], UnknownName),
    ],
)
def test_mistakes_are_named(call, run, options, error):
    done = call("evaluate", run.path, *options)
    assert isinstance(done.exception, error)
