"""What the terminal shows of scores: everything within 80 columns, protocols once."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.cli.scores import print_differences, print_scores
from vesalius.evaluation.compare import compare
from vesalius.evaluation.evaluate import evaluate

METRICS = ["squad", "closed", "calibration"]


def rows(right: int) -> list[Prediction]:
    return [
        Prediction(
            f"q{i}",
            Answer("yes" if i < right else "no"),
            references=(Answer("yes"),),
            group=f"g{i}",
            category=("abnormality", "[bold]organ")[i % 2],
            confidence=Confidence(0.1 * i, "stated"),
        )
        for i in range(8)
    ]


def shown(write, found, width: int = 80) -> list[str]:
    file = io.StringIO()
    write(Console(file=file, width=width), found, "a [run]")
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return [line.rstrip() for line in lines]


def test_scores_fit_and_name_their_protocol_once() -> None:
    lines = shown(print_scores, evaluate(rows(6), METRICS, resamples=50))
    assert lines[0] == "a [run]: 8 predictions, 8 groups"
    # 6 of 8
    assert any(line.startswith("squad.em ") and " 0.750 [" in line for line in lines)
    assert sum("official SQuAD v2 script" in line for line in lines) == 1
    assert "closed: vesalius strict closed parser 3" in lines
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize(("width", "names"), [(80, 2), (200, 4)])
def test_as_many_scores_by_slice_as_fit(width: int, names: int) -> None:
    lines = shown(print_scores, evaluate(rows(6), METRICS, resamples=50), width)
    (head,) = [line.split() for line in lines if line.startswith("slice ")]
    wanted = ["squad.em", "closed.accuracy", "squad.f1", "closed.balanced_accuracy"][:names]
    assert head == ["slice", *(column for name in wanted for column in (name, "n"))]
    # even questions are right up to q4: 3 of 4
    (part,) = [line for line in lines if line.startswith("category=abnormality")]
    assert "0.750 [" in part
    assert any(line.startswith("category=[bold]organ") for line in lines)


def test_wilson_is_said_where_it_is_used() -> None:
    note = "where every resample scores the same: Wilson's interval over the groups"
    perfect = shown(print_scores, evaluate(rows(8), ["squad"], resamples=50))
    assert note in perfect
    assert note not in shown(print_scores, evaluate(rows(4), ["rouge"], resamples=500, by=()))


def test_what_a_metric_could_not_read_is_a_line() -> None:
    foreign = [replace(rows(4)[0], references=(Answer(text="肺炎"),))]
    lines = shown(print_scores, evaluate(foreign, ["rouge"], resamples=0), 200)
    assert any(
        line.startswith("rouge: 1 of 1 have a reference that its tokeniser") for line in lines
    )


def test_differences_fit() -> None:
    lines = shown(print_differences, compare(rows(3), rows(6), METRICS, resamples=50))
    # 6 of 8 less 3 of 8
    assert any(line.startswith("squad.em ") and " +0.375 [" in line for line in lines)
    assert {"all", "category=abnormality", "category=[bold]organ"} <= set(lines)
    assert sum("official SQuAD v2 script" in line for line in lines) == 1
    alone = shown(print_differences, compare(rows(3), rows(6), METRICS, resamples=0, by=()))
    assert "all" not in alone
