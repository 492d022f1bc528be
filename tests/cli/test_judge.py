"""``vesalius judge``: warnings before scores, experts before a score without one, one line each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from judge_server import JudgeServer
from vesalius import Recipe
from vesalius.cli.main import app
from vesalius.run import Run
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    server = JudgeServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {"cases": {"train": 4, "validation": 1, "test": 30}, "size": 40}
    recipe = {"name": "often", "data": {"dataset": "phantom", "options": options}}
    path = tmp_path_factory.mktemp("runs") / "often"
    run = fit(Recipe.model_validate(recipe | {"model": {"name": "majority"}}), path)
    predict(run)
    return path


def invoke(*words: object) -> tuple[int, str, str]:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(word) for word in words])
    return done.exit_code, done.output, str(done.exception or "")


def test_warnings_stand_before_scores(fitted: Path, server: JudgeServer) -> None:
    judging = ("judge", fitted, "--by", server.url, "--limit", 9)
    code, out, error = invoke(*judging, "--model", "grader")
    assert code == 0, out + error
    assert out.index("No expert has checked this judge") < out.index("correctness (0 to 2)")
    assert "n = 9" in out
    assert "judgements/grader-correctness.jsonl" in out
    code, out, error = invoke(*judging, "--model", "prose")
    assert "9 of 9 (100%) are not measured: no JSON 9." in out
    assert "not measured" in out.split("correctness (0 to 2)")[1]


def test_experts_are_told_before_the_scores(
    fitted: Path, server: JudgeServer, tmp_path: Path
) -> None:
    judging = ("judge", fitted, "--by", server.url, "--model", "grader", "--name", "checked")
    assert invoke(*judging)[0] == 0
    rows = list(Run.open(fitted).predictions())[::2]  # 115 answers of twenty patients
    experts = tmp_path / "ratings.csv"
    grades = [2 if row.text == row.references[0].text else 0 for row in rows]
    lines = [f"{r.id},ana,{g}\n" for r, g in zip(rows, grades, strict=True)]
    experts.write_text("id,rater,correctness\n" + "".join(lines))
    code, out, error = invoke(*judging, "--experts", experts)
    assert code == 0, out + error
    assert "No expert has checked" not in out
    assert out.index("agreement with 1 expert on 115 of") < out.index("checked: ")
    assert "as experts grade it, the judge calibrated" in out
    content = json.loads((fitted / "judgements" / "checked.experts.json").read_text())
    assert content["axes"][0]["n"] == 115
    experts.write_text("id,rater,correctness\n" + lines[0].replace(",ana,", ",ana,1"))
    code, _, error = invoke(*judging, "--experts", experts)
    assert code == 1
    assert "correctness is 0 to 2, not 1" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--by", "http://127.0.0.1:9"), "the model's server is not there"),
        (("--by", "http://10.0.0.1/v1"), "is another machine"),
        (("--by", "nowhere"), "is no run's folder, recipe"),
        (("--by", "{url}", "--rubric", "corect"), "no rubric called 'corect'"),
        (("--by", "{url}", "--experts", "gone.csv"), "cannot be read"),
        (("--by", "{url}", "--against", "gone"), "is not a run"),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[str, ...], message: str, fitted: Path, server: JudgeServer
) -> None:
    code, _, error = invoke("judge", fitted, *(word.format(url=server.url) for word in words))
    assert code == 1
    assert message in error
    assert "\n" not in error


def test_pairs(fitted: Path, server: JudgeServer, tmp_path: Path) -> None:
    other = fit(Run.open(fitted).recipe(), tmp_path / "other")
    predict(other)
    judging = ("judge", fitted, "--by", server.url, "--model", "first", "--against", other.path)
    code, out, error = invoke(*judging, "--limit", 5)
    assert code == 0, out + error
    assert "order-dependent" in out
    assert "first-against-other.jsonl" in out
