"""What is said of scores when not all answers are there, or more than were given."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius import Recipe, fit, predict
from vesalius.cli.main import app
from vesalius.evaluation.caveats import of_answers

WHOLE = {"split": "test", "n": 8, "complete": True}


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        (WHOLE, []),
        (WHOLE | {"complete": False}, ["not complete: predict was stopped, and 8 were scored"]),
        (WHOLE | {"n": 9}, ["8 answers were scored, and predict noted 9: some were taken out"]),
        (WHOLE | {"n": 7}, ["8 answers were scored, and predict noted 7: some were taken out"]),
        (WHOLE | {"limit": 8}, ["Only the first 8 questions of the split were asked."]),
        (WHOLE | {"limit": 5}, []),  # a later call with a lower limit: all were there before
    ],
)
def test_a_sentence_where_answers_are_missing_or_too_many(
    noted: dict[str, object], words: list[str]
) -> None:
    sentences = of_answers({"predictions": {"test": noted}}, 8)
    assert len(sentences) == len(words)
    assert all(part in sentence for part, sentence in zip(words, sentences, strict=True))
    assert of_answers({}, 8) == []


def test_the_command_says_it(tmp_path: Path) -> None:
    options = {"cases": {"train": 4, "validation": 1, "test": 4}, "size": 40}
    recipe = {"name": "r", "data": {"dataset": "phantom", "options": options}}
    whole = recipe | {"model": {"name": "majority"}, "evaluation": {"resamples": 20}}
    run = fit(Recipe.model_validate(whole), tmp_path / "run")
    predict(run, limit=5)
    call = CliRunner(env={"COLUMNS": "120"})
    done = call.invoke(app, ["evaluate", str(run.path)])
    assert "Only the first 5 questions of the split were asked." in done.output
    predict(run)
    file = run.predictions_file()
    lines = file.read_text().splitlines(keepends=True)
    done = call.invoke(app, ["evaluate", str(run.path)])
    assert "Only the first" not in done.output
    file.write_text("".join(lines[:-1]))
    done = call.invoke(app, ["evaluate", str(run.path)])
    invented = [lines[0].replace('"id": "', '"id": "invented-'), *lines[1:]]
    assert invented != lines
    file.write_text("".join(invented))
    again = call.invoke(app, ["evaluate", str(run.path)])
    assert "The file of answers is not as predict wrote it: it was changed since." in again.output
    assert f"{len(lines) - 1} answers were scored, and predict noted {len(lines)}" in done.output
