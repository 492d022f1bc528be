"""Runs side by side: which metrics, which rows, and what is remarked of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Confidence, MemberAnswer, Prediction
from vesalius.errors import RunError
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.steps.gain import gain
from vesalius.steps.systems import consensus, remarks_of, with_consensus
from vesalius.steps.table import table

METRICS = ["squad", "rouge", {"bertscore": {"model": "nobody/has-these-weights"}}]
CAPTIONS = ("ct of the chest", "mri of the brain", "x-ray of the hand", "ct of the liver")


def a_run(folder: Path, answers: list[str], *, task: str = "caption", **status: str) -> Run:
    recipe = {
        "name": folder.name,
        "data": {"dataset": "phantom", "task": task},
        "model": {"name": "consensus"},
        "evaluation": {"metrics": METRICS, "resamples": 50},
    }
    run = Run.create(folder, Recipe.model_validate(recipe))
    run.append(
        [
            Prediction(
                f"q{i}",
                Answer(said),
                question="Describe this image.",
                references=(Answer(CAPTIONS[i]),),
                group=f"g{i}",
                evidence=tuple(
                    MemberAnswer(name, Answer(text))
                    for name, text in (("a", "ct of the chest"), ("b", said), ("c", said))
                ),
            )
            for i, said in enumerate(answers)
        ]
    )
    run.finish(**status)
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return a_run(tmp_path / "combined", list(CAPTIONS), weights="random")


def test_captions_get_the_columns_of_published_tables_then_the_recipes(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = table(run.path, members=True, resamples=20)
    facts = ("caption.findings", "caption.polarity", "caption.numbers", "caption.sides")
    assert found.columns == ("bertscore.f1", "rouge.L", "bleurt", "bleu", *facts, "squad.em")
    assert [row.name for row in found.rows] == [
        "combined/a",
        "combined/b",
        "combined/c",
        "combined/consensus",
        "combined",
    ]
    # member a says of each picture what is right of the first: 1 of 4
    assert [row.score("squad.em").value for row in found.rows] == [0.25, 1, 1, 1, 1]
    assert found.baseline == "combined/a"
    assert "bertscore(model=nobody/has-these-weights)" in found.protocols  # the recipe's own
    assert "every row: random weights" in found.notes()
    assert "every row: drawn pictures" in found.notes()


def test_answers_get_what_their_recipes_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    runs = [a_run(tmp_path / name, ["ct"] * 4, task="vqa").path for name in ("one", "two")]
    assert table(*runs, resamples=5).columns == ("squad.em", "rouge.L", "bertscore.f1")
    assert table(*runs, metrics=["closed"], resamples=5).columns == ("closed.accuracy",)


def test_files_of_one_name_are_told_apart_by_their_path(tmp_path: Path) -> None:
    runs = [a_run(tmp_path / place / "run", ["ct"] * 4).path for place in ("x", "y")]
    files = [run / "predictions.jsonl" for run in runs]
    found = table(*files, metrics=["squad"], resamples=5)
    assert [row.name for row in found.rows] == [file.as_posix() for file in files]


def test_a_tagger_within_a_captioner_has_no_row(run: Run) -> None:
    rows = list(run.predictions())
    run.predictions_file().unlink()
    tagger = MemberAnswer("tagger", Answer(concepts=("C0040405",)))
    run.append([replace(p, evidence=(*p.evidence, tagger)) for p in rows])
    found = table(run.path, metrics=["squad"], members=True, resamples=5)
    assert "combined/tagger" not in [row.name for row in found.rows]
    assert "combined: its member tagger answers with something else" in " ".join(found.notes())
    result = gain(run)
    assert result is not None
    assert any("its member tagger" in note for note in result.notes)


def test_the_consensus_is_that_of_the_rule() -> None:
    def row(text: str, sure: float) -> Prediction:
        said = Answer(text)
        return Prediction("q", said, kind="closed", confidence=Confidence(sure, "stated"))

    votes = [[row("no", 0.9)], [row("yes", 0.2)], [row("yes", 0.3)]]
    (agreed,) = consensus(votes)
    assert (agreed.text, agreed.confidence and agreed.confidence.value) == ("yes", 2 / 3)
    assert list(with_consensus({"a": votes[0]})) == ["a"]
    assert list(with_consensus({"a": votes[0], "consensus": votes[1]})) == ["a", "consensus"]


def test_a_run_without_predictions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no predictions"):
        table(a_run(tmp_path / "empty", []).path)


def test_a_finished_member_of_random_weights_is_remarked(tmp_path: Path) -> None:
    toy = a_run(tmp_path / "toy", list(CAPTIONS), weights="random")
    block = {"name": "consensus", "members": {"toy": {"run": toy.path.as_posix()}}}
    whole = Recipe.model_validate({"name": "w", "data": {"dataset": "roco"}, "model": block})
    assert remarks_of(Run.create(tmp_path / "whole", whole)) == ("random weights",)
