"""Saved answers as a model: by id, by question and picture, and never by guess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vesalius import Answer, Dialogue, Picture, Prediction, Question, Recipe, Run, Turn
from vesalius.cases.prediction import Confidence, Neighbour
from vesalius.errors import ModelError, RunError
from vesalius.models import Lesson
from vesalius.models.replay import Replay, ReplaySettings
from vesalius.recipe import Decoding
from vesalius.steps.load import load
from vesalius.system.files import append_lines

SURE = Confidence(0.7, "token probability")


def dialogue(name: str, question: str = "what is it?", key: str = "k") -> Dialogue:
    return Dialogue(name, (Turn(Question(question), (Picture(key, lambda: b""),)),), "g")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    path = tmp_path / "predictions.jsonl"
    said = [
        Prediction.of(dialogue("a"), Answer("ct"), confidence=SURE, scores={"ct": 0.7}),
        Prediction.of(
            dialogue("b", key="l"), Answer("mr"), evidence=(Neighbour("c", 0.5),), abstained=True
        ),
    ]
    append_lines(path, (one.to_row() for one in said))
    block = {"name": "replay", "predictions": str(path)}
    data = {"dataset": "phantom", "options": {"cases": {"train": 2, "validation": 0, "test": 0}}}
    recipe = Recipe.model_validate({"name": "r", "data": data, "model": block})
    made = Run.create(tmp_path / "run", recipe)
    Replay(ReplaySettings(predictions=str(path))).fit(Lesson([dialogue("t")]), made)
    made.finish()
    path.unlink()  # the run stands alone
    return made


def test_answers_by_id_and_by_question_and_picture(run: Run) -> None:
    model = load(run)
    first, second = model.predict([dialogue("b", key="l"), dialogue("a")], Decoding())
    assert (first.text, first.abstained, first.evidence[0].case) == ("mr", True, "c")
    assert (second.text, second.confidence, second.scores) == ("ct", SURE, {"ct": 0.7})
    (other,) = model.predict([dialogue("served", " what  is it? ", key="l")], Decoding())
    assert (other.id, other.text) == ("served", "mr")


def test_nothing_is_guessed(run: Run) -> None:
    model = load(run)
    for asked in (dialogue("x", "where is it?"), dialogue("x", key="m"), dialogue("a", "where?")):
        with pytest.raises(ModelError, match="no saved answer"):
            model.predict([asked], Decoding())
    bare = replace(dialogue("bare"), turns=(Turn(Question("what is it?")),))
    with pytest.raises(ModelError, match="no picture"):
        model.predict([bare], Decoding())


def test_without_predictions_there_is_nothing_to_fit(tmp_path: Path, run: Run) -> None:
    with pytest.raises(RunError, match="no predictions to replay"):
        Replay(ReplaySettings(predictions=str(tmp_path))).fit(Lesson([dialogue("t")]), run)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(RunError, match="holds no predictions"):
        Replay(ReplaySettings(predictions=str(empty))).fit(Lesson([dialogue("t")]), run)
