"""The clean subset: what no model without pictures answers, scored beside the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius import Recipe, Run, compare, evaluate
from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.cli.main import app
from vesalius.errors import NotComparable, RunError
from vesalius.evaluation.clean import CleanSubset, answered_right, clean_ids
from vesalius.evaluation.report import report
from vesalius.system.files import append_lines


def answered(texts: str, golds: str, first: int = 0) -> list[Prediction]:
    return [
        Prediction(f"q{i}", Answer(text), references=(Answer(gold),), group=f"g{i}")
        for i, (text, gold) in enumerate(zip(texts, golds, strict=True), start=first)
    ]


GOLDS = "xxxxyyyy"
OURS = answered("xxxxyyxx", GOLDS)  # 6 of 8 right
MAJORITY = answered("xxxxxxxx", GOLDS)  # answers the first four
OTHER = answered("zzzzyzzz", GOLDS)  # answers the fifth


def run_of(folder: Path, rows: list[Prediction], model: str = "majority") -> Run:
    recipe = {
        "name": "r",
        "data": {"dataset": "phantom"},
        "model": {"name": model},
        "evaluation": {"metrics": ["squad"], "resamples": 50},
    }
    run = Run.create(folder, Recipe.model_validate(recipe))
    run.append(rows)
    run.finish()
    return run


def test_clean_is_what_none_of_them_answers() -> None:
    assert clean_ids(OURS, {"majority": MAJORITY}) == {"q4", "q5", "q6", "q7"}
    assert clean_ids(OURS, {"majority": MAJORITY, "other": OTHER}) == {"q5", "q6", "q7"}
    assert clean_ids(OURS, {"all": OURS}) == {"q6", "q7"}


def test_right_is_exact_or_a_closed_answer_that_is() -> None:
    def one(text: str, gold: str, **fields: object) -> bool:
        return answered_right(Prediction("q", Answer(text), references=(Answer(gold),), **fields))

    assert one("The Lung.", "lung")
    assert not one("left lung", "lung")
    assert one("Yes, there is.", "yes")
    assert one("the answer is A", "A", kind="closed", options=("A. mass", "B. cyst"))
    assert not one("yes and no", "yes")


def test_both_scores_stand_side_by_side(tmp_path: Path) -> None:
    run, blind = run_of(tmp_path / "ours", OURS, "linear_probe"), run_of(tmp_path / "m", MAJORITY)
    file = tmp_path / "other.jsonl"
    append_lines(file, [p.to_row() for p in OTHER])
    scores = evaluate(run, clean=[blind.path, file])
    subset = CleanSubset.from_json(scores.clean)
    # of q5, q6 and q7 only q5 is answered right
    assert (subset.n, subset.of) == (3, 8)
    assert list(subset.without) == ["m", "other.jsonl"]
    assert scores.score("squad.em").value == 0.75
    assert subset.score("squad.em").value == pytest.approx(1 / 3)
    assert subset.score("squad.em").low < 1 / 3 < subset.score("squad.em").high
    assert json.loads(run.scores_file().read_text())["clean"]["n"] == 3
    page = report([run], tmp_path / "r.html", lambda _: None).read_text()
    assert "3 of 8 questions are answered by none of m, other.jsonl." in page
    assert "<b>0.333</b>" in page
    again = evaluate(run)  # the scores that stand in the run are given back, this among them
    assert again.clean == scores.clean


def test_nothing_left_is_told_and_not_scored(tmp_path: Path) -> None:
    run = run_of(tmp_path / "ours", answered("xx", "xx"), "linear_probe")
    blind = run_of(tmp_path / "blind", answered("xx", "xx"))
    subset = CleanSubset.from_json(evaluate(run, clean=[blind.path]).clean)
    assert (subset.n, subset.scores) == (0, ())
    page = report([run], tmp_path / "r.html", lambda _: None).read_text()
    assert "Nothing is left to score." in page


def test_two_runs_are_compared_on_it(tmp_path: Path) -> None:
    blind = run_of(tmp_path / "m", MAJORITY)
    both = compare(
        answered("xxxxyxxx", GOLDS),
        OURS,
        metrics=["squad"],
        resamples=50,
        by=(),
        clean=[blind.path],
    )
    (clean,) = (d for d in both.differences if d.slice == "clean" and d.metric == "squad.em")
    assert (clean.first, clean.second, clean.n) == (0.25, 0.5, 4)
    assert {d.slice for d in both.differences} == {"all", "clean"}


def test_who_may_not_choose_it(tmp_path: Path) -> None:
    run = run_of(tmp_path / "ours", OURS, "linear_probe")
    with pytest.raises(RunError, match="ours: looks at pictures"):
        evaluate(run, clean=[run.path])
    part = run_of(tmp_path / "part", MAJORITY[:5])
    with pytest.raises(NotComparable, match="part: answers 5 of the 8 questions"):
        evaluate(run, clean=[part.path])
    elsewhere = run_of(tmp_path / "elsewhere", answered("xxxxxxxx", GOLDS, first=100))
    with pytest.raises(NotComparable, match="no id is shared"):
        evaluate(run, clean=[elsewhere.path])
    with pytest.raises(RunError, match="two systems are called 'part'"):
        evaluate(run, clean=[part.path, part.path])
    empty = run_of(tmp_path / "empty", [])
    empty.predictions_file().unlink()
    with pytest.raises(RunError, match="has no predictions"):
        evaluate(run, clean=[empty.path])
    assert json.loads(run.scores_file().read_text())["clean"] == {}


def test_the_commands(tmp_path: Path) -> None:
    run, blind = run_of(tmp_path / "ours", OURS, "linear_probe"), run_of(tmp_path / "m", MAJORITY)
    call = CliRunner(env={"COLUMNS": "120"})
    done = call.invoke(app, ["evaluate", str(run.path), "--clean", str(blind.path)])
    assert done.exit_code == 0, done.output
    assert "clean subset: 4 of 8 questions are answered by none of m" in done.output
    done = call.invoke(app, ["compare", str(blind.path), str(run.path), "--clean", str(blind.path)])
    assert done.exit_code == 0, done.output
    assert "\nclean\n" in done.output
    for words, what in (
        (["compare", "--table", str(blind.path), str(run.path)], "belongs to a comparison of two"),
        (["evaluate", str(run.path), "--histories"], "two questions"),
        (["evaluate", str(run.path), "--protocol", "strict"], "two questions"),
    ):
        done = call.invoke(app, [*words, "--clean", "x"])
        assert what in str(done.exception)
    done = call.invoke(app, ["evaluate", str(run.path), "--clean", " , "])
    assert "names no run" in str(done.exception)
