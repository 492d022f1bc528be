"""The tagger: what it learns, gives and refuses; on drawn shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.errors import ModelError, RunError
from vesalius.models import Lesson
from vesalius.models.tagging.losses import binary_cross_entropy
from vesalius.models.tagging.network import TaggerNetwork, collate, new_head, probabilities
from vesalius.models.tagging.space import ConceptSpace
from vesalius.models.tagging.tagger import TABLE, Tagger, TaggerSettings
from vesalius.recipe import Decoding, Recipe
from vesalius.run import Run
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.predict import predict

Make = Callable[..., Any]


@pytest.fixture(scope="session")
def tagged(draw: Make) -> list[Dialogue]:
    """Twelve pictures: a disc or a bar, large ones with one concept more, one without any."""
    dialogues = []
    for number in range(12):
        shape = "disc" if number % 2 else "bar"
        concepts = (f"C-{shape}", "C-large") if number >= 8 else (f"C-{shape}",)
        picture = draw(f"{shape}-{number}", shape, size=24 + 4 * number)
        question = Question("which concepts?", answers=(Answer(concepts=concepts),))
        name = f"case {number}"
        dialogues.append(Dialogue(f"{name}/concepts", (Turn(question, (picture,)),), name, name))
    return dialogues


@pytest.fixture
def fitted(tagged: list[Dialogue], new_run: Make) -> Run:
    run: Run = new_run("tagger")
    settings = TaggerSettings(head_epochs=30, patience=30, dropout=0.0)
    Tagger(settings).fit(Lesson(tagged, tagged), run)
    return run


def test_it_learns_what_pictures_show(tagged: list[Dialogue], fitted: Run) -> None:
    answers = Tagger(TaggerSettings()).load(fitted).predict(tagged, Decoding())
    right = [set(p.answer.concepts or ()) == set(p.references[0].concepts or ()) for p in answers]
    assert np.mean(right) >= 0.9
    first = answers[0]
    assert first.answer.concepts is not None
    assert next(iter(first.scores or {})) == first.answer.concepts[0]
    assert first.confidence is not None
    assert first.confidence.method == "mean probability of the concepts"
    assert fitted.status()["labels"] == 3


def test_concepts_are_those_of_the_training_split(tagged: list[Dialogue], fitted: Run) -> None:
    table = json.loads((fitted.weights / TABLE).read_text())
    assert table["names"] == ["C-bar", "C-disc", "C-large"]  # the most frequent first
    assert table["counts"] == [6, 6, 4]


def test_rare_concepts_are_left_out_and_counted(tagged: list[Dialogue], new_run: Make) -> None:
    run = new_run("tagger")
    Tagger(TaggerSettings(least=5, head_epochs=1)).fit(Lesson(tagged), run)
    status = run.status()
    assert (status["labels"], status["rarer_concepts"]) == (2, 4)
    assert status["thresholds"] == "0.5: no validation split"


def test_training_looks_at_all_pictures_of_a_study_as_asking_does(draw: Make) -> None:
    from vesalius.models.encoders import vision

    network, space = vision(), ConceptSpace(("a", "b"), (2, 1))
    head = new_head(1280, space, 2, dropout=0.0)
    torch.nn.init.normal_(head.direct.weight)
    studies = [(draw("one", "disc"), draw("two", "bar")), (draw("three", "disc", size=60),)]
    dialogues = [Dialogue(f"d{n}", (Turn(Question("?"), s),), "g") for n, s in enumerate(studies)]
    rows = [(one, np.array([True, False])) for one in dialogues]
    whole = TaggerNetwork(network, head, binary_cross_entropy).eval()
    with torch.inference_mode():
        trained = whole(**collate(rows, vision=network))["logits"].sigmoid().numpy()
    asked = probabilities(head, network.encoder().embed_studies(studies))
    assert trained == pytest.approx(asked, abs=1e-5)


def test_its_vectors_can_be_searched(tagged: list[Dialogue], fitted: Run) -> None:
    vectors = load_tagger(fitted).embed([one.pictures[0] for one in tagged])
    assert vectors.shape == (12, 1280)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


def load_tagger(run: Run) -> Any:
    return Tagger(TaggerSettings()).load(run)


def test_dialogues_without_concepts_are_refused(tagged: list[Dialogue], new_run: Make) -> None:
    words = [
        replace(d, turns=(Turn(Question("what?", answers=(Answer("a disc"),)), d.pictures),))
        for d in tagged
    ]
    with pytest.raises(ModelError, match=r"has a concept.*concepts_from"):
        Tagger(TaggerSettings()).fit(Lesson(words), new_run("tagger"))


def test_files_that_do_not_belong_together_are_refused(fitted: Run) -> None:
    path = fitted.weights / TABLE
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "names": table["names"][:2]}))
    with pytest.raises(RunError, match="thresholds for 3 of 2 concepts"):
        load_tagger(fitted)
    path.write_text(json.dumps({"names": table["names"]}))
    with pytest.raises(RunError, match="not a table of concepts"):
        load_tagger(fitted)


def test_an_encoder_that_trains_is_saved_and_loaded(tmp_path: Any) -> None:
    recipe = Recipe.model_validate(
        {
            "name": "tuned",
            "data": {
                "dataset": "phantom",
                "task": "concepts",
                "options": {"cases": {"train": 6, "validation": 4, "test": 2}, "size": 48},
            },
            "model": {
                "name": "tagger",
                "fine_tune": True,
                "loss": "asymmetric",
                "head_epochs": 1,
                "training": {"max_steps": 2, "batch": 3, "keep_best": 1},
            },
            "evaluation": {"validate_on": 4, "watch": "concepts.f1", "metrics": ["concepts_f1"]},
        }
    )
    run = fit(recipe, tmp_path / "run")
    assert run.status()["steps"] == 2
    assert (run.weights / "encoder.safetensors").exists()
    assert predict(run) == 2
    frozen = Tagger(TaggerSettings()).load(run)
    picture = [d.pictures[0] for d in phantoms(recipe)][:1]
    assert np.abs(load(run).embed(picture) - frozen.embed(picture)).max() > 1e-4  # type: ignore[attr-defined]


def phantoms(recipe: Recipe) -> list[Dialogue]:
    from vesalius.steps.prepare import dialogues

    return list(dialogues(recipe.data, "test"))


@pytest.mark.slow
def test_phantoms_concepts_are_told_with_an_f1_of_nine_tenths(tmp_path: Any) -> None:
    from vesalius.evaluation.evaluate import evaluate_run

    recipe = Recipe.model_validate(
        {
            "name": "phantoms",
            "data": {"dataset": "phantom", "task": "concepts"},
            "model": {"name": "tagger"},
            "evaluation": {"metrics": ["concepts_f1"], "watch": "concepts.f1", "resamples": 0},
        }
    )
    run = fit(recipe, tmp_path / "run")
    predict(run)
    assert evaluate_run(run).score("concepts.f1").value >= 0.9
